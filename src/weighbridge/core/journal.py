"""The journal of a run: append-only JSON lines under ``var/journal/<environment>/``, for people and for reports.

It explains; it does not decide. What later runs rely on stands in the cluster (receipts, intents), because a fresh
pipeline runner has no ``var/``.
"""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from weighbridge.domain.digest import Json
from weighbridge.domain.visible import json_text
from weighbridge.errors import StepFailedError


@dataclass(frozen=True, slots=True)
class FileJournal:
    """One run's file. Each line is complete before the next begins: a torn last line is all a kill can leave."""

    path: Path
    run_id: str

    def record(self, event: str, **facts: Json) -> None:
        """Append one event, flushed to the disk."""
        row = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "run": self.run_id,
            "event": event,
            **facts,
        }
        data = (json_text(row) + "\n").encode()
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, data)
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise StepFailedError(
                f"the journal {self.path} cannot be written: {error.strerror}",
                remedy="make room, or run from a folder that you may write to",
            ) from error


def open_journal(var: Path, environment: str, verb: str) -> FileJournal:
    """A new journal below ``var``, named by the time and the process that run it."""
    folder = var / "journal" / environment
    run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StepFailedError(
            f"the folder {folder} cannot be made: {error.strerror}",
            remedy="run from a folder that you may write to, or set WEIGHBRIDGE_VAR",
        ) from error
    journal = FileJournal(folder / f"{run_id}-{verb}.jsonl", run_id)
    journal.record("run-started", verb=verb, environment=environment)
    return journal
