"""Private folders in memory that go with the process that made them, however it ends. They hold secrets, so none is made on a disk.

What a guarded child works in is removed by its guard (``process_guard.py``). Between the making of a folder and the start of
the guard there is nobody to do it after a ``kill -9``, so a folder's lock is shared by its maker and its guard, and the next
run removes those that nobody holds any more. The kernel drops a lock with its holder, across containers that share memory too.
"""

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from weighbridge.errors import PreconditionError

SHM = Path("/dev/shm")  # noqa: S108  folders of random names and mode 0700 are made in it
_MOUNTS = Path("/proc/self/mounts")
_PREFIX = "weighbridge-"
_SETTLED_SECONDS = 10
"""A folder younger than this is left alone: its maker may not have locked it yet."""


@contextmanager
def private_folder(kind: str, root: Path = SHM) -> Iterator[Path]:
    """A folder (0700) in memory, named by ``kind`` and this process: in ``root``, or where that cannot be written to, in another
    place that is in memory. Removes what killed runs of this user left there.

    ``PreconditionError`` where there is no such place.
    """
    place = place_in_memory(root)
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


def place_in_memory(root: Path = SHM) -> Path:
    """Where private folders are made. ``PreconditionError`` where there is no such place."""
    others = [Path(runtime)] if (runtime := os.environ.get("XDG_RUNTIME_DIR")) else []
    with contextlib.suppress(FileNotFoundError):  # nothing at all can be written to
        others.append(Path(tempfile.gettempdir()))
    if _writable(root) and (root != SHM or in_memory(root)):
        return root
    found = next((each for each in others if _writable(each) and in_memory(each)), None)
    if found is None:
        looked = ", ".join(str(each) for each in (root, *others))
        raise PreconditionError(
            f"no folder in memory can be written to ({looked}), and secrets are never written to a disk",
            remedy="let this process write to /dev/shm, or mount a tmpfs and name a folder of it in TMPDIR "
            "(in a pod: an emptyDir with medium Memory)",
            code="no-memory-folder",
        )
    return found


def _writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK) and folder.is_dir()


def in_memory(folder: Path, mounts: Path = _MOUNTS) -> bool:
    """Whether the file system of ``folder`` is one that no disk holds; False where it cannot be told."""
    try:
        target, rows = folder.resolve(), mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    best, kind = -1, ""
    for row in rows:
        fields = row.split()
        if len(fields) < 3:  # noqa: PLR2004 - device, mount point, type (fstab(5))
            continue
        point = Path(re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), fields[1]))
        depth = len(point.parts)
        if target.is_relative_to(point) and depth >= best:  # what is mounted later lies on top
            best, kind = depth, fields[2]
    return kind in {"tmpfs", "ramfs"}


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
