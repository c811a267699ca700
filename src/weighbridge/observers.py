"""Events → what somebody watching sees: bars on a terminal, plain lines in a pipeline's log, JSON lines for programs.

Progress goes to standard error; standard output belongs to results.
"""

import dataclasses
import re
import time
from typing import IO, Protocol

from rich.console import Console
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
    """An observer that holds something open, such as a screen with bars."""

    def __call__(self, event: Event) -> None: ...

    def close(self) -> None: ...


class _Lines:
    """Prints lines until nobody reads any more; the work goes on (``apply | head``)."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream: IO[str] | None = stream

    def say(self, line: str) -> None:
        if self._stream is None:
            return
        try:
            print(line, file=self._stream, flush=True)
        except BrokenPipeError:
            self._stream = None

    def close(self) -> None:
        """Nothing is held."""


class JsonLines(_Lines):
    """One JSON object a line, ``{"type": "transfer-progress", …}``; types and fields are those of core/events.py."""

    def __call__(self, event: Event) -> None:
        row = {"type": _kebab(type(event).__name__), **dataclasses.asdict(event)}
        self.say(json_text(row))


class PlainLines(_Lines):
    """A line where something happened, and every five seconds while bytes move: what a pipeline's log can bear."""

    def __init__(self, stream: IO[str], *, verbose: bool = False) -> None:
        super().__init__(stream)
        self._verbose = verbose
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
            return _verified(event) if self._verbose else None
        return _sentence(event)

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
    """Bars with bytes, rate and time left, below the lines of what is done."""

    def __init__(self, console: Console, *, verbose: bool = False) -> None:
        self._console = console
        self._verbose = verbose
        self._tasks: dict[tuple[str, str], TaskID] = {}
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
            key = (event.model_id, event.phase)
            if key not in self._tasks:
                self._tasks[key] = self._progress.add_task(
                    visible(f"{event.model_id} {event.phase}"), total=event.total
                )
            self._progress.update(self._tasks[key], completed=event.bytes, total=event.total)
        elif isinstance(event, FileVerified):
            if self._verbose:
                self._print(_verified(event))
        else:
            if isinstance(event, StepEnded):
                self._drop_bars()
            self._print(_sentence(event))

    def _print(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, emoji=False)

    def close(self) -> None:
        """Give the terminal back."""
        self._progress.stop()

    def _drop_bars(self) -> None:
        for task in self._tasks.values():
            self._progress.remove_task(task)
        self._tasks.clear()


def observer_for(stream: IO[str], *, as_json: bool, verbose: bool) -> ClosingObserver:
    """JSON lines when asked for; bars on a terminal; plain lines elsewhere."""
    if as_json:
        return JsonLines(stream)
    if stream.isatty():
        return Bars(Console(file=stream), verbose=verbose)
    return PlainLines(stream, verbose=verbose)


def _sentence(event: StepStarted | StepEnded | ResourceChanged | Note | Warned) -> str:
    """A line; where its words are of several lines, the further ones are marked as such."""
    head, *rest = continued(_words(event))
    return "\n".join([head, *(f"    {line}" for line in rest)])


def _words(event: StepStarted | StepEnded | ResourceChanged | Note | Warned) -> str:
    if isinstance(event, StepStarted):
        return f"▸ {event.title}"
    if isinstance(event, StepEnded):
        detail = f": {event.detail}" if event.detail else ""
        return f"  {_MARKS[event.outcome]} {event.outcome}{detail}  ({human.duration(event.seconds)})"
    if isinstance(event, ResourceChanged):
        return f"    {event.op} {event.type} {event.name}"
    return f"    warning: {event.text}" if isinstance(event, Warned) else f"    {event.text}"


def _verified(event: FileVerified) -> str:
    return visible(f"    {event.path}  {human.size(event.size)}  sha256 {event.sha256[:12]}…")


def _kebab(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()
