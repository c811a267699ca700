"""Bring files from the source into staging: parallel ranges, resumable, each file verified by reading it back.

Others may write to the volume, so a digest is never taken only from there. A file's bytes count as the source's in
three cases: its digest is known; the source attests the whole file by a checksum that cannot be forged; or every
range read back has the SHA-256 with which it arrived in this process. If neither of the first two is available, bytes
of an earlier run do not count: the file starts again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import threading
from collections.abc import Mapping, Sequence

from .contact import Contact
from .errors import TryAgain, VerificationError
from .readback import Check, MakeCheck, ReadBack, Tally, read_back
from .run import Run
from .staging import StagedFile, Staging, write
from .transport import Lane
from .volume import volume_full

_BUFFER = 1 << 19
_VERIFIERS = 2
_ATTEMPTS = 3
"""How often a complete file may turn out wrong before the run gives up."""
_ROOM_MARGIN = 1 << 20

Task = tuple[StagedFile, int, int]

_REMEDIES = {
    "volume-corrupts": "the storage does not return what is written to it: have it examined before anything else",
    "source-checksum": "look at the object at the source, and put it there again; where this store's ETags are no MD5s of the "
    "content, the route `push` does not go by them",
    "content-differs": "the source now serves other bytes under the same ETag: find out which ones are right",
}


class ContradictedError(VerificationError):
    """The source's bytes are not those that an earlier receipt attests."""

    def __init__(self, paths: Sequence[str]) -> None:
        named = f"{paths[0]} and {len(paths) - 1} more" if len(paths) > 1 else paths[0]
        super().__init__(
            "content-differs",
            f"the source has another content of {named} than the set's receipt",
            files=paths,
        )


