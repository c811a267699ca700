"""One run at a time: who holds an environment's Lease, and when a holder counts as dead. Pure.

A holder's clock is never compared with ours. As in client-go's leader election (``tools/leaderelection``), a Lease has run
out when it was seen not to change for its whole duration by *our* clock. Nothing else proves a death: a process that is gone
from here may run on a clone of this machine, which has the same boot id.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

SILENCE_VARIABLE: Final = "WEIGHBRIDGE_SILENCE_SECONDS"
SHORTEST: Final = 15
DURATION: Final = 60
"""Seconds of ``Silence``, at least and usually."""
_LONGEST: Final = 300.0
"""Seconds; whatever an object claims, nobody waits longer for it to run out."""

HOLDER: Final = "weighbridge.dev/holder"
WORK: Final = "weighbridge.dev/work"
WEIGHTS: Final = "weighbridge.dev/weights"
GAVE_WAY: Final = "weighbridge.dev/gave-way"
"""Annotations of the Lease: the holder in full, Pulumi's commands under way, models whose playbook is under way, and the run
that was displaced and has stopped.
"""

_FIRST_PID_NAMESPACE: Final = "4026531836"
"""Of the machine itself, outside every container (Linux, ``PROC_PID_INIT_INO``)."""


@dataclass(frozen=True, slots=True)
class Silence:
    """How long a run has to be silent until it counts as dead, and what follows from it. The guards of its commands have the
    same time to end them (``process_guard``).
    """

    seconds: int = DURATION
    """``SHORTEST`` to ``DURATION``; less than ``DURATION`` in a sandbox alone."""

    @property
    def renew_every(self) -> float:
        return self.seconds / 4

    @property
    def give_up_after(self) -> float:
        """Seconds without a successful renewal after which a holder stops by itself: before anybody else may begin."""
        return self.seconds - self.renew_every


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What a process can be recognised by later. ``None`` is not known, and then nothing is concluded from it."""

    user: str
    host: str
    machine: str | None
    """``/etc/machine-id``."""
    boot: str | None
    """``/proc/sys/kernel/random/boot_id``: of the machine, also inside a container."""
    namespace: str | None
    """Inode of the PID namespace: the same number means another process in another container."""
    pid: int
    started: int | None
    """Clock ticks from boot to its start (proc(5), ``stat`` field 22)."""

    @property
    def name(self) -> str:
        return f"{self.user}@{self.host}"


@dataclass(frozen=True, slots=True)
class Found:
    """A process that exists; ``started`` as in ``Process``."""

    started: int | None


LookAt: TypeAlias = Callable[[int], Found | None]
"""PID on this machine → the process; ``None`` where there is none."""


@dataclass(frozen=True, slots=True)
class Fate:
    """Whether a process seems to live: ``True``, ``False``, or ``None`` where it cannot be seen from here; and why."""

    alive: bool | None
    reason: str


def fate(process: Process, here: Process, look: LookAt) -> Fate:
    """What the process ``here`` sees of ``process``."""
    if process.boot is not None and process.boot == here.boot:
        if process.namespace is None or process.namespace != here.namespace:
            return Fate(None, "it runs in another container of this machine")
        found = look(process.pid)
        if found is None:
            return Fate(alive=False, reason=f"its process {process.pid} is gone")
        if None not in (found.started, process.started) and found.started != process.started:
            return Fate(alive=False, reason=f"process {process.pid} is another one now")
        return Fate(alive=True, reason=f"its process {process.pid} runs on this machine")
    if (
        None not in (process.boot, here.boot, process.machine)
        and (process.machine, process.host) == (here.machine, here.host)
        and process.namespace == here.namespace == _FIRST_PID_NAMESPACE  # images share machine ids
    ):
        return Fate(alive=False, reason=f"{process.host} was started anew since")
    return Fate(None, "it runs on another machine")


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """One run."""

    run: str
    verb: str
    since: str
    """RFC 3339, by its own clock: for people."""
    process: Process

    @property
    def identity(self) -> str:
        """``spec.holderIdentity``: unique to the run."""
        return f"{self.process.name}/{self.run}"

    def as_json(self) -> str:
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A command of Pulumi that takes a stack's lock, noted before it starts."""

    stack: str
    """``PROJECT/STACK``, as below ``.pulumi/locks/organization/``."""
    run: str
    process: Process
    """The run's process; the command runs on the same machine and in the same container."""
    since: str
    """RFC 3339 with microseconds, by the machine's clock, which also stamps the lock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """What has begun and is not known to have been tidied up, by this run or by dead ones before it. The Lease hands it on."""

    work: tuple[Work, ...] = ()
    weights: frozenset[str] = frozenset()
    """Models whose Jobs, pods, orders and Secrets may be in the namespace."""

    def __bool__(self) -> bool:
        return bool(self.work or self.weights)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A Lease as it was read."""

    version: str
    """``metadata.resourceVersion``."""
    identity: str
    """Empty: nobody holds it."""
    duration: float
    acquired: str | None
    renewed: str | None
    transitions: int = 0
    holder: Holder | None = None
    """``None`` where the holder left no word that we can read."""
    notes: Notes = Notes()
    gave_way: str | None = None

    @property
    def pulse(self) -> tuple[str, str | None, int]:
        """What a living holder changes at every renewal."""
        return self.identity, self.renewed, self.transitions

    @property
    def words(self) -> str:
        """Whose run it is, for people."""
        if self.holder is None:
            return f"a run of `{self.identity}`, last renewed {self.renewed or 'never'}"
        holder = self.holder
        return (
            f"`{holder.verb}` of {holder.process.name} (process {holder.process.pid}, run {holder.run}), "
            f"since {holder.since}, last renewed {self.renewed or 'never'}"
        )


