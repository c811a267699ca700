"""Files in transfer: sparse files in the staging directory, and a journal of what has arrived in them.

Others may write here. The journal only says what need not be fetched again, and it is trusted only for files that are
checked as a whole afterwards (``Fetch``). Anything under a name of ours that is not a plain file with a single name
is removed.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections.abc import Iterable, Iterator, Sequence

from .chunks import Extent, forget_line, journal_header, journal_line, plan_ranges, read_journal
from .document import OrderFile
from .layout import SIDECARS, STAGING, Layout, lock_of
from .locks import SetLock
from .order import Order
from .volume import Volume

_MAX_JOURNAL = 32 << 20
"""Bytes. A longer journal is ignored. 100,000 files need about 10 MB."""
_SHORT = re.compile(r"[0-9a-f]{12}")
_PUSH_GRACE_SECONDS = 3600


class StagedFile:
    """One file in transfer. It holds no descriptor: a set of many files would need too many."""

    def __init__(self, file: OrderFile, place: str, allocated: int, extents: Sequence[Extent]) -> None:
        self.file = file
        self.place = place
        """Its path on the volume."""
        self.unallocated = max(0, file.size - allocated)
        """Bytes that the volume had to allocate when the file was prepared."""
        self.extents = list(extents)
        """What has arrived; guarded by the journal's lock."""
        self.unfinished = 0
        """Number of ranges that are being fetched or wait; guarded by the fetch's lock."""
        self.attempts = 0
        """How often the file turned out wrong after it was complete."""

    def missing_ranges(self, chunk_bytes: int) -> list[tuple[int, int]]:
        return plan_ranges(self.file.size, self.extents, chunk_bytes)


def write(descriptor: int, data: memoryview, offset: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, offset)
        data = data[written:]
        offset += written


class Staging:
    """The staging directory of one set with its journal, prepared for the files to be fetched."""

    def __init__(self, volume: Volume, layout: Layout, fingerprint: str, files: Iterable[OrderFile]) -> None:
        wanted = {file.path: file for file in files}
        content = volume.read(layout.journal, _MAX_JOURNAL) or b""
        arrived = read_journal(content, fingerprint, {path: file.size for path, file in wanted.items()})
        self._lock = threading.Lock()
        self._volume = volume
        self.files: dict[str, StagedFile] = {}
        clear: set[str] = set()
        for path, file in sorted(wanted.items()):
            place = f"{layout.staging}/{path}"
            volume.make_way(place.rpartition("/")[0], clear)
            there = self._prepare(place, file.size)
            extents = [extent for extent in arrived[path] if extent.end <= there.st_size]
            self.files[path] = StagedFile(file, place, there.st_blocks * 512, extents)
        kept = b"".join(
            journal_line(path, extent) for path, staged in self.files.items() for extent in staged.extents
        )
        volume.write_atomically(layout.journal, journal_header(fingerprint) + kept)
        self._journal = volume.open(layout.journal, os.O_WRONLY | os.O_APPEND)

    def _prepare(self, place: str, size: int) -> os.stat_result:
        """Make it a plain file of ``size`` bytes; return its status before."""
        descriptor = self._volume.open_sole(place)
        try:
            there = os.fstat(descriptor)
            os.ftruncate(descriptor, size)
        finally:
            os.close(descriptor)
        return there

    @contextlib.contextmanager
    def opened(self, staged: StagedFile) -> Iterator[int]:
        """Yield a descriptor for writing to the file that has its name now."""
        descriptor = self._volume.open_sole(staged.place)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def restart(self, staged: StagedFile) -> int:
        """Cancel all that was recorded for this file; return how many bytes that were."""
        self._prepare(staged.place, 0)
        self._prepare(staged.place, staged.file.size)
        staged.unallocated = staged.file.size
        return self.forget(staged, 0, staged.file.size)

    def arrived(self, staged: StagedFile, extent: Extent, descriptor: int) -> None:
        """Record that these bytes are on the volume: first flush them to the disk, then write the journal."""
        if not extent.length:
            return
        os.fdatasync(descriptor)
        os.posix_fadvise(descriptor, extent.offset, extent.length, os.POSIX_FADV_DONTNEED)
        with self._lock:
            staged.extents.append(extent)
            os.write(self._journal, journal_line(staged.file.path, extent))

    def forget(self, staged: StagedFile, offset: int, length: int) -> int:
        """Cancel what was recorded for these bytes; return how many were recorded."""
        with self._lock:
            overlapping = [e for e in staged.extents if e.end > offset and e.offset < offset + length]
            staged.extents = [e for e in staged.extents if e not in overlapping]
            os.write(self._journal, forget_line(staged.file.path, offset, length))
        return sum(extent.length for extent in overlapping)

    def close(self) -> None:
        os.close(self._journal)


def make_room(volume: Volume, layout: Layout) -> None:
    """Put aside anything at the staging directory's place that we may not write to completely."""
    volume.make_way(layout.staging)
    if volume.is_directory(layout.staging) and not volume.writable(layout.staging):
        volume.put_aside(layout.staging)


def clear(volume: Volume, layout: Layout) -> None:
    """Remove all files in transfer of one set. The sidecars go last, so that a crash leaves a trace for the next cleanup."""
    volume.remove_tree(layout.staging)
    for suffix in SIDECARS:
        volume.remove(layout.staging + suffix)
        volume.remove(layout.staging + suffix + ".new")
    volume.prune_upwards(layout.staging.rpartition("/")[0], STAGING)


def sweep_abandoned(volume: Volume, order: Order) -> list[str]:
    """Remove what other versions of the same model left in transfer, and return what was removed. A changed source
    gets another fingerprint, so the half-fetched old set would otherwise keep its room for ever.

    Remove only sets that have a sidecar of ours and a free lock, and no push that was active within the last hour.
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
