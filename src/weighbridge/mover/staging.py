"""Files in flight: sparse files in the staging directory, and a journal of what has arrived in them."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterable, Sequence

from .chunks import Extent, forget_line, journal_header, journal_line, plan_ranges, read_journal
from .document import OrderFile
from .layout import SIDECARS, STAGING, Layout, lock_of
from .locks import SetLock
from .order import Order
from .volume import Volume

_MAX_JOURNAL = 256 << 20
_SHORT = re.compile(r"[0-9a-f]{12}")
_PUSH_GRACE_SECONDS = 3600


class StagedFile:
    """One file in flight. ``write`` may be called from several threads for different ranges."""

    def __init__(self, file: OrderFile, descriptor: int, extents: Sequence[Extent]) -> None:
        self.file = file
        self.descriptor = descriptor
        self.extents = list(extents)
        """What has arrived; guarded by the journal's lock."""
        self.unfinished = 0
        """Ranges that are being fetched or wait for it; guarded by the fetch's lock."""
        self.attempts = 0
        """How often the file turned out wrong after it was complete."""

    def write(self, data: memoryview, offset: int) -> None:
        while data:
            written = os.pwrite(self.descriptor, data, offset)
            data = data[written:]
            offset += written

    def missing_ranges(self, chunk_bytes: int) -> list[tuple[int, int]]:
        return plan_ranges(self.file.size, self.extents, chunk_bytes)

    def unallocated(self) -> int:
        """Bytes that the volume still has to find room for."""
        return max(0, self.file.size - os.fstat(self.descriptor).st_blocks * 512)

    def close(self) -> None:
        os.close(self.descriptor)


class Staging:
    """The staging directory of one set with its journal, opened for the files that are to be fetched."""

    def __init__(self, volume: Volume, layout: Layout, fingerprint: str, files: Iterable[OrderFile]) -> None:
        wanted = {file.path: file for file in files}
        content = volume.read(layout.journal, _MAX_JOURNAL) or b""
        arrived = read_journal(content, fingerprint, {path: file.size for path, file in wanted.items()})
        self._lock = threading.Lock()
        self.files: dict[str, StagedFile] = {}
        for path, file in sorted(wanted.items()):
            descriptor = volume.open(
                f"{layout.staging}/{path}", os.O_RDWR | os.O_CREAT, create_directories=True
            )
            there = os.fstat(descriptor).st_size
            os.ftruncate(descriptor, file.size)
            self.files[path] = StagedFile(
                file, descriptor, [extent for extent in arrived[path] if extent.end <= there]
            )
        kept = b"".join(
            journal_line(path, extent) for path, staged in self.files.items() for extent in staged.extents
        )
        volume.write_atomically(layout.journal, journal_header(fingerprint) + kept)
        self._journal = volume.open(layout.journal, os.O_WRONLY | os.O_APPEND)

    def arrived(self, staged: StagedFile, extent: Extent) -> None:
        """Record that these bytes are on the volume: first they are made to last, then the journal says so."""
        if not extent.length:
            return
        os.fdatasync(staged.descriptor)
        os.posix_fadvise(staged.descriptor, extent.offset, extent.length, os.POSIX_FADV_DONTNEED)
        with self._lock:
            staged.extents.append(extent)
            os.write(self._journal, journal_line(staged.file.path, extent))

    def forget(self, staged: StagedFile, offset: int, length: int) -> int:
        """Take back what was recorded of these bytes; returns how many were recorded."""
        with self._lock:
            overlapping = [e for e in staged.extents if e.end > offset and e.offset < offset + length]
            staged.extents = [e for e in staged.extents if e not in overlapping]
            os.write(self._journal, forget_line(staged.file.path, offset, length))
        return sum(extent.length for extent in overlapping)

    def close(self) -> None:
        for staged in self.files.values():
            staged.close()
        os.close(self._journal)


def clear(volume: Volume, layout: Layout) -> None:
    """Remove everything in flight of one set. The sidecars go last, so that a crash leaves a trace to sweep by."""
    volume.remove_tree(layout.staging)
    for suffix in SIDECARS:
        volume.remove(layout.staging + suffix)
        volume.remove(layout.staging + suffix + ".new")
    volume.prune_upwards(layout.staging.rpartition("/")[0], STAGING)


def sweep_abandoned(volume: Volume, order: Order) -> list[str]:
    """Remove what other versions of the same model left in flight: a source that changed gets another fingerprint, and
    the half-fetched old set would hold its room for ever. Returns what was removed.

    Only sets with a sidecar of ours, whose lock is free, and no push that was touched within the last hour.
    """
    parent = f"{STAGING}/{order.model_id}"
    here = order.sub_path.rpartition("/")[2]
    try:
        with volume.directory(parent) as descriptor:
            names = os.listdir(descriptor)  # noqa: PTH208 - a descriptor has no path
    except FileNotFoundError:
        return []
    removed = []
    for short in sorted({name[:12] for name in names if _SHORT.match(name)} - {here}):
        sidecars = [
            name
            for name in names
            if any(name in {short + suffix, short + suffix + ".new"} for suffix in SIDECARS)
        ]
        if not sidecars or any(
            ".manifest.json" in name and _fresh(volume, f"{parent}/{name}") for name in sidecars
        ):
            continue
        with SetLock(volume, lock_of(order.model_id, short)) as lock:
            if lock.try_acquire() is False:
                continue
            volume.remove_tree(f"{parent}/{short}")
            for name in sidecars:
                volume.remove(f"{parent}/{name}")
            removed.append(f"{order.model_id}/{short}")
    return removed


def _fresh(volume: Volume, path: str) -> bool:
    status = volume.lstat(path)
    return status is not None and time.time() - status.st_mtime < _PUSH_GRACE_SECONDS
