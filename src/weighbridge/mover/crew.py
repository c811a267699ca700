"""Threads that work together. The first failure stops all of them and is the one that is reported."""

from __future__ import annotations

import threading
import time
from typing import Callable

from .control import AbandonedError, Control

_LEAVE_SECONDS = 10.0
"""How long stopping threads may take to finish. After that the process ends without them."""


class Crew:
    """Daemon threads, so that a thread that hangs in the kernel cannot keep the process alive."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._failure: BaseException | None = None

    def start(self, name: str, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=self._guarded, args=(work,), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except AbandonedError:
            pass
        except BaseException as error:  # noqa: BLE001 - passed to the main thread, which raises it
            with self._lock:
                self._failure = self._failure or error
            self._control.abandon()

    def watch(self, tick: Callable[[], None], interval: float = 0.2) -> None:
        """Call ``tick`` until all threads are done, then raise the first failure, if any."""
        leave: float | None = None
        while any(thread.is_alive() for thread in self._threads):
            tick()
            if self._control.stopping:
                leave = leave or time.monotonic() + _LEAVE_SECONDS
                if time.monotonic() > leave:
                    break
            for thread in self._threads:
                if thread.is_alive():
                    thread.join(interval)
                    break
        if self._failure is not None:
            raise self._failure
        self._control.check()
