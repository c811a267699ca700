"""What ``doctor`` offers to steps: each looks at what an apply of it would need, in areas that it names."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Protocol, TypeVar

from weighbridge.core.finding import Finding, Level
from weighbridge.core.port import Port
from weighbridge.domain.facts import Facts
from weighbridge.environment.types import Environment
from weighbridge.errors import ForbiddenError

T = TypeVar("T")


class Phase(IntEnum):
    """The order of looking. Within a phase, the steps' own."""

    OUTSIDE = 1
    """What lies outside the cluster; also where the cluster is not reached."""
    SERVED = 2
    """What somebody else runs in the cluster, and an apply relies on."""
    MADE = 3
    """What an apply would make: is there what it takes, and would it be let in?"""
    PODS = 4
    """What pods find; after everything that needs none."""


@dataclass(frozen=True, slots=True)
class Area:
    """What lines are grouped by, and when they come."""

    name: str
    phase: Phase
    by_pods: bool = False
    """Only pods can look there: where the cluster is not reached and none were asked for, nothing is said of it."""


class Look(Protocol):
    """One examination, as a step sees it."""

    @property
    def environment(self) -> Environment: ...

    @property
    def facts(self) -> Facts:
        """What was seen, for whoever looks later: an earlier look may have failed, so nothing is sure to be there."""
        ...

    @property
    def found(self) -> list[Finding]:
        """Every line so far, in the order in which they are printed."""
        ...

    @property
    def pods(self) -> bool:
        """Whether pods may be started."""
        ...

    @property
    def now(self) -> datetime:
        """By the API server's clock."""
        ...

    def port(self, port: Port[T]) -> T:
        """The part of the world of that name: ``probing.probes.PROBES``, or the step's own."""
        ...

    def say(self, what: str) -> None:
        """Tell whoever watches what is looked at next."""
        ...

    def ask(
        self, area: str, name: str, call: Callable[[], T], *, level: Level = Level.FAIL
    ) -> tuple[T] | None:
        """What a probe found, in a tuple; where it was refused or did not answer in time, a line, and ``None``."""
        ...

    def unread(self, area: str, name: str, error: ForbiddenError) -> Finding:
        """The line of what may not be read. It is no failure of its own: what needs the permission says so elsewhere."""
        ...
