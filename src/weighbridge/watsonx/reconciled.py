"""Judge from observations whether the operator has taken in what we wrote. A status from before the write never
counts.

After an edit, the status stays ``Completed`` until the operator notices the edit (IBM's own automation sleeps a
minute for that reason). So a status counts only if it was written after our write: it differs from the status in the
answer to our write, or, if that was not kept, the API server stamped it later. A run that was active during our write
may have read the spec before it; another run has to follow. And an end counts only after it has lasted for a moment,
because the operator starts the next run at once if it has missed an edit.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Final, Self, TypeAlias

from weighbridge.core.events import Event, Note, Warned
from weighbridge.domain.clock import Clock
from weighbridge.domain.digest import Json
from weighbridge.domain.naming import MANAGER
from weighbridge.domain.visible import quoted
from weighbridge.errors import StepFailedError, WeighbridgeError, is_transient
from weighbridge.watsonx.custom_resource import LiveCustomResource, Status, parse_time
from weighbridge.watsonx.entry import entries_by_id

OPERATOR_FAILED: Final = "operator-failed"
"""Error code for a failed run of the operator."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """The status with which later ones are compared."""

    digest: str
    running: bool
    completion: str | None
    status_written_at: str | None
    """RFC 3339."""
    exact: bool
    """Whether it came with the answer to our write; otherwise it was read some time before the write."""

    @classmethod
    def of(cls, live: LiveCustomResource, *, exact: bool) -> Self:
        written = live.status_written_at
        return cls(
            digest=live.status.digest,
            running=live.status.running,
            completion=live.status.completion,
            status_written_at=written.isoformat() if written else None,
            exact=exact,
        )


@dataclass(frozen=True, slots=True)
class Intended:
    """A write whose result was not seen yet."""

    after: str | None = None
    """Digest of the whole list after the write; ``None`` in records of earlier versions."""
    before: "Mark | None" = None
    """The previous write: it counts if this one was not done."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Our last write, as far as we know it."""

    cr_uid: str
    written_at: str | None
    """RFC 3339, by the API server; ``None`` if we were interrupted before it could be recorded."""
    baseline: Baseline
    entries: tuple[tuple[str, str | None], ...] = ()
    """(model_id, digest) of every entry of ours after the write. Digest ``None``: removed."""
    confirmed: bool = False
    """Whether the operator was seen to have taken it in."""
    intended: Intended | None = None
    """Set shortly before the write (``watsonx/ownership.py``)."""

    def as_json(self) -> dict[str, Json]:
        """Return JSON. Write ``intended`` only if a missing key would mean an unseen write of an earlier version."""
        baseline: dict[str, Json] = asdict(self.baseline)
        intended: dict[str, Json] = {}
        if self.intended is not None:
            before = self.intended.before.as_json() if self.intended.before is not None else None
            intended = {"intended": {"after": self.intended.after, "before": before}}
        elif self.written_at is None:
            intended = {"intended": None}
        return {
            "cr_uid": self.cr_uid,
            "written_at": self.written_at,
            "baseline": baseline,
            "entries": dict(self.entries),
            "confirmed": self.confirmed,
            **intended,
        }

    @classmethod
    def from_json(cls, raw: object) -> Self:
        """Raise ``ValueError`` if ``raw`` is not a result of :meth:`as_json`."""
        try:
            assert isinstance(raw, dict)  # noqa: S101  one way out for every malformed text
            found = cls(
                cr_uid=str(raw["cr_uid"]),
                written_at=raw["written_at"],
                baseline=Baseline(**raw["baseline"]),
                entries=tuple(raw["entries"].items()),
                confirmed=raw["confirmed"] is True,
            )
            if "intended" not in raw:  # records of earlier versions lack it
                unseen = found.written_at is None and not found.baseline.exact
                return replace(found, intended=Intended() if unseen else None)
            if (told := raw["intended"]) is None:
                return found
            before = cls.from_json(told["before"]) if told["before"] is not None else None
            return replace(found, intended=Intended(told["after"], before))
        except (AssertionError, KeyError, TypeError, AttributeError) as error:
            msg = f"not a record of a write: {error!r}"
            raise ValueError(msg) from error

    @classmethod
    def unrecorded(cls, live: LiveCustomResource) -> Self:
        """Return a mark for a list without our record: the newest write of the spec by anybody counts as ours.

        The run that ended last counts as older than the write, unless its status is from a later second. Within one
        second the order cannot be told, and no run is that short.
        """
        writer = live.spec_written()
        written = writer.time.isoformat() if writer and writer.time else None
        completion = live.status.completion
        known = Baseline(digest="", running=False, completion=completion, status_written_at=None, exact=False)
        return cls(cr_uid=live.uid, written_at=written, baseline=known)

    @property
    def removed(self) -> frozenset[str]:
        """Models of ours that the write removed from the list."""
        return frozenset(model_id for model_id, digest in self.entries if digest is None)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not taken in yet, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Reconciled:
    """Taken in, and the evidence."""

    evidence: str


