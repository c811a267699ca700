"""What ``doctor`` gives to steps. Each step checks, in areas that it names, what its apply would need."""

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
    """The order of the checks. Within a phase, the steps keep their own order."""

    OUTSIDE = 1
    """What lies outside the cluster; checked even if the cluster cannot be reached."""
    SERVED = 2
    """What others run in the cluster and an apply relies on."""
    MADE = 3
    """What an apply would create: is there room for it, and would the cluster admit it?"""
    PODS = 4
    """What pods see. Last, after all checks that need no pods."""


@dataclass(frozen=True, slots=True)
class Area:
    """A heading that groups lines, and the phase in which they are printed."""

    name: str
    phase: Phase
    by_pods: bool = False
    """Only pods can check this. Print nothing if the cluster is not reached and no pods were asked for."""


class Look(Protocol):
    """One examination, as a step sees it."""

    @property
    def environment(self) -> Environment: ...

    @property
    def facts(self) -> Facts:
        """What was seen, for later checks. An earlier check may have failed, so any fact may be missing."""
        ...

    @property
    def found(self) -> list[Finding]:
        """All lines so far, in the order in which they are printed."""
        ...

    @property
    def pods(self) -> bool:
        """Whether pods may be started."""
        ...

    @property
    def now(self) -> datetime:
        """The time by the API server's clock."""
        ...

    def port(self, port: Port[T]) -> T:
        """Return the part of the world with that name: ``probing.probes.PROBES``, or a port of the step."""
        ...

    def say(self, what: str) -> None:
        """Tell the user what is checked next."""
        ...

    def ask(
        self, area: str, name: str, call: Callable[[], T], *, level: Level = Level.FAIL
    ) -> tuple[T] | None:
        """Return what a probe found, in a tuple. If it was refused or too slow, add a line and return ``None``."""
        ...

    def unread(self, area: str, name: str, error: ForbiddenError) -> Finding:
        """Return the line for what may not be read. It is not a failure: the check that needs the permission reports that."""
        ...
