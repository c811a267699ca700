"""Storage: the claims that hold the weights."""

from typing import Final

from weighbridge.domain.stacks import Stack
from weighbridge.environment.sections import Sections
from weighbridge.steps.storage.stack import STORAGE

SECTIONS: Final[Sections] = ()
STACK: Final[Stack | None] = STORAGE
