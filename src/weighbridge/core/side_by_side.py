"""Run work in threads side by side. An interruption reaches only the main thread, which then ends the others."""

import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

A = TypeVar("A")
T = TypeVar("T")

_LOOK_EVERY_SECONDS: Final = 0.5


def alone(items: Sequence[object], width: int) -> bool:
    """Whether each item runs with no other beside it."""
    return width == 1 or len(items) <= 1


def side_by_side(
    call: Callable[[A], T], items: Sequence[A], width: int, interrupt: Callable[[], None]
) -> list[T]:
    """Return ``call`` of each item, in order, with at most ``width`` calls at a time. A single item stays in this
    thread.

    If ``call`` raises, or an interruption arrives (the loss of the environment is one too), start no further item.
    Then call ``interrupt``, which has to stop the running calls, and wait for them. Each further interruption calls
    it again.
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
    """Threads and their work. It uses no lock of its own: an interruption may hit the waiting thread between any two steps."""

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
        """Run items in one thread."""
        while True:
            try:
                index = self._waiting.get_nowait()
            except queue.Empty:
                return
            self._begun.add(index)
            try:
                if (
                    not self._stopping
                ):  # read after ``_begun`` is set: ``end`` stops this item or waits for it
                    self._results[index] = self._call(self._items[index])
            except BaseException as error:  # noqa: BLE001 - ``results`` raises it again
                self._errors[index] = error
            finally:
                self._ended.add(index)
                self._told.put(None)

    def results(self) -> list[T]:
        """Return the results of all items. Raise the error of an item as soon as there is one."""
        self._wait(lambda: bool(self._errors) or len(self._ended) == len(self._items))
        for error in self._errors.values():
            raise error
        return [self._results[index] for index in range(len(self._items))]

    def end(self, interrupt: Callable[[], None]) -> None:
        """Start nothing more, interrupt the running calls, and wait for them."""
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