@dataclass(frozen=True, slots=True)
class Refuted:
    """It will not be taken in: the operator failed, or somebody undid our write."""

    code: str
    reason: str
    remedy: str


Verdict: TypeAlias = Waiting | Reconciled | Refuted


@dataclass(frozen=True, slots=True)
class Pace:
    """Intervals, in seconds."""

    settle: float = 2.0
    """How long an end must last."""
    lone_end: float = 60.0
    """The same, if a run was active during our write and no second one was seen: it may have been too short to see."""
    quick: float = 1.0
    slow: float = 5.0
    quick_for: float = 60.0
    """How long to look every ``quick`` seconds; then every ``slow`` seconds."""


@dataclass(frozen=True, slots=True)
class Watch:
    """What the looks so far have shown."""

    began: bool = False
    """Whether a run was seen that began after our write."""
    ends: tuple[str, ...] = ()
    """Identities of the runs that ended after our write."""
    candidate: str | None = None
    """Digest of the status that may be the final one."""
    since: float = 0.0
    """When this status was first seen."""


def fresh(mark: Mark, live: LiveCustomResource) -> bool:
    """Whether the status was written after our write."""
    status_at = live.status_written_at
    baseline = mark.baseline
    if baseline.exact:
        # Compare only with the earlier status: the clocks of two API servers may differ by more than a run takes.
        return live.status.digest != baseline.digest or _iso(status_at) != baseline.status_written_at
    written_at = parse_time(mark.written_at)
    if status_at is None or written_at is None:
        return False
    return status_at > written_at or (
        status_at == written_at and live.status.completion != baseline.completion
    )


def _iso(time: datetime | None) -> str | None:
    return time.isoformat() if time else None


def overwritten(mark: Mark, live: LiveCustomResource) -> Refuted | None:
    """Return whether an entry is no longer as we wrote it, and who changed it."""
    found = entries_by_id(live.models)
    for model_id, digest in mark.entries:
        copies = {entry.digest for _, entry in found.get(model_id, ())}
        if copies == ({digest} if digest else set()):
            continue
        if writer := live.models_writer:
            who = f": {quoted(writer.manager)} at {_iso(writer.time)} wrote the list last"
        elif writer := live.newest_writer_but(MANAGER):
            who = f"; the newest write of the spec by others is that of {quoted(writer.manager)} at {_iso(writer.time)}"
        else:
            who = ""
        owners = f"; the resource is kept by {', '.join(map(str, live.gitops))}" if live.gitops else ""
        return Refuted(
            "registration-overwritten",
            f"the entry of {model_id} is not as it was written any more{who}{owners}",
            "agree with whoever writes the list who owns the entry (a GitOps tool: in its repository), then apply again",
        )
    return None


def completed(mark: Mark, live: LiveCustomResource) -> Mark:
    """Return ``mark`` with the time of its write, if an interruption prevented its recording and the list shows the write."""
    if mark.written_at is not None or overwritten(mark, live) is not None:
        return mark
    writer = live.spec_written(MANAGER) or live.spec_written()
    return replace(mark, written_at=_iso(writer.time) if writer else None)


def observe(
    watch: Watch, mark: Mark, live: LiveCustomResource, now: float, pace: Pace
) -> tuple[Watch, Verdict]:
    """Judge one more look, at monotonic time ``now`` (seconds)."""
    status = live.status
    if (known := _at_a_glance(mark, live)) is not None:
        return watch, known
    watch = _count_end(watch, mark, status)
    # The last of these runs began after our write. Do not wait for a pause: others may change things without one.
    if status.terminal and len(watch.ends) >= (2 if mark.baseline.exact else 3):
        return watch, judge(live)
    if not status.terminal:
        began = watch.began or not mark.baseline.running or bool(watch.ends)
        return replace(watch, began=began, candidate=None), Waiting(status.describe())
    if watch.candidate != status.digest:
        watch = replace(watch, candidate=status.digest, since=now)
    alone = mark.baseline.running and not watch.began and len(watch.ends) < 2  # noqa: PLR2004
    if now - watch.since < (pace.lone_end if alone else pace.settle):
        if alone:
            return watch, Waiting(
                "the run that was under way at the write has ended; the next one is awaited"
            )
        return watch, Waiting(f"{status.describe()}, watched for a moment")
    return watch, judge(live)


