"""Several calls side by side, of which an interruption waits for none."""

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

A = TypeVar("A")
T = TypeVar("T")

AT_ONCE: Final = 8
"""How many requests of one kind a server gets from us at a time."""


def at_once(call: Callable[[A], T], items: Sequence[A], width: int) -> list[T]:
    """What ``call`` gives for each item, at most ``width`` at a time; where some raise, the first item's error.

    Whatever interrupts the wait (Ctrl-C, say) leaves the calls under way behind: their threads end with the process. So
    they must be such that nothing is lost by that: calls that only read.
    """
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for index in range(len(items)):
        waiting.put(index)
    results: dict[int, T] = {}
    errors: dict[int, BaseException] = {}

    def work() -> None:
        while True:
            try:
                index = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                results[index] = call(items[index])
            except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
                errors[index] = error

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(width, len(items)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[min(errors)]
    return [results[index] for index in range(len(items))]
