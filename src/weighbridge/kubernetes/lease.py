"""One run at a time for each environment, by a Lease in its operands namespace. What is decided stands in ``domain/lease.py``."""

import contextlib
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from weighbridge.core.events import Note, Observer, Warned
from weighbridge.domain.lease import (
    Dead,
    Free,
    Held,
    Holder,
    LockRequest,
    LookAt,
    Mine,
    Process,
    Record,
    Sight,
    Silence,
    Verdict,
    Watch,
    Work,
    judge,
    micro_time,
)
from weighbridge.errors import PreconditionError, StepFailedError, WeighbridgeError
from weighbridge.kubernetes.lease_object import (
    ChangedError,
    KubeApi,
    LeaseClock,
    LeaseObject,
    SystemLeaseClock,
)
from weighbridge.kubernetes.lease_tenure import ATTEMPTS, Tenure, interrupt_main
from weighbridge.processes import machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds."""

    poll: float = 2.0
    renew: float | None = None
    """``None``: as ``Silence`` has it."""
    retry: float = 2.0
    """After a renewal that failed."""
    announce: float = 15.0
    gives_way: float = 75.0
    """How long a run that took over waits for the other to stop: one renewal, and the end of a command of Pulumi."""


@dataclass
class LeaseLock:
    """The port ``Lock``, and the notes of what a run that dies would leave: a stack's lock (``engines/pulumi/lock.py``), the
    short-lived objects of a model's playbook (``steps/weights/playbooks.py``).
    """

    kube: KubeApi
    namespace: str
    environment: str
    clock: LeaseClock = field(default_factory=SystemLeaseClock)
    silence: Silence = field(default_factory=Silence)
    pace: Pace = field(default_factory=Pace)
    here: Callable[[], Process] = machine.this_process
    look: LookAt = machine.look_at
    interrupt: Callable[[], None] = interrupt_main
    word: bool = field(default=False, init=False)
    """Whether somebody said, by ``--take-over``, that no earlier run goes on."""
    alone_since: float = field(default=0.0, init=False)
    """By ``clock``: since when every earlier run is dead, or has given the Lease back."""
    _tenure: Tenure | None = field(default=None, init=False)

    @contextmanager
    def hold(
        self, verb: str, lock_request: LockRequest, observer: Observer, on_lost: Callable[[], None]
    ) -> Iterator[Tenure]:
        """See ``ports.Lock.hold``."""
        tenure = Tenure(
            self._lease,
            self._holder(verb),
            observer,
            on_lost,
            interrupt=self.interrupt,
            renew_every=self.pace.renew,
            retry_after=self.pace.retry,
        )
        try:
            displaced = self._acquire(tenure, lock_request, observer)
            self._tenure, self.word = tenure, lock_request.take_over
            tenure.start()
            if displaced is not None:
                self._let_stop(tenure, displaced, observer)
            self.alone_since = self.clock.now()
            yield tenure
        except BaseException as error:
            if tenure.loss is not None and error is not tenure.loss:
                raise tenure.loss from error
            raise
        finally:
            self._tenure = None
            try:
                tenure.end()
            except KeyboardInterrupt:
                if tenure.loss is None:  # otherwise it was meant for the body, which has ended
                    raise

    def under_way(self) -> str | None:
        """See ``ports.Lock.under_way``."""
        try:
            record = self._lease.read()
        except WeighbridgeError as error:
            return f"whether a run is under way cannot be told: {error.what}"
        if record is None:
            return None
        if not record.identity:
            return _left(record)
        verdict = _Watching(self).judge(record, self._holder("look"))
        if isinstance(verdict, Held) and verdict.doubt is not None:
            return (
                f"a run may have ended without a word ({verdict.doubt}): {record.words}; "
                "the next apply watches its Lease, and takes over if it stays silent"
            )
        return f"a run is under way: {record.words}"

    # -- notes of Pulumi's locks (``engines.pulumi.lock.Notes``) ------------------------------------------------------

    def notes(self, stack: str | None = None) -> tuple[Work, ...]:
        """What is not known to have ended, of this run and of dead ones before it; of one stack (``PROJECT/STACK``) or all."""
        found = self._tenure.record.notes.work if self._tenure is not None else ()
        return tuple(work for work in found if stack in (None, work.stack))

    def begin(self, stack: str) -> None:
        """Note that this run is about to take the lock of ``stack``. Raises what ``Tenure.note`` raises."""
        if (tenure := self._tenure) is not None:
            work = Work(
                stack=stack,
                run=tenure.me.run,
                process=tenure.me.process,
                since=micro_time(self.clock.wall()),
            )
            tenure.note(lambda notes: replace(notes, work=(*notes.work, work)))

    def ended(self, stack: str) -> None:
        """Nothing that was noted of ``stack`` holds its lock any more. A note that cannot be taken back stays: it does no harm."""
        if (tenure := self._tenure) is not None and self.notes(stack):
            with contextlib.suppress(WeighbridgeError):
                tenure.note(
                    lambda notes: replace(
                        notes, work=tuple(work for work in notes.work if work.stack != stack)
                    )
                )

    # -- notes of what moves weights (``steps.weights.playbooks.Notes``) ------------------------------------------------------

    @property
    def weights(self) -> frozenset[str]:
        """Models whose playbook has begun and is not known to have removed what it made, in this run or in dead ones."""
        return self._tenure.unfinished if self._tenure is not None else frozenset()

    def require(self) -> None:
        """See ``ports.Tenure.require``; nothing where nobody holds the environment."""
        if self._tenure is not None:
            self._tenure.require()

    def weights_begin(self, model_id: str) -> None:
        """Note that a playbook of this model is about to start. Raises what ``Tenure.note`` raises."""
        if (tenure := self._tenure) is not None and model_id not in self.weights:
            tenure.note(lambda notes: replace(notes, weights=notes.weights | {model_id}))

    def weights_ended(self, model_id: str) -> None:
        """Nothing short-lived of this model is left. A note that cannot be taken back stays: it does no harm."""
        if (tenure := self._tenure) is not None and model_id in self.weights:
            with contextlib.suppress(WeighbridgeError):
                tenure.note(lambda notes: replace(notes, weights=notes.weights - {model_id}))

    # -- taking ------------------------------------------------------------------------------------------------------

    @property
    def _lease(self) -> LeaseObject:
        return LeaseObject(self.kube, self.namespace, self.environment, self.clock, self.silence)

    def _holder(self, verb: str) -> Holder:
        wall, process = self.clock.wall(), self.here()
        run = f"{wall:%Y%m%dT%H%M%S}-{process.pid}-{secrets.token_hex(2)}"
        return Holder(run=run, verb=verb, since=wall.isoformat(timespec="seconds"), process=process)

    def _acquire(self, tenure: Tenure, lock_request: LockRequest, observer: Observer) -> Record | None:
        """Until it is ours; the record of the run that was displaced, where one may be alive."""
        watching = _Watching(self)
        races = 0
        while True:
            record = self._lease.read()
            verdict = watching.judge(record, tenure.me)
            if isinstance(verdict, Held) and not lock_request.take_over:
                watching.wait(record, verdict, lock_request, observer)
                continue
            try:
                if isinstance(verdict, Mine) and record is not None:
                    tenure.took(record, self.clock.now())
                else:
                    tenure.take(record)
            except ChangedError as error:
                races += 1
                if races == ATTEMPTS:
                    raise StepFailedError(
                        f"the Lease of environment `{self.environment}` could not be taken: somebody else writes it all the time",
                        remedy="see who (kubectl get lease -o yaml --show-managed-fields), and run the command again",
                        code="lease-contended",
                        transient=True,
                    ) from error
                continue
            return _announced(record, verdict, observer)

    def _let_stop(self, tenure: Tenure, displaced: Record, observer: Observer) -> None:
        """Wait until the displaced run has noticed and stopped: two at once is what all this is to prevent."""
        run = displaced.holder.run if displaced.holder is not None else displaced.identity
        began, said = self.clock.now(), 0.0
        while (left := began + self.pace.gives_way - self.clock.now()) > 0:
            tenure.require()
            record = self._lease.read()
            if record is not None and record.gave_way == run:
                observer(Note(f"run {run} has stopped"))
                return
            if self.clock.now() >= said:
                observer(Note(f"waiting, {left:.0f} s at most, for run {run} to notice and stop"))
                said = self.clock.now() + self.pace.announce
            self.clock.sleep(self.pace.poll)
        observer(Warned(f"run {run} did not say that it stopped: it is taken to be dead"))


def _left(record: Record) -> str | None:
    """What an earlier run could not tidy up, in words."""
    if not record.notes.weights:
        return None
    models = ", ".join(sorted(record.notes.weights))
    return f"an earlier run may have left Jobs, pods or keys of {models} in the namespace; the next apply sees to it"


def _announced(record: Record | None, verdict: Verdict, observer: Observer) -> Record | None:
    """Say whose Lease was taken; the record where its run may be alive."""
    if record is None or isinstance(verdict, Free | Mine):
        return None
    if isinstance(verdict, Dead):
        observer(Warned(f"taken over from a dead run, silent for {record.duration:.0f} s: {record.words}"))
        return None
    observer(Warned(f"taken over, as asked, from {record.words}"))
    return record


@dataclass
class _Watching:
    """Looks at another run's Lease over some time."""

    lock: LeaseLock
    watch: Watch = field(default_factory=Watch)
    began: float = field(init=False)
    said: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self.began = self.lock.clock.now()

    def judge(self, record: Record | None, me: Holder) -> Verdict:
        clock = self.lock.clock
        now = clock.now()
        if record is not None:
            self.watch = self.watch.seen(record, now)
        return judge(Sight(record=record, watch=self.watch, now=now, wall=clock.wall()), me, self.lock.look)

    def wait(self, record: Record | None, held: Held, lock_request: LockRequest, observer: Observer) -> None:
        """A moment. ``PreconditionError`` where it is not worth waiting, or the time is over."""
        words = record.words if record is not None else ""
        now = self.lock.clock.now()
        left = lock_request.wait - (now - self.began)
        if left <= 0 and held.doubt is None:
            raise self._refusal(words, lock_request)
        if now >= self.said:
            self.said = now + self.lock.pace.announce
            if held.doubt is not None:
                text = f"{words}: {held.doubt}; it counts as dead if it says nothing for another {held.left:.0f} s"
            else:
                text = f"waiting, {left:.0f} s at most, for {words}"
            observer(Note(text))
        self.lock.clock.sleep(self.lock.pace.poll)

    def _refusal(self, words: str, lock_request: LockRequest) -> PreconditionError:
        waited = f" (waited {lock_request.wait:g} s)" if lock_request.wait else ""
        return PreconditionError(
            f"another run is under way in environment `{self.lock.environment}`{waited}: {words}",
            remedy="let it end, or wait for it with --wait SECONDS; a run that died is recognised once its Lease was seen to be "
            f"silent for {self.lock.silence.seconds} s; --take-over stops a run that still lives and takes its place",
            code="run-under-way",
        )