def _at_a_glance(mark: Mark, live: LiveCustomResource) -> Verdict | None:
    """Return a verdict that needs no comparison with earlier looks, or ``None``."""
    if live.uid != mark.cr_uid:
        return Refuted(
            "cr-replaced", f"{live.where} was deleted and made anew since the write", "apply again"
        )
    if (undone := overwritten(mark, live)) is not None:
        return undone
    if mark.confirmed and live.status.failure is None:
        return Reconciled("confirmed earlier")
    if not fresh(mark, live):
        seen = live.status.describe()
        return Waiting(f"the operator has not picked up the write; its status is from before: {seen}")
    return None


def _count_end(watch: Watch, mark: Mark, status: Status) -> Watch:
    identity = status.completion
    if identity is None or identity == mark.baseline.completion or identity in watch.ends:
        return watch
    return replace(watch, ends=(*watch.ends, identity))


def judge(live: LiveCustomResource) -> Verdict:
    """Return the verdict of a run that ended."""
    status = live.status
    if (said := status.failure) is not None:
        return Refuted(
            OPERATOR_FAILED,
            f"the operator failed on {live.where}: {said}",
            "mend the cause and apply again: an apply makes the operator look once more",
        )
    if not status.ready:
        lacking = status.condition("Successful")
        word = f"condition Successful is {lacking.status if lacking else 'absent'}"
        return Waiting(f"{status.describe()}, but {word}, progress {status.progress}")
    ended = status.completion or _iso(live.status_written_at)
    return Reconciled(f"{status.state} {status.progress}, run ended {ended}")


def standing(mark: Mark | None, live: LiveCustomResource) -> str | None:
    """Return, from one look, why the operator may not have taken in our last write; ``None`` if it has."""
    if mark is None:
        return None
    mark = completed(mark, live)
    _, verdict = observe(Watch(), mark, live, 0.0, Pace())
    if isinstance(verdict, Waiting) and live.status.terminal and live.status.failure and fresh(mark, live):
        verdict = judge(live)  # the status may still change, but it is all that is known now
    match verdict:
        case Reconciled():
            return None
        case Waiting(reason) | Refuted(_, reason, _):
            return reason


def await_reconciled(  # noqa: PLR0913, PLR0917  everything that does I/O or takes time is passed in
    read: Callable[[], LiveCustomResource],
    mark: Mark,
    clock: Clock,
    deadline_seconds: float,
    observer: Callable[[Event], None],
    pace: Pace = Pace(),
) -> Reconciled:
    """Look until there is a verdict. Repeat looks that fail temporarily.

    Raise ``StepFailedError`` if the operator failed (with its message), an entry of ours was changed, or the deadline
    passed (with what was seen last); also raise errors of ``read`` that are not temporary.
    """
    start = clock.monotonic()
    watch, told = Watch(), ""
    while True:
        try:
            live = read()
        except WeighbridgeError as error:
            if not is_transient(error):
                raise
            verdict: Verdict = Waiting(f"cannot look at the moment: {error.what}")
        else:
            watch, verdict = observe(watch, mark, live, clock.monotonic(), pace)
        elapsed = clock.monotonic() - start
        match verdict:
            case Reconciled():
                return verdict
            case Refuted(code, reason, remedy):
                raise StepFailedError(reason, remedy=remedy, code=code)
            case Waiting(reason):
                if reason != told:
                    observer(Warned(reason) if reason.startswith("cannot look") else Note(reason))
                    told = reason
                if elapsed >= deadline_seconds:
                    raise StepFailedError(
                        f"the operator did not take in the registration within {deadline_seconds:.0f} s: {reason}",
                        remedy="look at the operator's pod and log (ibm-cpd-watsonx-ai-ifm-operator), then apply again",
                        code="reconcile-deadline",
                        transient=True,
                    )
        clock.sleep(
            min(pace.quick if elapsed < pace.quick_for else pace.slow, max(deadline_seconds - elapsed, 0.05))
        )
