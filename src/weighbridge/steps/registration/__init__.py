"""Registration: our entries of the custom resource."""

from typing import Final

from weighbridge.domain.stacks import Stack
from weighbridge.environment.sections import Sections
from weighbridge.steps.registration.stack import REGISTRATION

SECTIONS: Final[Sections] = ()
STACK: Final[Stack | None] = REGISTRATION