@dataclass(frozen=True, slots=True)
class Watch:
    """How long a Lease has been seen not to change, by our clock."""

    pulse: tuple[str, str | None, int] | None = None
    since: float = 0.0
    """Seconds of our clock at the first sight of this pulse."""
    beats: int = 0
    """How often it was seen to change."""

    def seen(self, record: Record, now: float) -> "Watch":
        """After another look."""
        if record.pulse == self.pulse:
            return self
        return Watch(record.pulse, now, 0 if self.pulse is None else self.beats + 1)


@dataclass(frozen=True, slots=True)
class Free:
    """Nobody holds it."""


@dataclass(frozen=True, slots=True)
class Mine:
    """This very run holds it: an answer of the API server was lost."""


@dataclass(frozen=True, slots=True)
class Held:
    """By a run that is not known to be dead."""

    left: float
    """Seconds of our clock until it counts as dead, should it stay silent and not be seen to live."""
    doubt: str | None
    """Why it may be dead already: then it is watched rather than refused."""


@dataclass(frozen=True, slots=True)
class Dead:
    """By a run that was silent for the whole duration, while we watched."""


Verdict: TypeAlias = Free | Mine | Held | Dead


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """One look at a Lease, and what was seen before."""

    record: Record | None
    """``None``: there is none."""
    watch: Watch
    """This look included."""
    now: float
    """Seconds of our own clock."""
    wall: datetime
    """Time of day. It decides nothing but whether a Lease is worth a second look before it is called held."""


def judge(sight: Sight, me: Holder, look: LookAt) -> Verdict:
    """Whether ``me`` may take the Lease."""
    record, watch = sight.record, sight.watch
    if record is None or not record.identity:
        return Free()
    if record.identity == me.identity:
        return Mine()
    known = fate(record.holder.process, me.process, look) if record.holder is not None else None
    left = watch.since + record.duration - sight.now
    if known is not None and known.alive:
        return Held(left, None)  # stopped, or cut off from the API server: it will go on
    if left <= 0:
        return Dead()
    return Held(left, None if watch.beats else _doubt(record, known, sight.wall))


def _doubt(record: Record, known: Fate | None, wall: datetime) -> str | None:
    if known is not None and known.alive is False:
        return f"seen from here, {known.reason}"
    return None if _fresh(record, wall) else "by its clock it has been silent for longer than it may"


def _fresh(record: Record, wall: datetime) -> bool:
    try:
        renewed = datetime.fromisoformat(record.renewed or "")
    except ValueError:
        return False
    if renewed.tzinfo is None:
        return False
    return -record.duration / 4 <= (wall - renewed).total_seconds() <= record.duration


@dataclass(frozen=True, slots=True, kw_only=True)
class LockRequest:
    """What a run does where another one holds the environment."""

    wait: float = 0.0
    """Seconds to wait for the other to end."""
    take_over: bool = False
    """Take the Lease of a run that may be alive: it will notice, and stop."""


def annotations_of(me: Holder, notes: Notes, gave_way: str | None = None) -> dict[str, str]:
    """The Lease's annotations while ``me`` holds it."""
    found = {
        HOLDER: me.as_json(),
        WORK: json.dumps([asdict(item) for item in notes.work]),
        WEIGHTS: json.dumps(sorted(notes.weights)),
    }
    return found if gave_way is None else {**found, GAVE_WAY: gave_way}


def micro_time(moment: datetime) -> str:
    """As ``metav1.MicroTime`` writes it: RFC 3339 with six digits, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_lease(lease: Mapping[str, Any]) -> Record:
    """From the API server's object. What somebody else wrote into it counts as unknown, and nothing is concluded from it."""
    metadata, spec = lease["metadata"], lease.get("spec") or {}
    annotations = metadata.get("annotations") or {}
    identity = str(spec.get("holderIdentity") or "")
    holder = _holder(annotations.get(HOLDER))
    return Record(
        version=str(metadata["resourceVersion"]),
        identity=identity,
        duration=min(float(spec.get("leaseDurationSeconds") or DURATION), _LONGEST),
        acquired=spec.get("acquireTime"),
        renewed=spec.get("renewTime"),
        transitions=int(spec.get("leaseTransitions") or 0),
        holder=holder if holder is not None and holder.identity == identity else None,
        notes=Notes(work=_work(annotations.get(WORK)), weights=_models(annotations.get(WEIGHTS))),
        gave_way=annotations.get(GAVE_WAY),
    )


def _holder(text: str | None) -> Holder | None:
    try:
        row = json.loads(text or "")
        return Holder(
            run=str(row["run"]),
            verb=str(row["verb"]),
            since=str(row["since"]),
            process=_process(row["process"]),
        )
    except (ValueError, KeyError, TypeError):
        return None


def _work(text: str | None) -> tuple[Work, ...]:
    try:
        return tuple(
            Work(
                stack=str(row["stack"]),
                run=str(row["run"]),
                process=_process(row["process"]),
                since=str(row["since"]),
            )
            for row in json.loads(text or "[]")
        )
    except (ValueError, KeyError, TypeError):
        return ()


def _models(text: str | None) -> frozenset[str]:
    try:
        found = json.loads(text or "[]")
    except ValueError:
        return frozenset()
    return (
        frozenset(name for name in found if isinstance(name, str)) if isinstance(found, list) else frozenset()
    )


def _process(row: Mapping[str, Any]) -> Process:
    def text(name: str) -> str | None:
        found = row[name]
        return found if isinstance(found, str) else None

    started = row["started"]
    return Process(
        user=str(row["user"]),
        host=str(row["host"]),
        machine=text("machine"),
        boot=text("boot"),
        namespace=text("namespace"),
        pid=int(row["pid"]),
        started=started if isinstance(started, int) else None,
    )
