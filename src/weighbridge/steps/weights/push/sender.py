"""The route `push`: from the source through a bounded spool into the staging folder on the volume, by rsync.

While one batch is sent, the next is downloaded. Every file's sha256 is known before it is sent, and is first written
to this machine's memory, so that the next run need not read the file again. Another machine has no such memory: it
reads the files from the source again and sends what the volume lacks. Publishing is the mover's work: it reads every
byte again and compares it with this result.
"""

import queue
import shutil
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from weighbridge.core.events import Event, Note, TransferProgress
from weighbridge.domain.weights import SourceFile
from weighbridge.errors import DefectError, PreconditionError, StepFailedError
from weighbridge.kubernetes.denials import missing_rule
from weighbridge.mover.report import peak_memory
from weighbridge.steps.weights.push.daemon import manifest_path, receipt_path
from weighbridge.steps.weights.push.manifest import (
    Batch,
    Manner,
    PushPlan,
    Row,
    digest_of,
    manifest,
    memory_line,
    plan,
    published_rows,
    read_memory,
)
from weighbridge.steps.weights.push.rsync import Rsync, RsyncFailedError, Target
from weighbridge.steps.weights.push.spool import Spool
from weighbridge.steps.weights.push.transport import PodGoneError, Transport, TransportRefusedError

EVENT_SECONDS = 0.5
FRUITLESS_TRIES = 6
MARK_SECONDS = 60.0
PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each further try; progress starts the list again."""

T = TypeVar("T")


class Advance(Protocol):
    """Called with the bytes gained by a download; raises to stop it."""

    def __call__(self, gained: int, *, resumed: bool) -> None: ...


class Reader(Protocol):
    """The source of the files (``sources.interface.OpenSource``)."""

    def download(self, file: SourceFile, into: Path, *, deadline: float, advance: Advance) -> str:
        """Complete ``into``, continuing what is there, and return its sha256."""
        ...


@dataclass(frozen=True, slots=True)
class PushOrder:
    """What staging must hold at the end."""

    model_id: str
    sub_path: str
    files: tuple[SourceFile, ...]
    damaged: frozenset[str] = frozenset()
    """Files whose bytes on the volume are known to be wrong."""
    recorded: str | None = None
    """Digest of this very set, if the cluster has it on record."""

    @classmethod
    def from_mapping(
        cls, order: Mapping[str, Any], damaged: Collection[str] = (), recorded: str | None = None
    ) -> "PushOrder":
        """Read ``order.json``. Raise ``DefectError`` if it is invalid: rendered orders are always valid."""
        try:
            files = tuple(
                SourceFile(str(row["path"]), int(row["size"]), str(row["etag"])) for row in order["files"]
            )
            return cls(str(order["model_id"]), str(order["sub_path"]), files, frozenset(damaged), recorded)
        except (KeyError, TypeError, ValueError) as error:
            raise DefectError(f"not an order: {error!r}", remedy="Render the manifests again.") from error


@dataclass(frozen=True, slots=True)
class PushResult:
    """What was done; sizes in bytes."""

    files_sent: int
    files_kept: int
    files_resumed: int
    bytes_moved: int
    """Content sent to the pod. Each byte counts once, however often a connection broke."""
    bytes_resumed: int
    """Content in staging from an earlier try, not sent again."""
    bytes_downloaded: int
    seconds: float
    transport: str
    set_digest: str
    rows: tuple[Row, ...]
    most_spooled: int
    max_rss_bytes: int


class _Rate:
    """Recent bytes per second, or ``None`` if it is too early for the next report."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._told = 0.0
        self._samples: list[tuple[float, int]] = []

    def __call__(self, position: int, *, force: bool = False) -> float | None:
        now = self._clock()
        if not force and now - self._told < EVENT_SECONDS:
            return None
        self._told = now
        self._samples = [*self._samples[-9:], (now, position)]
        (first, before), (last, after) = self._samples[0], self._samples[-1]
        return max(0.0, (after - before) / (last - first)) if last > first else 0.0


class _ContradictedError(Exception):
    """The source contradicts the receipt of the published set."""


@dataclass(frozen=True, slots=True)
class _Ready:
    batch: Batch
    rows: tuple[Row, ...]


