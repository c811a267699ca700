"""The spool: where files wait between the source and the volume, never more bytes than its limit.

There is one folder for each rsync pod (that is, for each environment and model), locked while in use. It has one tree
for each fingerprint, laid out as on the volume, so that a run after a kill finds what was downloaded. The memory of
what was sent lies beside it on this machine, because others could write it on the volume.
"""

import fcntl
import os
import shutil
import threading
from collections.abc import Collection
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from weighbridge.errors import PreconditionError

MARGIN_BYTES = 64 * 1024 * 1024
"""Bytes to leave free on the disk besides the spool."""


class Spool:
    """A locked tree under ``folder / owner / version``. It holds at most ``limit`` bytes, or one file if that is larger."""

    def __init__(self, folder: Path, owner: str, version: str, limit: int) -> None:
        self._home = folder.absolute() / owner
        self._version = version
        self.limit = limit
        self._used = 0
        self.most_used = 0
        """Bytes; the largest amount reserved at one time."""
        self._changed = threading.Condition()
        self._stopped = False
        self._lock: IO[bytes] | None = None

    @property
    def tree(self) -> Path:
        return self._home / self._version

    @property
    def log(self) -> Path:
        """Path of kubectl's output."""
        return self._home / "port-forward.log"

    @property
    def memory(self) -> Path:
        """Path of the list of what this machine has sent of this version. Lines are appended."""
        return self._home / f"{self._version}.sent"

    def __enter__(self) -> Self:
        try:
            self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = _locked(self._home / ".lock")
            for other in self._home.iterdir():
                if other.is_dir() and other != self.tree:
                    shutil.rmtree(other)
                elif other.suffix == ".sent" and other != self.memory:
                    other.unlink()
            self.tree.mkdir(mode=0o700, exist_ok=True)
        except BlockingIOError as error:
            raise PreconditionError(
                f"another push to this pod uses the spool {self._home}",
                remedy="Wait until it has ended, or name another spool folder.",
                code="spool-busy",
            ) from error
        except OSError as error:
            raise PreconditionError(
                f"the spool {self._home} cannot be used: {error.strerror}",
                remedy="Name a folder that you can write.",
                code="spool-unusable",
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            shutil.rmtree(self.tree, ignore_errors=True)
        self.log.unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.close()

    def prepare(self, names: Collection[str], sizes: Collection[int]) -> None:
        """Delete files that are not in ``names``. Raise ``PreconditionError`` if the disk cannot hold the spool."""
        wanted = {self.tree / name for name in names}
        leftover = 0
        for folder, _folders, found in os.walk(self.tree):
            for name in found:
                path = Path(folder, name)
                if path in wanted:
                    leftover += path.stat().st_size
                else:
                    path.unlink()
        need = min(sum(sizes), max(self.limit, max(sizes, default=0)))
        free = shutil.disk_usage(self.tree).free + leftover
        if need and free < need + MARGIN_BYTES:
            raise PreconditionError(
                f"the spool {self._home} needs {need} bytes, {free} are free there",
                remedy="Free space, name another spool folder, or lower the spool's limit (one whole file must fit).",
                code="spool-too-small",
            )

    def forget_reserved(self) -> None:
        """Set the reserved bytes to zero: no downloaded file waits to be sent."""
        with self._changed:
            self._used = 0

    def reserve(self, size: int) -> None:
        """Wait until ``size`` bytes fit. Raise ``InterruptedError`` after ``stop``."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or not self._used or self._used + size <= self.limit)
            if self._stopped:
                raise InterruptedError
            self._used += size
            self.most_used = max(self.most_used, self._used)

    def release(self, names: Collection[str], size: int) -> None:
        """Delete files that were sent."""
        for name in names:
            (self.tree / name).unlink(missing_ok=True)
        with self._changed:
            self._used -= size
            self._changed.notify_all()

    def stop(self) -> None:
        """Wake and end the threads that wait for room."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    @property
    def stopped(self) -> bool:
        return self._stopped


def _locked(path: Path) -> IO[bytes]:
    """Return the file, locked until it is closed or its process ends. Raise ``BlockingIOError`` if another process holds it."""
    lock = path.open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise
    return lock
