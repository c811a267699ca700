"""Follow a Job or pod of ours until it has ended or is ready: poll its objects, stream its log, and stop at a
deadline.

It watches nothing and executes nothing in the pod. It needs only GET and LIST, and the log if that is allowed.
"""

import json
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from weighbridge.domain.clock import Clock, SystemClock
from weighbridge.errors import (
    ForbiddenError,
    PreconditionError,
    StepFailedError,
    WeighbridgeError,
    is_transient,
)
from weighbridge.kubernetes.pod_watch import (
    Ended,
    Object,
    Running,
    Seen,
    Sight,
    Waiting,
    judge_job,
    judge_pod,
)

Say: TypeAlias = Callable[[dict[str, Any]], None]
"""Takes one event: a mover's JSON line, or our own note in the same form."""

_QUICK_SECONDS = 0.3
_QUICK_FOR_SECONDS = 20
_CALM_SECONDS = 1.0
_PROGRESS_SECONDS = 0.5
_DRAIN_SECONDS = 5.0
_NOTE_SECONDS = 3.0
"""Do not report a state that lasts shorter than this."""
_KEPT_LINES = 10
_RECENT_LINES = 5000
"""After a log was rotated, this many lines before the break are recognized."""


class Reader(Protocol):
    """Reads one Job (or bare pod) and what belongs to it. Each method may raise ``WeighbridgeError``."""

    def job(self) -> Object | None: ...

    def pods(self) -> Sequence[Object]:
        """Return the pods, oldest first."""
        ...

    def claim(self) -> Object | None: ...

    def events(self, pods: Sequence[Object]) -> Sequence[Object]:
        """Return events of the Job, these pods and the claim, oldest first. A ``ForbiddenError`` is only reported, once."""
        ...

    def log(self, pod: str) -> Iterator[str]:
        """Yield lines from the beginning, until the container ends or the connection breaks."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Deadlines, in seconds."""

    deadline_seconds: float
    """For the whole work, waiting included."""
    schedule_seconds: float = 600
    """Until a pod runs; this includes provisioning volumes and pulling images."""
    stuck_seconds: float = 30
    """How long a problem that the cluster reports may last before it counts as a failure."""
    outage_seconds: float = 120
    """How long the API server may fail to answer."""


