"""Calls that end in time, whatever the other side does."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from weighbridge.errors import StepFailedError

T = TypeVar("T")


def within(seconds: float, what: str, call: Callable[[], T]) -> T:
    """Return the result of ``call``. Raise ``StepFailedError`` after the time; nobody then waits for the call."""
    found = together(seconds, what, [call])[0]
    if isinstance(found, BaseException):
        raise found
    return found


def together(seconds: float, what: str, calls: Sequence[Callable[[], T]]) -> list[T | BaseException]:
    """Run all calls at once. Return for each its result or its exception, or ``StepFailedError`` if it did not end in time."""
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
        except BaseException as error:  # noqa: BLE001 - the caller raises it again
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