class Push:
    """One push. Try ``transports`` in order; close each at the end."""

    def __init__(  # noqa: PLR0913 - its parts
        self,
        order: PushOrder,
        reader: Reader,
        rsync: Rsync,
        transports: Sequence[Transport],
        spool: Spool,
        *,
        deadline: float,
        emit: Callable[[Event], None],
        refused: Sequence[TransportRefusedError] = (),
    ) -> None:
        self._refusals = list(refused)
        self._order = order
        self._reader = reader
        self._rsync = rsync
        self._transports = list(transports)
        self._spool = spool
        self._deadline = deadline
        self._emit = emit
        self._downloader: threading.Thread | None = None
        self._marked = float("-inf")
        self._ready: queue.Queue[_Ready | BaseException] = queue.Queue()
        self._ahead = threading.Semaphore(2)
        self._total = sum(file.size for file in order.files)
        self._done = 0
        self._position = 0
        self._tell = _Rate(time.monotonic)
        self._tell_download = _Rate(time.monotonic)
        self._emitting = threading.Lock()
        self._downloaded = 0
        self._moved = 0
        self._resumed = 0
        self._resumed_files = 0

    def run(self) -> PushResult:
        """Bring staging and its manifest to the state of the order. Raise ``PreconditionError``, also for a changed
        source, or ``StepFailedError``. What was done so far is kept for the next run.
        """
        started = time.monotonic()
        try:
            todo = self._look()
            try:
                rows = self._bring(todo)
            except _ContradictedError as problem:
                self._say(Note(f"{problem}: nothing that was published is taken for the source's"))
                todo = self._look(believe_receipt=False)
                rows = self._bring(todo)
            self._progress(self._total, force=True)
        finally:
            self._spool.stop()
            self._ahead.release()
            self._rsync.abort()
            for transport in self._transports:
                transport.close()
            if self._downloader is not None:
                self._downloader.join(5)
        return PushResult(
            files_sent=sum(len(batch.files) for batch in todo.batches),
            files_kept=sum(row.keep for row in rows.values()),
            files_resumed=self._resumed_files + sum(not row.keep for row in todo.rows),
            bytes_moved=self._moved,
            bytes_resumed=self._resumed + sum(row.size for row in todo.rows if not row.keep),
            bytes_downloaded=self._downloaded,
            seconds=time.monotonic() - started,
            transport=self._transports[0].name,
            set_digest=digest_of(rows.values()),
            rows=tuple(sorted(rows.values(), key=lambda row: row.path)),
            most_spooled=self._spool.most_used,
            max_rss_bytes=peak_memory(),
        )

    def _bring(self, todo: PushPlan) -> dict[str, Row]:
        """Download and send what ``todo`` lacks; return every row of the set."""
        self._ready, self._ahead = queue.Queue(), threading.Semaphore(2)
        self._spool.forget_reserved()
        rows = {row.path: row for row in todo.rows}
        self._done = sum(row.size for row in todo.rows)
        names = [self._name(file) for batch in todo.batches for file in batch.files]
        self._spool.prepare(names, [file.size for batch in todo.batches for file in batch.files])
        self._downloader = threading.Thread(
            target=self._download_all, args=(todo,), name="download", daemon=True
        )
        self._downloader.start()
        for _batch in todo.batches:
            ready = self._next()
            rows |= {row.path: row for row in ready.rows}
            self._remember(ready.rows)
            self._leave_mark(rows.values())
            self._send(ready.batch)
        self._leave_mark(rows.values(), now=True)
        return rows

    def _look(self, *, believe_receipt: bool = True) -> PushPlan:
        """Read what the volume holds, and plan."""
        order, memory = self._order, self._spool.tree / ".memory"
        shutil.rmtree(memory, ignore_errors=True)  # an earlier run's copy of the receipt may be out of date
        published = receipt_path(order.model_id, order.sub_path)
        self._through(
            lambda target, _retry: self._rsync.fetch_small(
                target, target.receipts, published, memory, deadline=self._deadline
            )
        )
        sizes = self._through(
            lambda target, _retry: self._rsync.sizes(target, memory, order.sub_path, deadline=self._deadline)
        )
        receipt, sent = _content(memory / published), _content(self._spool.memory)
        return plan(
            order.files,
            published=published_rows(receipt, order.recorded if believe_receipt else None),
            staged=read_memory((sent or b"").decode("utf-8", "replace")),
            staged_sizes=sizes,
            damaged=order.damaged,
        )

    def _name(self, file: SourceFile) -> str:
        return f"{self._order.sub_path}/{file.path}"

    def _download_all(self, todo: PushPlan) -> None:
        """Run the downloading thread: batch by batch into the spool, one batch ahead of the sending."""
        try:
            for batch in todo.batches:
                self._ahead.acquire()
                self._spool.reserve(batch.size)
                rows = []
                for file in batch.files:
                    sha256 = self._reader.download(
                        file,
                        self._spool.tree / self._name(file),
                        deadline=self._deadline,
                        advance=self._gained,
                    )
                    _compare(file, sha256, todo.attested)
                    rows.append(Row(file.path, file.size, sha256, file.etag))
                self._ready.put(_Ready(batch, tuple(rows)))
        except BaseException as error:  # noqa: BLE001 - passed to the sending thread, which raises it
            self._ready.put(error)

    def _gained(self, gained: int, *, resumed: bool) -> None:
        if self._spool.stopped:
            raise InterruptedError
        if not resumed:
            self._downloaded += gained
        rate = self._tell_download(self._downloaded)
        if rate is not None:
            self._say(TransferProgress(self._order.model_id, "read", self._downloaded, self._total, rate))

    def _next(self) -> _Ready:
        left = self._deadline - time.monotonic()
        try:
            ready = self._ready.get(timeout=max(0.0, left))
        except queue.Empty:
            raise self._too_late() from None
        if isinstance(ready, BaseException):
            raise ready
        return ready

    def _remember(self, rows: Collection[Row]) -> None:
        """Record the rows before their files are sent. A complete file on the volume then has these digests, or is damaged."""
        with self._spool.memory.open("a", encoding="utf-8") as memory:
            memory.writelines(map(memory_line, rows))

    def _leave_mark(self, rows: Collection[Row], *, now: bool = False) -> None:
        """Write the manifest on the volume from time to time: the mark by which movers know that a push is running.
        It grows with the number of files, so it is not sent with each file.
        """
        if not now and time.monotonic() - self._marked < MARK_SECONDS:
            return
        self._marked = time.monotonic()
        name = manifest_path(self._order.sub_path)
        path = self._spool.tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(manifest(rows))
        self._through(
            lambda target, _retry: self._rsync.send_small(
                target, self._spool.tree, name, deadline=self._deadline
            )
        )

    def _send(self, batch: Batch) -> None:
        names = [self._name(file) for file in batch.files]

        def advanced(position: int) -> None:
            self._progress(self._done + min(position, batch.size))

        def run(target: Target, retry: bool) -> int:
            manner = Manner.APPEND if retry and batch.manner is Manner.WHOLE else batch.manner
            return self._rsync.send(
                target, self._spool.tree, names, manner, deadline=self._deadline, advanced=advanced
            )

        sent = self._through(run)
        # broken tries report nothing, so count what had to move
        moved = sent if batch.manner is Manner.DELTA else max(batch.size - batch.present, sent)
        self._moved += moved
        if batch.manner is not Manner.WHOLE:
            self._resumed_files += 1
            self._resumed += max(0, batch.size - moved)
        self._done += batch.size
        self._spool.release(names, batch.size)
        self._ahead.release()
        self._progress(self._done)

    def _through(self, action: Callable[[Target, bool], T]) -> T:
        """Run ``action`` over the first open transport. Try again over a fresh connection while that can help."""
        fruitless = 0
        position = self._position
        retry = False
        if not self._transports:
            raise self._no_way()
        while True:
            transport = self._transports[0]
            failure: StepFailedError
            try:
                return action(transport.target(self._deadline), retry)
            except TransportRefusedError as error:
                self._refused(error)
                continue
            except RsyncFailedError as error:
                try:
                    transport.judge(error.said)
                except TransportRefusedError as refusal:
                    self._refused(refusal)
                    continue
                failure = error.explained()
                failure.__cause__ = error
            except PodGoneError:
                raise
            except StepFailedError as error:
                failure = error
            if time.monotonic() > self._deadline:
                raise self._too_late() from failure
            fruitless = 0 if self._position > position else fruitless + 1
            position = self._position
            if not failure.transient or fruitless == FRUITLESS_TRIES:
                raise failure
            self._say(Note(f"{failure.what}; going on over a fresh connection"))
            retry = True
            transport.reset()
            time.sleep(min(PAUSES[fruitless], max(0.0, self._deadline - time.monotonic())))

    def _no_way(self) -> PreconditionError:
        lacking = [error.lacking for error in self._refusals if error.lacking is not None]
        rules = [rule.as_yaml() for access in lacking if (rule := missing_rule(access)) is not None]
        asked = f"; one of these rules opens a way: {' or '.join(rules)}" if rules else ""
        return PreconditionError(
            f"the rsync pod cannot be reached: {'; '.join(map(str, self._refusals))}{asked}",
            remedy="`weighbridge rbac` writes the rules that the route `push` needs; the route `fetch` needs none of them",
            code="no-way-to-pod",
        )

    def _refused(self, error: TransportRefusedError) -> None:
        self._refusals.append(error)
        if len(self._transports) == 1:
            raise self._no_way() from error
        self._transports.pop(0).close()
        self._say(Note(f"{error}; using {self._transports[0].name} instead"))

    def _progress(self, position: int, *, force: bool = False) -> None:
        self._position = max(position, self._position)
        rate = self._tell(self._position, force=force)
        if rate is not None:
            self._say(TransferProgress(self._order.model_id, "push", self._position, self._total, rate))

    def _say(self, event: Event) -> None:
        with self._emitting:
            self._emit(event)

    def _too_late(self) -> StepFailedError:
        return StepFailedError(
            f"the deadline passed with {self._position} of {self._total} bytes on the volume",
            remedy="Run the same command again: it goes on from there. A slow link needs a longer deadline.",
            code="deadline",
            transient=True,
        )


def _compare(file: SourceFile, sha256: str, attested: Mapping[str, str]) -> None:
    """Compare the two digests. An ETag stands for one content, so if they differ, the receipt of the published set is wrong."""
    if attested.get(file.path, sha256) != sha256:
        raise _ContradictedError(
            f"{file.path} has another SHA-256 at the source than in the published set's receipt"
        )


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