class Follower:
    def __init__(
        self, reader: Reader, name: str, patience: Patience, say: Say, clock: Clock | None = None
    ) -> None:
        self._reader = reader
        self._name = name
        self._patience = patience
        self._say = say
        self._clock = clock or SystemClock()
        self._tail = _Tail(reader.log)
        self._last_lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._spoken = float("-inf")
        self._unspoken: dict[str, Any] | None = None
        """The latest progress, if it is too early to report it."""
        self._events_denied = False

    def follow_job(self) -> Ended:
        """Return how the Job ended, also if it failed. Raise ``PreconditionError`` if it cannot start,
        ``StepFailedError`` after a deadline.
        """
        ended = self._until(lambda seen: judge_job(seen, self._name), lambda sight: isinstance(sight, Ended))
        if not isinstance(ended, Ended):
            raise TypeError(ended)
        self._finish(ended)
        return ended

    def await_ready(self) -> None:
        """Return when the pod is ready. Raise an error if it ended or cannot start."""
        sight = self._until(
            lambda seen: judge_pod(seen, self._name),
            lambda sight: isinstance(sight, Ended) or (isinstance(sight, Running) and sight.ready),
        )
        if isinstance(sight, Ended) and sight.error is not None:
            raise sight.error

    @property
    def last_lines(self) -> tuple[str, ...]:
        """The last lines of the pod that were not events, such as a traceback."""
        return tuple(self._last_lines)

    def _until(self, judge: Callable[[Seen], Sight], over: Callable[[Sight], bool]) -> Sight:
        started = waiting_since = cause_since = answered = self._clock.monotonic()
        cause = ""
        pods_run = said = False
        while True:
            now = self._clock.monotonic()
            try:
                sight = judge(self._look(with_reasons=not pods_run))
                answered = now
            except WeighbridgeError as error:
                if not is_transient(error) or now - answered > self._patience.outage_seconds:
                    raise
                sight = Waiting("cluster-unreachable", f"{error.what}; trying again")
            if over(sight):
                return sight
            if now - started > self._patience.deadline_seconds + self._patience.schedule_seconds:
                raise StepFailedError(
                    f"{self._name} did not finish within {self._patience.deadline_seconds:.0f} s",
                    remedy="run the command again: what has arrived stays",
                    code="deadline",
                    transient=True,
                )
            if isinstance(sight, Running):
                pods_run, cause, waiting_since = True, "", now
                self._tail.follow(sight.pod)
            elif isinstance(sight, Waiting):
                pods_run = False
                if sight.code != cause:
                    cause, cause_since, said = sight.code, now, False
                if not said and (sight.stuck or now - cause_since >= _NOTE_SECONDS):
                    said = True
                    self._say({"event": "note", "text": sight.what})
                self._be_patient(sight, now - cause_since, now - waiting_since)
            self._relay()
            quick = now - waiting_since < _QUICK_FOR_SECONDS
            self._clock.sleep(_QUICK_SECONDS if quick else _CALM_SECONDS)

    def _be_patient(self, sight: Waiting, with_cause: float, in_all: float) -> None:
        patience = self._patience
        if (
            sight.final
            or (sight.stuck and with_cause > patience.stuck_seconds)
            or (sight.code != "cluster-unreachable" and in_all > patience.schedule_seconds)
        ):
            raise sight.as_error()

    def _look(self, *, with_reasons: bool) -> Seen:
        job, pods = self._reader.job(), self._reader.pods()
        if not with_reasons:
            return Seen(job, pods)
        return Seen(job, pods, self._reader.claim(), self._events(pods))

    def _events(self, pods: Sequence[Object]) -> Sequence[Object]:
        if self._events_denied:
            return ()
        try:
            return self._reader.events(pods)
        except ForbiddenError as error:
            self._events_denied = True
            self._say(
                {"event": "note", "text": f"should something wait, why will not be known: {error.what}"}
            )
            return ()

    def _finish(self, ended: Ended) -> None:
        """Report the rest of the log, also of a pod that ended before it could be followed."""
        if ended.pod is not None:
            self._tail.follow(ended.pod)
            limit = self._clock.monotonic() + _DRAIN_SECONDS
            while self._tail.busy and self._clock.monotonic() < limit:
                self._relay(everything=True)
                self._clock.sleep(0.05)
        self._relay(everything=True)

    def _relay(self, *, everything: bool = False) -> None:
        """Pass on the log. Of progress, pass only the latest, twice a second, and always the last."""
        for line in self._tail.lines():
            event = _event(line)
            if event is None:
                self._last_lines.append(line)
            elif event["event"] == "progress":
                self._unspoken = event
            elif event["event"] != "result":
                self._say(event)
        now = self._clock.monotonic()
        if self._unspoken is not None and (everything or now - self._spoken >= _PROGRESS_SECONDS):
            self._spoken = now
            self._say(self._unspoken)
            self._unspoken = None


class _Tail:
    """Read one pod's log in a thread of its own. Read a broken stream again from the start, and skip the lines that
    were seen. This works because a log only grows, until the kubelet rotates it. A rotated log has another first
    line; then seen lines are recognized by their text.
    """

    def __init__(self, log: Callable[[str], Iterator[str]]) -> None:
        self._log = log
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._pod = ""
        self._seen = 0
        self._first: str | None = None
        self._recent: deque[str] = deque(maxlen=_RECENT_LINES)
        self._whole = False
        self._denied = False

    def follow(self, pod: str) -> None:
        """Follow this pod. Do nothing if it is being followed, or was followed to the end."""
        if self.busy and pod == self._pod:
            return
        if pod != self._pod:
            self._pod, self._seen, self._first, self._whole = pod, 0, None, False
            self._recent.clear()
        if not self._whole and not self._denied:
            self._thread = threading.Thread(target=self._read, args=(pod, self._seen), daemon=True)
            self._thread.start()

    @property
    def busy(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def lines(self) -> Iterator[str]:
        """Yield the lines since the last call."""
        while True:
            try:
                yield self._lines.get_nowait()
            except queue.Empty:
                return

    def _read(self, pod: str, skip: int) -> None:
        known: set[str] = set()
        try:
            for number, line in enumerate(self._log(pod)):
                if pod != self._pod:
                    return
                if number == 0:
                    if self._first not in {None, line}:  # rotated
                        skip, self._seen, known = 0, 0, set(self._recent)
                    self._first = line
                if number < skip:
                    continue
                self._seen += 1
                if line in known:
                    continue
                known.clear()
                self._recent.append(line)
                self._lines.put(line)
                self._whole = (_event(line) or {}).get("event") == "result"
        except PreconditionError as error:
            self._denied = error.code == "cluster-forbidden"
            if self._denied:
                text = f"no live progress: {error.what}"
                self._lines.put(json.dumps({"event": "note", "text": text}))
        except StepFailedError:
            return  # not there yet, or gone: the objects show which, and follow() is called again


def _event(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("event"), str) else None
