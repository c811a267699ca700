"""The source during one run: lanes to it, patience with it, and a watchdog that cuts a lane without traffic."""

from __future__ import annotations

import queue
from collections.abc import Iterable, Sequence
from functools import partial
from types import TracebackType
from typing import Callable

from .crew import Crew
from .document import OrderFile
from .errors import RefusedError
from .patience import Persistence
from .readback import MakeCheck
from .run import Run
from .transport import Lane

NO_SOURCE = "order: source is missing, there is nothing to fetch from"
_CUT_AFTER = 2.0
"""Seconds after the socket's own timeout until the watchdog cuts a connection that delivers too slowly."""


class Contact:
    """Must be closed. Nothing is sent before the first request."""

    def __init__(self, run: Run) -> None:
        if run.order.source is None:
            raise RefusedError("order-refused", NO_SOURCE)
        self._control = run.control
        self._stall = run.order.limits.stall_seconds
        self.origin, self.lanes = run.order.source.connect(run.reach)
        self.persistence = Persistence(
            self.origin, run.order.limits.patience_seconds, run.control, run.reporter.note
        )

    def __enter__(self) -> Contact:  # noqa: PYI034 - typing.Self is of Python 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for lane in self.lanes:
            lane.close()

    def crew(
        self,
        work: Callable[[Lane], None],
        more: Sequence[Callable[[], None]] = (),
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        """Run ``work`` on every lane, and ``more`` beside it, each in a thread. Call ``tick`` until all are done."""
        crew = Crew(self._control)
        for lane in self.lanes:
            crew.start("mover", partial(work, lane))
        for task in more:
            crew.start("mover", task)

        def watch() -> None:
            self._cut_stalled()
            tick()

        crew.watch(watch)

    def checks(self, wanted: Iterable[tuple[OrderFile, bool]]) -> dict[str, MakeCheck | None]:
        """Return the check for each file (see ``Origin.check``). ``wanted``: each file, and whether it needs proof
        against forgery. Refuse a file that is not the one that the plan saw.
        """
        waiting: queue.SimpleQueue[tuple[OrderFile, bool]] = queue.SimpleQueue()
        for item in wanted:
            waiting.put(item)
        found: dict[str, MakeCheck | None] = {}

        def ask(lane: Lane) -> None:
            while True:
                try:
                    file, proof = waiting.get_nowait()
                except queue.Empty:
                    return
                question = partial(self.origin.check, lane, file, proof=proof)
                found[file.path] = self.persistence.insist(question)

        self.crew(ask)
        return found

    def list(self, exclude: Sequence[str]) -> list[OrderFile]:
        """Return every file that the source has now, without ``exclude``."""
        found: list[OrderFile] = []
        first = self.lanes[0]

        def ask(lane: Lane) -> None:
            if lane is first:
                found.extend(self.persistence.insist(partial(self.origin.list, lane, exclude)))

        self.crew(ask)
        return found

    def _cut_stalled(self) -> None:
        limit = 0.0 if self._control.stopping else self._stall + _CUT_AFTER
        for lane in self.lanes:
            if lane.idle_seconds() > limit:
                lane.cut()
