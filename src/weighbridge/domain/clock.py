"""Time for everything that waits, so that a test can replace it."""

import time
from typing import Protocol


class Clock(Protocol):
    """Seconds since some moment, never going back; and a pause, in seconds."""

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """Real time."""

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
