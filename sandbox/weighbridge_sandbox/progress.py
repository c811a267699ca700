"""What a person or a program sees while the sandbox works."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.status import Status

QUIET_S = 15


class Progress(Protocol):
    """Told what begins, what happens within it, and what ends."""

    def begin(self, part: str) -> None:
        """A part of the work begins."""

    def detail(self, text: str) -> None:
        """How far the part at hand is."""

    def end(self, part: str, seconds: float, note: str) -> None:
        """The part is done."""

    def say(self, text: str) -> None:
        """Something a person should read."""


class ScreenProgress:
    """For people: a moving line on a terminal, plain lines (a detail each 15 s at most) elsewhere."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._status: Status | None = None
        self._part = ""
        self._spoke = 0.0

    def begin(self, part: str) -> None:
        """Show the part as the one at hand."""
        self._part, self._spoke = part, time.monotonic()
        if self._console.is_terminal:
            self._status = self._console.status(part)
            self._status.start()

    def detail(self, text: str) -> None:
        """Show how far it is."""
        if self._status:
            self._status.update(f"{self._part}: {text}")
        elif time.monotonic() - self._spoke > QUIET_S:
            self._spoke = time.monotonic()
            self._console.print(f"  {self._part}: {text}", markup=False, soft_wrap=True)

    def end(self, part: str, seconds: float, note: str) -> None:
        """Leave one line behind."""
        if self._status:
            self._status.stop()
            self._status = None
        self._console.print(
            f"{seconds:7.1f} s  {part}" + (f" ({note})" if note else ""), markup=False, soft_wrap=True
        )

    def say(self, text: str) -> None:
        """Print it."""
        self._console.print(text, markup=False, soft_wrap=True)


class JsonProgress:
    """For programs: one JSON object a line on standard error; keys `event`, `part`, `text`, `seconds`, `note`."""

    def _write(self, **message: str | float) -> None:
        sys.stderr.write(json.dumps(message) + "\n")
        sys.stderr.flush()

    def begin(self, part: str) -> None:
        """Event `begin`."""
        self._write(event="begin", part=part)

    def detail(self, text: str) -> None:
        """Event `detail`."""
        self._write(event="detail", text=text)

    def end(self, part: str, seconds: float, note: str) -> None:
        """Event `end`; `seconds` of wall clock."""
        self._write(event="end", part=part, seconds=round(seconds, 3), note=note)

    def say(self, text: str) -> None:
        """Event `say`."""
        self._write(event="say", text=text)


class Part:
    """One timed part of the work; set `note` to say how it ended."""

    note = ""


@contextmanager
def part(progress: Progress, name: str) -> Iterator[Part]:
    """Time a part of the work and report its end, in whatever way it ends."""
    progress.begin(name)
    started, this = time.monotonic(), Part()
    try:
        yield this
    except BaseException:
        this.note = "stopped"
        raise
    finally:
        progress.end(name, time.monotonic() - started, this.note)
