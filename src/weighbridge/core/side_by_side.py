"""Work side by side in threads, which an interruption ends: it reaches the main thread alone."""

import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

A = TypeVar("A")
T = TypeVar("T")

_LOOK_EVERY_SECONDS: Final = 0.5


def alone(items: Sequence[object], width: int) -> bool:
    """Whether none of them has another beside it."""
    return width == 1 or len(items) <= 1


def side_by_side(
    call: Callable[[A], T], items: Sequence[A], width: int, interrupt: Callable[[], None]
) -> list[T]:
    """What ``call`` gives for each item, in their order, at most ``width`` at a time; one alone stays in this thread.

    An interruption, which the loss of the environment is too, and whatever ``call`` raises drop what has not begun. Then ``interrupt``
    has to end what is under way, and it is waited for; a further interruption calls it again.
    """
    if alone(items, width):
        return [call(item) for item in items]
    crew = _Crew(call, items)
    try:
        for _ in range(min(width, len(items))):
            threading.Thread(target=crew.work, daemon=True).start()
        return crew.results()
    except BaseException:
        crew.end(interrupt)
        raise


class _Crew(Generic[A, T]):
    """Threads and their work. Without locks of its own: an interruption may hit the waiting thread between any two steps."""

    def __init__(self, call: Callable[[A], T], items: Sequence[A]) -> None:
        self._call, self._items = call, items
        self._waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        for index in range(len(items)):
            self._waiting.put(index)
        self._begun: set[int] = set()
        self._ended: set[int] = set()
        self._results: dict[int, T] = {}
        self._errors: dict[int, BaseException] = {}
        self._stopping = False
        self._told: queue.SimpleQueue[None] = queue.SimpleQueue()

    def work(self) -> None:
        """One thread's share."""
        while True:
            try:
                index = self._waiting.get_nowait()
            except queue.Empty:
                return
            self._begun.add(index)
            try:
                if (
                    not self._stopping
                ):  # looked at after it is known to have begun: ``end`` sees the one or the other
                    self._results[index] = self._call(self._items[index])
            except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
                self._errors[index] = error
            finally:
                self._ended.add(index)
                self._told.put(None)

    def results(self) -> list[T]:
        """Of all items. What one of them raised, as soon as it has."""
        self._wait(lambda: bool(self._errors) or len(self._ended) == len(self._items))
        for error in self._errors.values():
            raise error
        return [self._results[index] for index in range(len(self._items))]

    def end(self, interrupt: Callable[[], None]) -> None:
        """Begin nothing more, have ended what is under way, and wait for it."""
        while True:
            try:
                self._stopping = True
                interrupt()
                self._wait(lambda: self._begun <= self._ended)
            except KeyboardInterrupt:
                continue
            return

    def _wait(self, until: Callable[[], bool]) -> None:
        while not until():
            with contextlib.suppress(queue.Empty):
                self._told.get(timeout=_LOOK_EVERY_SECONDS)
