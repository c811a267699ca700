"""What can go wrong, one class a failure: an exit code, what happened, where, and what to do about it.

Foreign exceptions become one of these at the adapter that met them, chained with ``from``. The command line prints
them; nothing below it prints. Exit codes are those of the README's table.
"""

from dataclasses import dataclass
from typing import ClassVar

OK, DEFECT, CHANGES_PENDING, INTERRUPTED = 0, 1, 6, 130
"""Exit codes that are no failure's own. 6: ``plan --expect-no-changes``."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the user's own material a failure lies; every part is optional."""

    file: str | None = None
    line: int | None = None
    """1-based."""
    column: int | None = None
    """1-based."""
    key: str | None = None
    """Dotted path of a key, list indexes in brackets: ``models[0].parameters.dtype``."""

    def __str__(self) -> str:
        spot = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        return " ".join(part for part in (spot, self.key) if part)


class WeighbridgeError(Exception):
    """Base of every failure that a user meets.

    ``what`` is one sentence on what is wrong; ``remedy`` says what would be right or what to do next;
    ``code`` is a stable short name for ``--json`` (``kebab-case``).
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self, what: str, *, remedy: str | None = None, place: Place | None = None, code: str | None = None
    ) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy
        self.place = place
        self.code = code or type(self).__name__

    def __str__(self) -> str:
        head = f"{self.place}: {self.what}" if self.place and str(self.place) else self.what
        return f"{head}\n  → {self.remedy}" if self.remedy else head


class DefectError(WeighbridgeError):
    """Something of ours is wrong (exit 1)."""

    exit_code = 1


class InputError(WeighbridgeError):
    """One mistake in what the user wrote, found without the network (exit 2)."""

    exit_code = 2


class InputErrors(WeighbridgeError):  # noqa: N818 - it is several
    """Every mistake found in one reading of the user's file, in the file's order (exit 2)."""

    exit_code = 2

    def __init__(self, errors: tuple[InputError, ...]) -> None:
        super().__init__("\n".join(str(error) for error in errors))
        self.errors = errors

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)


class PreconditionError(WeighbridgeError):
    """Refused after looking at the cluster, the source or the platform; nothing was changed (exit 3)."""

    exit_code = 3


class ForbiddenError(PreconditionError):
    """One missing permission on the cluster (exit 3); made by ``kubernetes/denials.py``."""


class StepFailedError(WeighbridgeError):
    """A step failed (exit 4). ``transient`` says that running the same command again may well succeed."""

    exit_code = 4

    def __init__(
        self,
        what: str,
        *,
        remedy: str | None = None,
        place: Place | None = None,
        code: str | None = None,
        transient: bool = False,
    ) -> None:
        super().__init__(what, remedy=remedy, place=place, code=code)
        self.transient = transient


class VerificationError(WeighbridgeError):
    """Stored bytes are not the source's bytes (exit 5)."""

    exit_code = 5


class InterruptedByUserError(WeighbridgeError):
    """Ctrl-C or SIGTERM (exit 130)."""

    exit_code = 130


def is_transient(error: WeighbridgeError) -> bool:
    """Whether the same request to the cluster may well succeed in a moment."""
    if isinstance(error, PreconditionError):
        return error.code == "cluster-unreachable"
    return isinstance(error, StepFailedError) and error.transient
