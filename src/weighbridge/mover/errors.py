"""Failures that the mover reports, one class for each exit code (``contract``: 3 precondition, 4 failed, 5 verification)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class MoverError(Exception):
    """A failure that the user must know.

    ``code`` is a stable short name in kebab-case, ``message`` one sentence on what is wrong and where, ``remedy``
    what to do; ``files`` names paths of the set; ``transient`` means that another run may succeed.
    """

    exit_code: ClassVar[int] = 4

    def __init__(
        self,
        code: str,
        message: str,
        *,
        remedy: str | None = None,
        files: Sequence[str] = (),
        transient: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.remedy = remedy
        self.files = tuple(files)
        self.transient = transient


class FailedError(MoverError):
    """The work could not be finished (exit 4)."""

    exit_code = 4


class RefusedError(MoverError):
    """Refused after looking: the source, the volume or the order is not as required (exit 3)."""

    exit_code = 3


class VerificationError(MoverError):
    """Stored bytes are not the source's bytes (exit 5)."""

    exit_code = 5


class InterruptedByError(MoverError):
    """A signal asked the mover to stop. What was done so far is kept (exit 128 + signal number)."""

    def __init__(self, signal_number: int, signal_name: str) -> None:
        super().__init__(
            "interrupted",
            f"stopped by {signal_name}",
            remedy="run again: what has been fetched so far is kept and not fetched again",
            transient=True,
        )
        self.signal_number = signal_number


class TryAgain(Exception):  # noqa: N818 - a signal to the retry loop, not a failure
    """The request failed in a way that is often temporary; the text says how."""
