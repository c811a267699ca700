"""What can go wrong, one class for each kind of failure: an exit code, what happened, where, and what to do about it.

The adapter that meets a foreign exception turns it into one of these, chained with ``from``. The command line prints
them; nothing below it prints. The exit codes are those of the README's table.
"""

from dataclasses import dataclass
from typing import ClassVar

OK, DEFECT, CHANGES_PENDING, INTERRUPTED = 0, 1, 6, 130
"""Exit codes that belong to no error class. 6: ``plan --expect-no-changes``."""


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a failure in the user's own files; every part is optional."""

    file: str | None = None
    line: int | None = None
    """Counted from 1."""
    column: int | None = None
    """Counted from 1."""
    key: str | None = None
    """Dotted path of a key, with list indexes in brackets: ``models[0].parameters.dtype``."""

    def __str__(self) -> str:
        spot = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        return " ".join(part for part in (spot, self.key) if part)


class WeighbridgeError(Exception):
    """Base of every failure that a user sees.

    ``what``: one sentence on what is wrong. ``remedy``: what would be right, or what to do next. ``code``: a stable
    short name for ``--json`` (``kebab-case``).
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
    """A defect of weighbridge (exit 1)."""

    exit_code = 1


class InputError(WeighbridgeError):
    """One mistake in what the user wrote, found without the network (exit 2)."""

    exit_code = 2


class InputErrors(WeighbridgeError):  # noqa: N818 - it holds several errors
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
    """One missing permission in the cluster (exit 3); made by ``kubernetes/denials.py``."""


class StepFailedError(WeighbridgeError):
    """A step failed (exit 4). ``transient``: the same command may succeed if it is run again."""

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
    """Return whether the same request to the cluster may succeed in a moment."""
    if isinstance(error, PreconditionError):
        return error.code == "cluster-unreachable"
    return isinstance(error, StepFailedError) and error.transient
