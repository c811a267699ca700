"""How a step ended. Declined, failed, skipped and unchanged are different values, each with a reason."""

from dataclasses import dataclass
from typing import TypeAlias

from weighbridge.errors import WeighbridgeError


@dataclass(frozen=True, slots=True)
class Done:
    """The step changed something, and its goal is reached."""

    detail: str = ""
    word = "done"


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The goal was reached before. Nothing was written, and no pod was started."""

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
    """The step was not started, because something that it needs failed."""

    reason: str
    word = "skipped"

    @property
    def detail(self) -> str:
        return self.reason


@dataclass(frozen=True, slots=True)
class Failed:
    """The step did not reach its goal."""

    error: WeighbridgeError
    word = "failed"

    @property
    def detail(self) -> str:
        return self.error.what

    @property
    def transient(self) -> bool:
        """Whether the same command may succeed if it is run again."""
        return bool(getattr(self.error, "transient", False))


Outcome: TypeAlias = Done | Unchanged | Declined | Skipped | Failed
