"""When to stop: a signal, the deadline, or another thread's failure."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterable

from .errors import FailedError, InterruptedByError


class AbandonedError(Exception):
    """This thread stops because another one failed. The other thread's failure is reported, not this one."""


class Control:
    """Shared by all threads of one run. ``check`` is cheap; call it at least once for each buffer."""

    def __init__(self, deadline_seconds: float) -> None:
        self._event = threading.Event()
        self._signal: int | None = None
        self._limit = deadline_seconds
        self._deadline = time.monotonic() + deadline_seconds

    def install(self, signals: Iterable[int] = (signal.SIGTERM, signal.SIGINT)) -> None:
        """Turn these signals into an orderly stop. Without a handler, PID 1 of a container would ignore them."""
        for number in signals:
            signal.signal(number, lambda received, _frame: self.interrupt(received))

    def interrupt(self, signal_number: int) -> None:
        self._signal = signal_number
        self._event.set()

    def abandon(self) -> None:
        """Stop all threads, because one failed."""
        self._event.set()

    @property
    def stopping(self) -> bool:
        return self._event.is_set()

    def check(self) -> None:
        """Raise an error if the run has to stop: ``InterruptedByError``, ``AbandonedError``, or ``FailedError`` after
        the deadline.
        """
        if self._event.is_set():
            if self._signal is not None:
                raise InterruptedByError(self._signal, signal.Signals(self._signal).name)
            raise AbandonedError
        if time.monotonic() > self._deadline:
            raise FailedError(
                "deadline",
                f"not finished within {self._limit:g} s",
                remedy="run again (it resumes), or raise the deadline in the environment file",
                transient=True,
            )

    def sleep(self, seconds: float) -> None:
        """Wait, but no longer than the run may last."""
        self._event.wait(max(0.0, min(seconds, self._deadline - time.monotonic() + 0.01)))
        self.check()
