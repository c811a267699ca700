"""Show events to the user: bars on a terminal, plain lines in a pipeline's log, JSON lines for programs.

Progress goes to standard error; standard output is for results.
"""

import dataclasses
import re
import threading
import time
from typing import IO, Protocol, TypeAlias

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from weighbridge.core.events import (
    Event,
    FileVerified,
    Note,
    ResourceChanged,
    StepEnded,
    StepStarted,
    TransferProgress,
    Warned,
)
from weighbridge.domain import human
from weighbridge.domain.visible import continued, json_text, visible

_LINE_EVERY_SECONDS = 5.0
_MARKS = {"done": "✓", "unchanged": "=", "declined": "~", "skipped": "-", "failed": "✗"}


class ClosingObserver(Protocol):
    """An observer that holds a resource open, such as a screen with bars."""

    def __call__(self, event: Event) -> None: ...

    def close(self) -> None: ...


class _Lines:
    """Print lines until the reader has gone; the work goes on (``apply | head``). Each line stays whole."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream: IO[str] | None = stream
        self._saying = threading.Lock()

    def say(self, line: str) -> None:
        with self._saying:
            if self._stream is None:
                return
            try:
                print(line, file=self._stream, flush=True)
            except BrokenPipeError:
                self._stream = None

    def close(self) -> None:
        """Do nothing: nothing is held open."""


class JsonLines(_Lines):
    """Write one JSON object a line, ``{"type": "transfer-progress", …}``. Types and fields are those of core/events.py."""

    def __call__(self, event: Event) -> None:
        row = {"type": _kebab(type(event).__name__), **dataclasses.asdict(event)}
        self.say(json_text(row))


class PlainLines(_Lines):
    """Print a line for each event, and one every five seconds while bytes move, so that a pipeline's log stays short."""

    def __init__(self, stream: IO[str], *, verbose: bool = False) -> None:
        super().__init__(stream)
        self._verbose = verbose
        self._telling = _Telling()
        self._last: dict[tuple[str, str], float] = {}

    def __call__(self, event: Event) -> None:
        line = self._line(event)
        if line is not None:
            self.say(line)

    def _line(self, event: Event) -> str | None:
        if isinstance(event, TransferProgress):
            line = self._progress(event)
            return None if line is None else visible(line)
        if isinstance(event, FileVerified):
            return self._telling.verified(event) if self._verbose else None
        return self._telling.sentence(event)

    def _progress(self, event: TransferProgress) -> str | None:
        now, key = time.monotonic(), (event.model_id, event.phase)
        complete = event.bytes >= event.total
        if not complete and now - self._last.get(key, -_LINE_EVERY_SECONDS) < _LINE_EVERY_SECONDS:
            return None
        if complete and self._last.get(key) == float("inf"):
            return None
        self._last[key] = float("inf") if complete else now
        left = (event.total - event.bytes) / event.rate if event.rate > 0 else None
        eta = f", {human.duration(left)} left" if left is not None and not complete else ""
        share = f"{100 * event.bytes // event.total:3d} %" if event.total else "100 %"
        return (
            f"    {event.model_id} {event.phase:<7} {share}  {human.size(event.bytes)} of {human.size(event.total)}"
            f"{f'  {human.rate(event.rate)}' if event.rate > 0 else ''}{eta}"
        )


class Bars:
    """Show, below the lines of what is done, a row for each model in transfer: bytes, rate and time left."""

    def __init__(self, console: Console, *, verbose: bool = False) -> None:
        self._console = console
        self._verbose = verbose
        self._telling = _Telling()
        self._changing = threading.Lock()
        self._rows: dict[str, tuple[TaskID, str]] = {}
        """By model id, with the phase shown."""
        self._progress = Progress(
            TextColumn("    {task.description}", markup=False),
            BarColumn(bar_width=32),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._progress.start()

    def __call__(self, event: Event) -> None:
        if isinstance(event, TransferProgress):
            with self._changing:
                self._advance(event)
        elif isinstance(event, FileVerified):
            if self._verbose:
                self._print(self._telling.verified(event))
        else:
            with self._changing:
                if isinstance(event, StepStarted) and event.item is not None:
                    self._show(event.item, "begins", None)
                elif isinstance(event, StepEnded):
                    self._drop(event.item)
            self._print(self._telling.sentence(event))

    @property
    def shown(self) -> RenderableType:
        """Return the rows as they are now."""
        return self._progress.get_renderable()

    def _advance(self, event: TransferProgress) -> None:
        if self._rows.get(event.model_id, (None, ""))[1] != event.phase:
            self._show(event.model_id, event.phase, event.total)
        self._progress.update(self._rows[event.model_id][0], completed=event.bytes, total=event.total)

    def _show(self, model_id: str, phase: str, total: float | None) -> None:
        """Show a row of its own for each phase, because each has its own rate. ``total``: ``None`` before the first byte."""
        self._drop(model_id)
        self._rows[model_id] = (self._progress.add_task(visible(f"{model_id} {phase}"), total=total), phase)

    def _drop(self, model_id: str | None) -> None:
        """Remove the row. ``None``: remove every row, because what has ended ran alone."""
        for known in [*self._rows] if model_id is None else [model_id]:
            if known in self._rows:
                self._progress.remove_task(self._rows.pop(known)[0])

    def _print(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, emoji=False)

    def close(self) -> None:
        """Release the terminal."""
        self._progress.stop()


def observer_for(stream: IO[str], *, as_json: bool, verbose: bool) -> ClosingObserver:
    """Return JSON lines if requested, bars on a terminal, else plain lines."""
    if as_json:
        return JsonLines(stream)
    if stream.isatty():
        return Bars(Console(file=stream), verbose=verbose)
    return PlainLines(stream, verbose=verbose)


_Told: TypeAlias = StepStarted | StepEnded | ResourceChanged | Note | Warned


class _Telling:
    """Events in words. While several steps are in progress, each line names its step."""

    def __init__(self) -> None:
        self._in_progress: set[str] = set()
        self._not_alone: set[str] = set()
        """Keys of steps during which another step was in progress."""
        self._changing = threading.Lock()

    def sentence(self, event: _Told) -> str:
        """Return a line. If its text has several lines, mark the further ones as its continuation."""
        head, *rest = continued(self._words(event))
        return "\n".join([head, *(f"    {line}" for line in rest)])

    def verified(self, event: FileVerified) -> str:
        of = f"{event.model_id} " if len(self._in_progress) > 1 else ""
        return visible(f"    {of}{event.path}  {human.size(event.size)}  sha256 {event.sha256[:12]}…")

    def _words(self, event: _Told) -> str:
        if isinstance(event, StepStarted):
            self._started(event.key)
            return f"▸ {event.title}"
        if isinstance(event, StepEnded):
            of = f"{event.title}: " if self._ended_beside_others(event.key) else ""
            detail = f": {event.detail}" if event.detail else ""
            return f"  {_MARKS[event.outcome]} {of}{event.outcome}{detail}  ({human.duration(event.seconds)})"
        if isinstance(event, ResourceChanged):
            return f"    {event.op} {event.type} {event.name}"
        return f"    warning: {event.text}" if isinstance(event, Warned) else f"    {event.text}"

    def _started(self, key: str) -> None:
        with self._changing:
            self._in_progress.add(key)
            if len(self._in_progress) > 1:
                self._not_alone |= self._in_progress

    def _ended_beside_others(self, key: str) -> bool:
        with self._changing:
            self._in_progress.discard(key)
            beside = key in self._not_alone
            self._not_alone.discard(key)
            return beside


def _kebab(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()
