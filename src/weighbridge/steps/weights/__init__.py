"""Weights: bring them from their source into the volume, and verify them."""

from typing import Final

from weighbridge.domain.stacks import Stack
from weighbridge.environment.sections import Sections
from weighbridge.transfers import TRANSFERS

SECTIONS: Final[Sections] = (TRANSFERS,)
STACK: Final[Stack | None] = None
