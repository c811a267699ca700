"""Digests of a folder's files, remembered on this machine as long as the files stay the same.

A file counts as the same if size, times of last change (of content and of status), inode and device are the same. A
digest is remembered only if the file was at rest for a while before it was read: within one tick of its file system's
clock, two contents can have the same times. If the memory is damaged, the files are read again.
"""

import contextlib
import hashlib
import json
import os
import tempfile
import time
from pathlib import Path

REST_SECONDS = 2.0
"""Minimum age of the last change: FAT's clock ticks every two seconds, others tick faster."""


def identity(status: os.stat_result) -> list[int]:
    """Return values that stay the same as long as nobody writes to the file."""
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev]


class Digests:
    """The memory of one folder. With ``None`` as cache, nothing is remembered."""

    def __init__(self, cache: Path | None, folder: Path) -> None:
        name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:24]
        self._file = None if cache is None else cache / "folders" / f"{name}.json"
        self._rows = {} if self._file is None else _read(self._file)

    def known(self, path: str, status: os.stat_result) -> str | None:
        """Return the digest of the file in its present state, if it was read before."""
        row = self._rows.get(path)
        return row[1] if row is not None and row[0] == identity(status) else None

    def remember(self, path: str, status: os.stat_result, sha256: str, read_since: float) -> None:
        """``read_since``: when reading began, in seconds since the epoch."""
        last = max(status.st_mtime, status.st_ctime)
        if read_since - last >= REST_SECONDS:
            self._rows[path] = (identity(status), sha256)

    def keep(self) -> None:
        """Write the memory to the disk. A failure only costs time at the next look."""
        if self._file is None:
            return
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=self._file.parent, prefix=".digests-")
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                json.dump(self._rows, stream, separators=(",", ":"))
            Path(name).replace(self._file)


def now() -> float:
    """Return seconds since the epoch, by the clock that file systems of this machine use."""
    return time.time()


def _read(file: Path) -> dict[str, tuple[list[int], str]]:
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
        return {
            str(path): ([int(number) for number in of], str(sha256)) for path, (of, sha256) in rows.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
