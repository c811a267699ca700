"""The journal of a run: append-only JSON lines under ``var/journal/<environment>/``, for people and for reports.

The journal explains a run; it decides nothing. What later runs rely on is in the cluster (receipts, intents), because
a fresh pipeline runner has no ``var/``. ``var/`` may be deleted at any time: a run goes on without its journal.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from weighbridge.domain.digest import Json
from weighbridge.domain.visible import json_text
from weighbridge.errors import StepFailedError


def _say_nothing(_text: str) -> None:
    """Drop the warning."""


@dataclass(slots=True)
class FileJournal:
    """The file of one run. Each line is written whole before the next, so a kill can tear only the last line."""

    path: Path
    run_id: str
    warn: Callable[[str], None] = _say_nothing
    _warned: bool = field(default=False, init=False)

    def record(self, event: str, **facts: Json) -> None:
        """Append one event and flush it to the disk. Raise nothing: if it cannot be written, warn once and go on.
        Create the folder again if it was deleted.
        """
        try:
            self._append(self._line(event, facts))
        except OSError as error:
            if not self._warned:
                self._warned = True
                self.warn(
                    f"the journal {self.path} cannot be written: {error.strerror}; this run goes on without it"
                )

    def begin(self, event: str, **facts: Json) -> None:
        """Record the first event of a run. Raise ``StepFailedError`` if it cannot be written."""
        try:
            self._append(self._line(event, facts))
        except OSError as error:
            raise StepFailedError(
                f"the journal {self.path} cannot be written: {error.strerror}",
                remedy="make room, or run from a folder that you may write to",
            ) from error

    def _line(self, event: str, facts: dict[str, Json]) -> bytes:
        row = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "run": self.run_id,
            "event": event,
            **facts,
        }
        return (json_text(row) + "\n").encode()

    def _append(self, data: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        try:
            descriptor = os.open(self.path, flags, 0o600)
        except FileNotFoundError:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, flags, 0o600)
        try:
            os.write(descriptor, data)
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)


def open_journal(
    var: Path, environment: str, verb: str, warn: Callable[[str], None] = _say_nothing
) -> FileJournal:
    """Open a new journal below ``var``, named by start time and process. Call ``warn`` once if a later line cannot be written."""
    folder = var / "journal" / environment
    run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StepFailedError(
            f"the folder {folder} cannot be made: {error.strerror}",
            remedy="run from a folder that you may write to, or set WEIGHBRIDGE_VAR",
        ) from error
    journal = FileJournal((folder / f"{run_id}-{verb}.jsonl").absolute(), run_id, warn)
    journal.begin("run-started", verb=verb, environment=environment)
    return journal
