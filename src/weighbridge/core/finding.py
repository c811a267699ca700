"""What ``doctor`` prints: lines, each with what to do."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from weighbridge.domain.access import Rule
from weighbridge.errors import PreconditionError, WeighbridgeError

PERMISSIONS: Final = "permissions"
"""The area of permissions."""


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    """An apply works without it, or it could not be checked."""
    FAIL = "fail"
    """An apply would stop here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    area: str
    name: str
    level: Level
    said: str
    remedy: str | None = None
    theirs: bool = False
    """Whether the cluster's administrators have to fix it: it then goes into the request to them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Everything that was checked, in the order in which a run needs it."""

    environment: str
    where: str | None
    """The cluster in words; ``None`` where none could be chosen."""
    findings: tuple[Finding, ...]
    user: str | None = None
    """The user that the cluster sees."""
    missing: tuple[Rule, ...] = ()
    """Missing permissions, each narrowed to the verbs and names that are denied."""

    def count(self, level: Level) -> int:
        return sum(finding.level is level for finding in self.findings)

    @property
    def healthy(self) -> bool:
        return not self.count(Level.FAIL)

    @property
    def exit_code(self) -> int:
        """0 if nothing failed, else 3."""
        return 0 if self.healthy else PreconditionError.exit_code

    @property
    def asked(self) -> tuple[Finding, ...]:
        """What to ask the cluster's administrators for."""
        return tuple(finding for finding in self.findings if finding.theirs and finding.level is not Level.OK)


def ok(area: str, name: str, said: str) -> Finding:
    return Finding(area=area, name=name, level=Level.OK, said=said)


def warn(area: str, name: str, said: str, remedy: str | None = None, *, theirs: bool = False) -> Finding:
    return Finding(area=area, name=name, level=Level.WARN, said=said, remedy=remedy, theirs=theirs)


def fail(area: str, name: str, said: str, remedy: str | None = None, *, theirs: bool = False) -> Finding:
    return Finding(area=area, name=name, level=Level.FAIL, said=said, remedy=remedy, theirs=theirs)


def not_looked_at(area: str, name: str, why: str, remedy: str | None = None) -> Finding:
    return warn(area, name, f"not looked at, because {why}", remedy)


def of_error(area: str, name: str, error: WeighbridgeError, level: Level = Level.FAIL) -> Finding:
    """Return the line of a probe that was refused."""
    return Finding(area=area, name=name, level=level, said=flat(error.what), remedy=error.remedy)


def flat(text: str) -> str:
    """Return the text on one line."""
    return " ".join(text.split())
