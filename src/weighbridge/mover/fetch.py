"""Brings files from the source into staging: parallel ranges, resumable, each file verified by reading it back."""

from __future__ import annotations

import contextlib
import errno
import queue
import threading
import zlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Callable

from .chunks import Extent
from .crew import Crew
from .errors import TryAgain, VerificationError
from .patience import Persistence
from .readback import Check, ReadBack, read_back
from .run import Run
from .sources.interface import Origin
from .staging import StagedFile, Staging
from .transport import Lane
from .volume import volume_full

_BUFFER = 1 << 19
_VERIFIERS = 2
_ATTEMPTS = 3
"""So often a complete file may turn out wrong before the run gives up on it."""
_ROOM_MARGIN = 1 << 20
_CUT_AFTER = 2.0
"""Seconds beyond the socket's own timeout after which the watchdog cuts a connection that only trickles."""

Task = tuple[StagedFile, int, int]

_REMEDIES = {
    "volume-corrupts": "the storage does not return what is written to it: have it examined before anything else",
    "source-checksum": "look at the object at the source; if this store's ETags are no MD5s, set limits.check_etag to none",
    "content-differs": "the source now serves other bytes under the same ETag: find out which ones are right",
}


class Fetch:
    """One fetch of some files of a set into a ``Staging``. Use once."""

    def __init__(self, run: Run, source: Origin, lanes: Sequence[Lane], staging: Staging) -> None:
        self._source = source
        self._lanes = lanes
        self._staging = staging
        self._volume = run.volume
        self._limits = run.order.limits
        self._control = run.control
        self._reporter = run.reporter
        self._result = run.result
        self._persistence = Persistence(source, self._limits.patience_seconds, run.control, run.reporter.note)
        self._files = list(staging.files.values())
        self._total = sum(staged.file.size for staged in self._files)
        self._ranges: queue.Queue[Task] = queue.Queue()
        self._complete: queue.Queue[StagedFile] = queue.Queue()
        self._lock = threading.Lock()
        self._checks: dict[str, Callable[[], Check] | None] = {}
        self._digests: dict[str, str] = {}
        self._present = 0
        self._read: dict[str, int] = {}

    def run(self, expected: Mapping[str, str]) -> dict[str, str]:
        """Fetch and verify every file; returns path to SHA-256. ``expected`` holds digests that are known beforehand.

        Raises ``MoverError`` (refused, failed, verification) and ``OSError`` of the volume; what has arrived stays.
        """
        try:
            self._run_crew([partial(self._look, lane) for lane in self._lanes], self._cut_stalled)
            for staged in self._files:
                self._present += sum(extent.length for extent in staged.extents)
                self._enqueue(staged)
            self._result.bytes_resumed += self._present
            self._check_room()
            verifiers = [partial(self._verify_files, expected)] * min(_VERIFIERS, len(self._files))
            self._run_crew(
                [*(partial(self._fetch_ranges, lane) for lane in self._lanes), *verifiers], self._tick
            )
        finally:
            for lane in self._lanes:
                lane.close()
        self._reporter.progress("verify", self._total, self._total, final=True)
        return self._digests

    def _run_crew(self, works: Sequence[Callable[[], None]], tick: Callable[[], None]) -> None:
        crew = Crew(self._control)
        for work in works:
            crew.start("mover", work)
        crew.watch(tick)

    def _tick(self) -> None:
        self._cut_stalled()
        if self._present < self._total:
            self._reporter.progress("fetch", self._present, self._total)
        else:
            self._reporter.progress("verify", sum(list(self._read.values())), self._total)

    def _cut_stalled(self) -> None:
        limit = 0.0 if self._control.stopping else self._limits.stall_seconds + _CUT_AFTER
        for lane in self._lanes:
            if lane.idle_seconds() > limit:
                lane.cut()

    def _look(self, lane: Lane) -> None:
        """Ask for objects' facts before the first byte moves: a source that changed is found at once."""
        while True:
            with self._lock:
                waiting = [staged.file for staged in self._files if staged.file.path not in self._checks]
                if not waiting:
                    return
                file = waiting[0]
                self._checks[file.path] = None
            self._checks[file.path] = self._persistence.insist(partial(self._source.check, lane, file))

    def _enqueue(self, staged: StagedFile) -> None:
        ranges = staged.missing_ranges(self._limits.chunk_bytes)
        staged.unfinished = len(ranges)
        for start, end in ranges:
            self._ranges.put((staged, start, end))
        if not ranges:
            self._complete.put(staged)

    def _check_room(self) -> None:
        needed, free = self._needed(), self._volume.free_bytes()
        if needed and needed + _ROOM_MARGIN > free:
            raise volume_full("the volume has no room for the set", needed=needed + _ROOM_MARGIN, free=free)

    def _needed(self) -> int:
        return sum(staged.unallocated() for staged in self._files)

    def _done(self) -> bool:
        return len(self._digests) == len(self._files)

    def _fetch_ranges(self, lane: Lane) -> None:
        buffer = memoryview(bytearray(_BUFFER))
        while not self._done():
            self._control.check()
            try:
                staged, start, end = self._ranges.get(timeout=0.1)
            except queue.Empty:
                continue
            try:
                self._fetch_range(lane, staged, start, end, buffer)
            except OSError as error:
                if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                    raise self._volume.full("the volume is full", error, needed=self._needed()) from error
                raise
            with self._lock:
                staged.unfinished -= 1
                complete = staged.unfinished == 0
            if complete:
                self._complete.put(staged)

    def _fetch_range(self, lane: Lane, staged: StagedFile, start: int, end: int, buffer: memoryview) -> None:
        """Fetch ``[start, end)``; what arrived before a failure is recorded too, so that it is not fetched again."""
        position, crc = start, 0
        patience = self._persistence.patience()
        try:
            while position < end:
                try:
                    with self._source.range(lane, staged.file, position, end) as response:
                        while position < end:
                            self._control.check()
                            view = buffer[: min(len(buffer), end - position)]
                            data = view[: self._source.read(lane, response, view)]
                            staged.write(data, position)
                            crc = zlib.crc32(data, crc)
                            position += len(data)
                            self._count_fetched(len(data))
                            patience.progressed()
                except TryAgain as problem:  # noqa: PERF203 - once a failure, not once a byte
                    patience.wait(problem)
        except BaseException:
            with contextlib.suppress(OSError):  # the failure that is under way says more than this one
                self._staging.arrived(staged, Extent(start, position - start, crc))
            raise
        self._staging.arrived(staged, Extent(start, end - start, crc))

    def _count_fetched(self, count: int) -> None:
        with self._lock:
            self._present += count
            self._result.bytes_fetched += count

    def _verify_files(self, expected: Mapping[str, str]) -> None:
        while not self._done():
            self._control.check()
            try:
                staged = self._complete.get(timeout=0.1)
            except queue.Empty:
                continue
            self._verify(staged, expected.get(staged.file.path))

    def _verify(self, staged: StagedFile, expected: str | None) -> None:
        """Read the complete file back. Where the source attests a checksum, that one proves network and volume at once,
        and the ranges' own CRC-32s are only needed to tell which of the two was wrong.
        """
        file = staged.file
        make = self._checks[file.path]
        check = make() if make else None
        back = self._read_back(staged, check)
        if check is not None and not check.holds():
            back = self._read_back(staged, None)
            if not back.wrong:
                problem = f"its bytes do not match the source's {check.name}"
                return self._again(staged, [(0, file.size)], "source-checksum", problem)
        if back.wrong:
            spans = [(extent.offset, extent.length) for extent in back.wrong]
            problem = "the volume does not return the bytes that were written to it"
            return self._again(staged, spans, "volume-corrupts", problem)
        if expected is not None and back.sha256 != expected:
            problem = f"its SHA-256 is {back.sha256}, but {expected} is known of it"
            return self._again(staged, [(0, file.size)], "content-differs", problem)
        with self._lock:
            self._digests[file.path] = back.sha256
        return self._reporter.file(file.path, back.size, back.sha256)

    def _read_back(self, staged: StagedFile, check: Check | None) -> ReadBack:
        self._read.pop(staged.file.path, None)

        def count(step: int) -> None:
            self._read[staged.file.path] = self._read.get(staged.file.path, 0) + step

        extents = [] if check else sorted(staged.extents)
        return read_back(staged.descriptor, self._control, extents=extents, check=check, count=count)

    def _again(self, staged: StagedFile, spans: Sequence[tuple[int, int]], code: str, problem: str) -> None:
        """A complete file turned out wrong: fetch the wrong spans again, a bounded number of times."""
        path = staged.file.path
        staged.attempts += 1
        forgotten = sum(self._staging.forget(staged, offset, length) for offset, length in spans)
        with self._lock:
            self._present -= forgotten
        if staged.attempts >= _ATTEMPTS or not forgotten:
            raise VerificationError(
                code, f"{path}: {problem}, {staged.attempts} times", remedy=_REMEDIES[code], files=[path]
            )
        self._reporter.note(f"{path}: {problem}; fetching {forgotten} bytes of it again")
        self._enqueue(staged)
