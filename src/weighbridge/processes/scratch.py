"""Private folders that go with the process that made them, however it ends.

What a guarded child works in is removed by its guard (``process_guard.py``). Between the making of a folder and the start of
the guard there is nobody to do it after a ``kill -9``, so a folder's lock is shared by its maker and its guard, and the next
run removes those that nobody holds any more. The kernel drops a lock with its holder, across containers that share memory too.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SHM = Path("/dev/shm")  # noqa: S108  folders of random names and mode 0700 are made in it
_PREFIX = "weighbridge-"
_SETTLED_SECONDS = 10
"""A folder younger than this is left alone: its maker may not have locked it yet."""


@contextmanager
def private_folder(kind: str, root: Path = _SHM) -> Iterator[Path]:
    """A folder (0700) in memory, named by ``kind`` and this process; ``root`` where that is no folder to write to: the usual
    place for temporary files. Removes what killed runs of this user left there.
    """
    usable = root.is_dir() and os.access(root, os.W_OK | os.X_OK)
    place = root if usable else Path(tempfile.gettempdir())
    sweep(place)
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{kind}-{os.getpid()}-", dir=place))
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with contextlib.suppress(OSError):  # a file system without locks: then nobody sweeps it either
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            yield folder
        finally:
            os.close(descriptor)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(place: Path, older_than_seconds: float = _SETTLED_SECONDS) -> tuple[str, ...]:
    """Remove this user's private folders in ``place`` that nobody holds; their names."""
    removed = []
    for folder in place.glob(f"{_PREFIX}*-[0-9]*-*"):
        with contextlib.suppress(OSError):
            if _forsaken(folder, older_than_seconds):
                shutil.rmtree(folder)
                removed.append(folder.name)
    return tuple(removed)


def _forsaken(folder: Path, older_than_seconds: float) -> bool:
    """Raises ``OSError`` for what is no folder, or whose lock is held."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid() or time.time() - found.st_mtime < older_than_seconds:
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    finally:
        os.close(descriptor)
