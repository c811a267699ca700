"""How a step ended. Declining, failing, being skipped and having nothing to do are different values, each with a reason."""

from dataclasses import dataclass
from typing import TypeAlias

from weighbridge.errors import WeighbridgeError


@dataclass(frozen=True, slots=True)
class Done:
    """The step changed something and its postcondition holds now."""

    detail: str = ""
    word = "done"


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The postcondition held already; nothing was written, no pod was started."""

    detail: str = ""
    word = "unchanged"


@dataclass(frozen=True, slots=True)
class Declined:
    """This way cannot work here; another may."""

    reason: str
    word = "declined"

    @property
    def detail(self) -> str:
        return self.reason


@dataclass(frozen=True, slots=True)
class Skipped:
    """It was not begun, because something that it needs failed."""

    reason: str
    word = "skipped"

    @property
    def detail(self) -> str:
        return self.reason


@dataclass(frozen=True, slots=True)
class Failed:
    """The step did not reach its postcondition."""

    error: WeighbridgeError
    word = "failed"

    @property
    def detail(self) -> str:
        return self.error.what

    @property
    def transient(self) -> bool:
        """Whether the same command, run again, may well succeed."""
        return bool(getattr(self.error, "transient", False))


Outcome: TypeAlias = Done | Unchanged | Declined | Skipped | Failed
