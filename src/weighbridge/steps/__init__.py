"""The steps of an environment, one package each, in the order in which they run. To add a step, add one line here.

A package says in its ``__init__`` what it brings to the environment file, ``SECTIONS``, and its ``STACK``: reading a file needs
no more. ``STEP``, in its module ``step``, is imported with what it is made of once ``STEPS`` is asked for.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from weighbridge.environment.sections import Sections
from weighbridge.steps import registration, storage, weights

if TYPE_CHECKING:
    from weighbridge.core.step import Step

    STEPS: tuple[Step, ...]

ROOMS: Final[tuple[ModuleType, ...]] = (
    storage,
    weights,
    registration,
)

SECTIONS: Final[Sections] = tuple(section for room in ROOMS for section in room.SECTIONS)
"""The keys of the environment file that the steps bring."""
STACK_NAMES: Final[tuple[str, ...]] = tuple(room.STACK.name for room in ROOMS if room.STACK is not None)


def __getattr__(name: str) -> Any:
    """``STEPS``, made at its first use."""
    if name != "STEPS":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    made = tuple(import_module(f"{room.__name__}.step").STEP for room in ROOMS)
    globals()[name] = made
    return made
