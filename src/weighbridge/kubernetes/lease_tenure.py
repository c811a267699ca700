"""One hold on a Lease: a thread renews it, and says when it was lost."""

import contextlib
import signal
import threading
from collections.abc import Callable
from typing import Final

from weighbridge.core.events import Observer, Warned
from weighbridge.domain.lease import Holder, Notes, Record
from weighbridge.errors import StepFailedError, WeighbridgeError, is_transient
from weighbridge.kubernetes.lease_object import ChangedError, LeaseObject

ATTEMPTS: Final = 5
"""Of one write, where others (a label, a note) write the object too."""


def interrupt_main() -> None:
    """As Ctrl-C would, also where a shell's background job ignores SIGINT: by a signal that Python handles."""
    for sign in (signal.SIGTERM, signal.SIGINT):
        if callable(signal.getsignal(sign)):
            signal.pthread_kill(threading.main_thread().ident or 0, sign)  # wakes it from a system call
            return


class Tenure:
    """Implements ``ports.Tenure``. Made before the Lease is taken; ``end`` has to be called in any case."""

    def __init__(  # noqa: PLR0913  each is one thing the thread has to know
        self,
        lease: LeaseObject,
        me: Holder,
        observer: Observer,
        on_lost: Callable[[], None],
        *,
        interrupt: Callable[[], None] = interrupt_main,
        renew_every: float | None = None,
        retry_after: float = 2.0,
    ) -> None:
        self._lease = lease
        self.me = me
        self._observer = observer
        self._on_lost = on_lost
        self._interrupt = interrupt
        self._pauses = (renew_every or lease.silence.renew_every, retry_after)
        self._mutex = threading.RLock()
        self._record: Record | None = None
        self._renewed = 0.0
        """Our clock just before the last write that succeeded."""
        self._loss: StepFailedError | None = None
        self._displaced = False
        self._asked = False
        """Whether a write may have reached the API server."""
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._renew_on, name="lease", daemon=True)

    @property
    def record(self) -> Record:
        """The Lease as last written or read."""
        if self._record is None:
            raise AssertionError("asked before the Lease was taken")
        return self._record

    @property
    def unfinished(self) -> frozenset[str]:
        """See ``ports.Tenure.unfinished``."""
        return self.record.notes.weights

    @property
    def loss(self) -> StepFailedError | None:
        """What ended the hold before its time."""
        return self._loss

    def require(self) -> None:
        """See ``ports.Tenure.require``."""
        if self._loss is None and self._silence() > self._lease.silence.give_up_after:
            self._renew()  # this machine slept: did anybody take over meanwhile?
        if self._loss is not None:
            raise self._loss

    def take(self, record: Record | None) -> None:
        """Make the Lease ours. ``ChangedError`` where somebody was quicker."""
        began = self._lease.clock.now()
        self._asked = True
        if record is None:
            taken = self._lease.create(self.me)
        else:
            taken = self._lease.swap(record, self.me, record.notes)
        self.took(taken, began)

    def took(self, record: Record, began: float) -> None:
        """It is ours, written not earlier than ``began``."""
        self._record, self._renewed = record, began

    def start(self) -> None:
        """Renew from now on."""
        self._thread.start()

    def note(self, change: Callable[[Notes], Notes]) -> None:
        """Change the notes. Raises what ``require`` raises, and what the API server says; its silence is borne as long as a
        renewal's.
        """
        refused = 0
        while refused < ATTEMPTS:
            with self._mutex:
                self.require()
                try:
                    if self._swap(change(self.record.notes)):
                        return
                    refused += 1
                    continue
                except WeighbridgeError as error:
                    if not is_transient(error) or error is self._loss:
                        raise
            self._lease.clock.sleep(self._pauses[1])
        raise StepFailedError(
            f"the Lease {self._lease.name} could not be written: somebody else writes it all the time",
            remedy="see who (kubectl get lease -o yaml --show-managed-fields), and run the command again",
            code="lease-contended",
            transient=True,
        )

    def end(self) -> None:
        """Stop renewing, and give the Lease back if it is ours. Raises nothing but an interruption."""
        try:
            self._ending.set()
            with self._mutex:  # whoever is past this is not interrupted any more
                self._on_lost = self._interrupt = _nothing
        finally:
            if self._asked:
                self._give_back()

    # -- inside

    def _silence(self) -> float:
        return self._lease.clock.now() - self._renewed

    def _renew_on(self) -> None:
        usual, soon = self._pauses
        pause = usual
        while not self._ending.wait(pause):
            with self._mutex:
                if self._ending.is_set() or self._loss is not None:
                    return
                pause = usual if self._renew() else soon

    def _renew(self) -> bool:
        """True where it was renewed. Whatever hinders it is borne until the time is over: a thread that ended for a fault of a
        library or a login helper would leave a run that believes in a Lease which runs out.
        """
        with self._mutex:
            why = "somebody else writes it all the time"
            try:
                for _ in range(ATTEMPTS):
                    if self._swap(self.record.notes):
                        return True
                    if self._loss is not None:
                        return False
            except WeighbridgeError as error:
                why = error.what
            except Exception as error:  # noqa: BLE001 - see above
                why = f"{type(error).__name__}: {error}"
            if (silence := self._silence()) > self._lease.silence.give_up_after:
                self._lose(
                    f"it could not renew its Lease for {silence:.0f} s: {why}",
                    "run the same command again: it goes on where this one stopped",
                )
            return False

    def _swap(self, notes: Notes) -> bool:
        """One write. False where the object was another one: it was read again, and a loss is noticed."""
        began = self._lease.clock.now()
        try:
            self.took(self._lease.swap(self.record, self.me, notes), began)
        except ChangedError:
            found = self._lease.read()
            if found is None:
                self._lose(
                    f"somebody deleted its Lease {self._lease.name}",
                    "run the same command again: it goes on where this one stopped",
                )
            elif found.identity != self.me.identity:
                self._displaced = True
                self._lose(
                    f"it was taken over by {found.words}",
                    "let that run end; what this one had finished stays",
                )
            else:
                self._record = found
            return False
        return True

    def _lose(self, why: str, remedy: str) -> None:
        self._loss = StepFailedError(
            f"this run has lost environment `{self._lease.environment}` and stopped: {why}",
            remedy=remedy,
            code="lease-lost",
            transient=not self._displaced,
        )
        try:
            with contextlib.suppress(Exception):  # what cannot even be made has nothing under way
                self._on_lost()
        finally:
            if threading.current_thread() is not threading.main_thread():  # which meets the loss itself
                self._interrupt()

    def _give_back(self) -> None:
        try:
            for _ in range(ATTEMPTS):
                with contextlib.suppress(ChangedError):
                    self._leave()
                    return
        except Exception as error:  # noqa: BLE001 - the run has ended, one way or the other
            what = error.what if isinstance(error, WeighbridgeError) else f"{type(error).__name__}: {error}"
            self._observer(
                Warned(
                    f"the Lease {self._lease.name} could not be given back: {what}; "
                    f"it runs out within {self._lease.silence.seconds} s"
                )
            )

    def _leave(self) -> None:
        record = self._lease.read()
        if record is None:
            return
        if record.identity == self.me.identity:
            self._lease.give_back(record)
        elif self._displaced:
            self._lease.say_gave_way(record, self.me.run)


def _nothing() -> None:
    """Nobody listens any more."""
