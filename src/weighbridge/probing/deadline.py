"""Calls that end in time, whatever the other side does."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from weighbridge.errors import StepFailedError

T = TypeVar("T")


def within(seconds: float, what: str, call: Callable[[], T]) -> T:
    """What ``call`` gives, or ``StepFailedError`` once the time is over; what it does then nobody waits for."""
    found = together(seconds, what, [call])[0]
    if isinstance(found, BaseException):
        raise found
    return found


def together(seconds: float, what: str, calls: Sequence[Callable[[], T]]) -> list[T | BaseException]:
    """All at once; what each gives or raises, and ``StepFailedError`` for one that is not over in time."""
    late = StepFailedError(
        f"no answer within {seconds:g} s",
        remedy="is it overloaded, or cut off?",
        code="probe-deadline",
        transient=True,
    )
    results: list[T | BaseException] = [late] * len(calls)

    def run(index: int, call: Callable[[], T]) -> None:
        try:
            results[index] = call()
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
            results[index] = error

    threads = [
        threading.Thread(target=run, args=row, name=f"doctor: {what}", daemon=True)
        for row in enumerate(calls)
    ]
    for thread in threads:
        thread.start()
    limit = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, limit - time.monotonic()))
    return list(results)
