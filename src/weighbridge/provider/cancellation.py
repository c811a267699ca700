"""A clock that the engine can cancel."""

import threading
from collections.abc import Callable

from weighbridge.errors import InterruptedByUserError


class CancelledClock:
    """Real time. When the engine cancels, everything that waits is interrupted."""

    def __init__(self, cancelled: threading.Event, monotonic: Callable[[], float]) -> None:
        self._cancelled = cancelled
        self._monotonic = monotonic

    def monotonic(self) -> float:
        return self._monotonic()

    def sleep(self, seconds: float) -> None:
        if self._cancelled.wait(seconds):
            raise InterruptedByUserError(
                "cancelled", remedy="run the same command again: it takes up where this ended"
            )
