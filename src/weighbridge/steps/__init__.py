"""The steps of an environment, one package each, in the order in which they run. To add a step, add one line here."""

from typing import Final

from weighbridge.core.step import Step
from weighbridge.environment.sections import Sections
from weighbridge.steps.registration.step import RegistrationStep
from weighbridge.steps.storage.step import StorageStep
from weighbridge.steps.weights.step import WeightsStep

STEPS: Final[tuple[Step, ...]] = (
    StorageStep(),
    WeightsStep(),
    RegistrationStep(),
)

SECTIONS: Final[Sections] = tuple(section for step in STEPS for section in step.sections)
"""The keys of the environment file that the steps bring."""
STACK_NAMES: Final = tuple(step.stack.name for step in STEPS if step.stack is not None)