class Fetch:
    """One fetch of some files of a set into a ``Staging``. Use it only once."""

    def __init__(self, run: Run, contact: Contact, staging: Staging) -> None:
        self._contact = contact
        self._source = contact.origin
        self._staging = staging
        self._volume = run.volume
        self._limits = run.order.limits
        self._control = run.control
        self._reporter = run.reporter
        self._result = run.result
        self._files = list(staging.files.values())
        self._total = sum(staged.file.size for staged in self._files)
        self._ranges: queue.Queue[Task] = queue.Queue()
        self._complete: queue.Queue[StagedFile] = queue.Queue()
        self._lock = threading.Lock()
        self._checks: dict[str, MakeCheck | None] = {}
        self._expected: Mapping[str, str] = {}
        self._recorded: Mapping[str, str] = {}
        self._digests: dict[str, str] = {}
        self._contradicted: list[str] = []
        self._present = 0
        self._before = run.result.bytes_fetched
        self._read: dict[str, int] = {}

    def run(self, expected: Mapping[str, str], recorded: Mapping[str, str]) -> dict[str, str]:
        """Fetch and verify every file; return path to SHA-256. ``expected``: digests known before the fetch.
        ``recorded``: digests of an earlier receipt, which the source may contradict (``ContradictedError``).

        Raise ``MoverError`` (refused, failed, verification) and ``OSError`` of the volume. What has arrived is kept.
        """
        self._expected, self._recorded = expected, recorded
        # Ask before the first byte moves, to find a changed source at once.
        asked = [(staged.file, bool(staged.extents) and not self._known(staged)) for staged in self._files]
        self._checks = self._contact.checks(asked)
        self._start_anew([staged for staged in self._files if staged.extents and not self._provable(staged)])
        for staged in self._files:
            self._present += sum(extent.length for extent in staged.extents)
            self._enqueue(staged)
        self._result.bytes_resumed += self._present
        self._check_room()
        verifiers = [self._verify_files] * min(_VERIFIERS, len(self._files))
        self._contact.crew(self._fetch_ranges, verifiers, self._tick)
        if self._contradicted:
            raise ContradictedError(sorted(self._contradicted))
        self._reporter.progress("verify", self._total, self._total, final=True)
        return self._digests

    def _start_anew(self, unprovable: Sequence[StagedFile]) -> None:
        for staged in unprovable:
            self._staging.restart(staged)
        if unprovable:
            first, more = unprovable[0].file.path, len(unprovable) - 1
            named = f"{first} and {more} more start anew" if more else f"{first} starts anew"
            self._reporter.note(
                f"{named}: the source attests nothing that could prove bytes of an earlier run"
            )

    def _known(self, staged: StagedFile) -> bool:
        return staged.file.path in self._expected or staged.file.path in self._recorded

    def _provable(self, staged: StagedFile) -> bool:
        """Return whether the file as a whole can be proven, whoever wrote its bytes."""
        make = self._checks[staged.file.path]
        return self._known(staged) or (make is not None and make().strong)

    def _tick(self) -> None:
        if self._present < self._total:
            self._reporter.progress("fetch", self._present, self._total)
        else:
            self._reporter.progress("verify", sum(list(self._read.values())), self._total)

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
        """Return the bytes that the volume still needs room for: those that were not there, minus those written since."""
        written = self._result.bytes_fetched - self._before
        return max(0, sum(staged.unallocated for staged in self._files) - written)

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
        """Fetch ``[start, end)``. Also record what arrived before a failure, so that it is not fetched again."""
        with self._staging.opened(staged) as descriptor:
            self._fill(lane, staged, descriptor, (start, end), buffer)

    def _fill(
        self, lane: Lane, staged: StagedFile, descriptor: int, span: tuple[int, int], buffer: memoryview
    ) -> None:
        position, end = span
        start, tally, strong = position, Tally(), not self._provable(staged)
        patience = self._contact.persistence.patience()
        try:
            while position < end:
                try:
                    with self._source.range(lane, staged.file, position, end) as response:
                        while position < end:
                            self._control.check()
                            view = buffer[: min(len(buffer), end - position)]
                            data = view[: self._source.read(lane, response, view)]
                            write(descriptor, data, position)
                            tally.update(data, strong=strong)
                            position += len(data)
                            self._count_fetched(len(data))
                            patience.progressed()
                except TryAgain as problem:  # noqa: PERF203 - once for each failure, not for each byte
                    patience.wait(problem)
        except BaseException:
            with contextlib.suppress(OSError):  # the original failure matters more than this one
                self._staging.arrived(staged, tally.extent(start, position - start), descriptor)
            raise
        self._staging.arrived(staged, tally.extent(start, end - start), descriptor)

    def _count_fetched(self, count: int) -> None:
        with self._lock:
            self._present += count
            self._result.bytes_fetched += count

    def _verify_files(self) -> None:
        while not self._done():
            self._control.check()
            try:
                staged = self._complete.get(timeout=0.1)
            except queue.Empty:
                continue
            self._verify(staged)

    def _verify(self, staged: StagedFile) -> None:
        """Read the complete file back. If the source attests a checksum, that proves network and volume at once. The
        ranges' own digests are then only needed to find which of the two was wrong, or against forgery.
        """
        file = staged.file
        make = self._checks[file.path]
        check = make() if make else None
        strong = check is not None and check.strong
        back = self._read_back(staged, check, with_extents=not strong)
        if check is not None and not check.holds():
            back = self._read_back(staged, None, with_extents=True)
            if not back.wrong:
                problem = f"its bytes do not match the source's {check.name}"
                return self._again(staged, None, "source-checksum", problem)
        if back.size != file.size:
            problem = f"it has {back.size} bytes on the volume, not {file.size}"
            return self._again(staged, None, "volume-corrupts", problem)
        if back.wrong:
            spans = [(extent.offset, extent.length) for extent in back.wrong]
            problem = "the volume does not return the bytes that were written to it"
            return self._again(staged, spans, "volume-corrupts", problem)
        expected = self._expected.get(file.path) or self._recorded.get(file.path)
        if expected is not None and back.sha256 != expected:
            contradicted = file.path not in self._expected and (strong or staged.attempts > 0)
            if not contradicted:
                problem = f"its SHA-256 is {back.sha256}, but {expected} is known of it"
                return self._again(staged, None, "content-differs", problem)
            self._contradicted.append(file.path)
        with self._lock:
            self._digests[file.path] = back.sha256
        return self._reporter.file(file.path, back.size, back.sha256)

    def _read_back(self, staged: StagedFile, check: Check | None, *, with_extents: bool) -> ReadBack:
        self._read.pop(staged.file.path, None)

        def count(step: int) -> None:
            self._read[staged.file.path] = self._read.get(staged.file.path, 0) + step

        extents = sorted(staged.extents) if with_extents else []
        descriptor = self._volume.open(staged.place, os.O_RDONLY)  # by name: this file is published
        try:
            return read_back(descriptor, self._control, extents=extents, check=check, count=count)
        finally:
            os.close(descriptor)

    def _again(
        self, staged: StagedFile, spans: Sequence[tuple[int, int]] | None, code: str, problem: str
    ) -> None:
        """Fetch the wrong spans of a complete file again (``None``: the whole file). Raise an error after too many tries."""
        path = staged.file.path
        staged.attempts += 1
        if spans is None:
            forgotten = self._staging.restart(staged)
        else:
            forgotten = sum(self._staging.forget(staged, offset, length) for offset, length in spans)
        with self._lock:
            self._present -= forgotten
        if staged.attempts >= _ATTEMPTS or not forgotten:
            raise VerificationError(
                code, f"{path}: {problem}, {staged.attempts} times", remedy=_REMEDIES[code], files=[path]
            )
        self._reporter.note(f"{path}: {problem}; fetching {forgotten} bytes of it again")
        self._enqueue(staged)
