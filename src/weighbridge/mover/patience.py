"""How long to keep asking a source that fails: until no new byte has come for too long."""

from __future__ import annotations

import random
import time
from typing import Callable, TypeVar

from .control import Control
from .errors import FailedError, TryAgain
from .sources.interface import Origin

_FIRST_BACKOFF = 0.5
_LONGEST_BACKOFF = 20.0
_NOTE_SECONDS = 10.0

T = TypeVar("T")


class Persistence:
    """Retry policy of one run, shared by its workers."""

    def __init__(self, source: Origin, seconds: float, control: Control, note: Callable[[str], None]) -> None:
        self._source = source
        self._seconds = seconds
        self._control = control
        self._note = note
        self._noted = -_NOTE_SECONDS

    def patience(self) -> Patience:
        return Patience(self)

    def insist(self, ask: Callable[[], T]) -> T:
        """Return the answer to ``ask``. Ask again as long as it raises ``TryAgain`` and patience lasts."""
        patience = self.patience()
        while True:
            try:
                return ask()
            except TryAgain as problem:  # noqa: PERF203 - once for each failure
                patience.wait(problem)

    def wait(self, problem: TryAgain, failures: int, idle: float) -> None:
        """Sleep before the next try, or raise ``FailedError`` (transient) if ``idle`` seconds are too long.

        A source that never answered in this run gets a tenth of the time: the usual cause is a wrong address, not an
        outage.
        """
        limit = self._seconds if self._source.answered else self._seconds / 10
        if idle >= limit:
            raise FailedError(
                "source-unreachable",
                f"{problem}; nothing new for {idle:.0f} s",
                remedy="check endpoint, name resolution, proxy, NetworkPolicy and the source itself, then run again (it resumes)",
                transient=True,
            ) from problem
        now = time.monotonic()
        if now - self._noted >= _NOTE_SECONDS:
            self._noted = now
            self._note(f"{problem}; trying again")
        longest = min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2 ** min(failures, 10))
        self._control.sleep(random.uniform(longest / 4, longest))  # noqa: S311 - spreads retries, protects nothing


class Patience:
    """One worker's patience with one range. Every new byte renews it."""

    def __init__(self, persistence: Persistence) -> None:
        self._persistence = persistence
        self.progressed()

    def progressed(self) -> None:
        self._since = time.monotonic()
        self._failures = 0

    def wait(self, problem: TryAgain) -> None:
        self._persistence.wait(problem, self._failures, time.monotonic() - self._since)
        self._failures += 1
