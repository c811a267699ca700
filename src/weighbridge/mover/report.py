"""The mover's reports: JSON lines on standard output, and one short result in the container's termination message."""

from __future__ import annotations

import json
import re
import resource
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, TextIO

from .errors import MoverError
from .paths import printable

TERMINATION_BYTES = 4096
"""Kubernetes keeps no more than this (Kubernetes, "Determine the Reason for Pod Failure")."""
NAMED_FILES = 20
"""Most paths in a result; the event stream names them all."""
_INTERVAL = 0.5
_WINDOW = 5.0


@dataclass
class Result:
    """The result of a run. After a failure, the counters say what was done."""

    outcome: str = "failed"
    set_digest: str | None = None
    files: int = 0
    total_bytes: int = 0
    bytes_fetched: int = 0
    bytes_resumed: int = 0
    files_repaired: list[str] = field(default_factory=list)
    published_at: str | None = None


class Reporter:
    """Writes events, one JSON object a line. Several threads may use it."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._lock = threading.Lock()
        self._started = clock()
        self._spoken: dict[str, float] = {}
        self._samples: dict[str, deque[tuple[float, int]]] = {}

    def progress(self, phase: str, done: int, total: int, *, final: bool = False) -> None:
        """Report the bytes done in this phase. Write at most one line each half second, and always the last one."""
        now = self._clock()
        with self._lock:
            samples = self._samples.setdefault(phase, deque([(self._clock(), done)]))
            if not final and now - self._spoken.get(phase, -_INTERVAL) < _INTERVAL:
                return
            self._spoken[phase] = now
            samples.append((now, done))
            while len(samples) > 2 and now - samples[0][0] > _WINDOW:  # noqa: PLR2004 - a rate needs two samples
                samples.popleft()
            elapsed = now - samples[0][0]
            rate = (done - samples[0][1]) / elapsed if elapsed > 0 else 0.0
            self._write(
                {"event": "progress", "phase": phase, "bytes": done, "total": total, "rate": round(rate)}
            )

    def file(self, path: str, size: int, sha256: str) -> None:
        """Report that this file's stored bytes have been read and have this digest."""
        with self._lock:
            self._write({"event": "file", "path": path, "size": size, "sha256": sha256})

    def problem(self, path: str, reason: str) -> None:
        """Report what is wrong with one file of a published or pushed set: ``damaged``, ``missing`` or ``extra``."""
        with self._lock:
            self._write({"event": "problem", "path": printable(path), "reason": reason})

    def note(self, text: str) -> None:
        with self._lock:
            self._write({"event": "note", "text": printable(text)})

    def result(self, result: Result, error: MoverError | None, termination: str | None) -> None:
        """Write the termination message, and the same as the last line. If the message cannot be written, add a note."""
        message = termination_message(result, error, seconds=self._clock() - self._started)
        if termination is not None:
            try:
                Path(termination).write_bytes(encode(message))
            except OSError as problem:
                self.note(f"the termination message cannot be written to {termination}: {problem.strerror}")
        with self._lock:
            self._write({"event": "result", **message})

    def _write(self, event: dict[str, Any]) -> None:
        try:
            self._stream.write(json.dumps(event, separators=(",", ":")) + "\n")
            self._stream.flush()
        except (BrokenPipeError, ValueError):  # the reader has gone: the work matters more than its log
            pass


def encode(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def termination_message(result: Result, error: MoverError | None, *, seconds: float) -> dict[str, Any]:
    """Return the result as a JSON object of at most 4096 bytes. Shorten lists and sentences until it fits."""
    message: dict[str, Any] = {
        "schema": 1,
        "outcome": "failed" if error else result.outcome,
        "set_digest": result.set_digest,
        "files": result.files,
        "total_bytes": result.total_bytes,
        "bytes_fetched": result.bytes_fetched,
        "bytes_resumed": result.bytes_resumed,
        "files_repaired": sorted(result.files_repaired)[:NAMED_FILES],
        "seconds": round(seconds, 3),
        "max_rss_bytes": peak_memory(),
        "published_at": result.published_at,
        "error": None,
    }
    if error:
        message["error"] = {
            "code": error.code,
            "message": error.message,
            "remedy": error.remedy,
            "files": list(error.files[:NAMED_FILES]),
            "transient": error.transient,
        }
    while len(encode(message)) > TERMINATION_BYTES:
        _shorten(message)
    return message


def peak_memory() -> int:
    """Return this process's peak resident memory in bytes. ``ru_maxrss`` would include that of the process that started it."""
    try:
        found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    except OSError:
        found = None
    if found:
        return int(found.group(1)) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _shorten(message: dict[str, Any]) -> None:
    lists = [message["files_repaired"]] + ([message["error"]["files"]] if message["error"] else [])
    longest = max(lists, key=lambda names: len(json.dumps(names)))
    if longest:
        longest.pop()
        return
    error = message["error"]
    key = max(("message", "remedy"), key=lambda name: len(json.dumps(error[name] or "")))
    error[key] = error[key][: len(error[key]) // 2] + "…"
