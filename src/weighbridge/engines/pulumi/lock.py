"""Locks that a killed Pulumi left in a self-managed backend: removed where they are provably ours, and of the dead for so long
that the guards of the dead run have ended its Pulumi, too.

Pulumi writes a lock before it changes a stack and deletes it afterwards; ``kill -9`` leaves it for ever, and ``pulumi
cancel`` would delete every lock of the stack, also those of others. Here one file is judged (``engines/pulumi/stack_locks.py``) and that file
deleted. The notes that prove it ours stand in the Lease, so they outlive this machine.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from weighbridge.core.events import Note, Observer, Warned
from weighbridge.domain.lease import LookAt, Process, Work
from weighbridge.engines.pulumi.backend import Backend, Bucket, Folder
from weighbridge.engines.pulumi.errors import cancel_command
from weighbridge.engines.pulumi.stack_locks import LockFate, StackLock, judge_lock, parse_lock
from weighbridge.errors import PreconditionError, WeighbridgeError
from weighbridge.processes import machine

LOCKS: Final = ".pulumi/locks/organization"
_POLL_SECONDS: Final = 0.5


class Notes(Protocol):
    """What runs noted of the stacks they were about to lock, in the Lease (``kubernetes.lease.LeaseLock``)."""

    @property
    def word(self) -> bool: ...

    @property
    def alone_since(self) -> float: ...

    def notes(self, stack: str | None = None) -> tuple[Work, ...]: ...

    def begin(self, stack: str) -> None: ...

    def ended(self, stack: str) -> None: ...


class Objects(Protocol):
    """A bucket, by keys from its root."""

    def list(self, bucket: Bucket, prefix: str) -> Sequence[str]: ...

    def read(self, bucket: Bucket, key: str) -> bytes | None: ...

    def delete(self, bucket: Bucket, key: str) -> None: ...


@dataclass(frozen=True, slots=True)
class StackLocks:
    """The locks of one backend."""

    backend: Backend
    objects: Objects
    notes: Notes
    grace: float
    """Seconds within which the guard of a dead run ends its Pulumi (``Limits.grace``)."""
    here: Callable[[], Process] = machine.this_process
    look: LookAt = machine.look_at
    now: Callable[[], float] = machine.uptime
    sleep: Callable[[float], None] = time.sleep

    @contextmanager
    def around(self, stack: str) -> Iterator[None]:
        """Note a command that takes the lock of ``stack`` (``PROJECT/STACK``), and tidy up after it if it was killed."""
        self.notes.begin(stack)
        try:
            yield
        except BaseException:
            with contextlib.suppress(WeighbridgeError):  # the next run finds the note, and does it
                self._tidy(stack)
            raise
        self.notes.ended(stack)

    def settle(self, observer: Observer) -> None:
        """See ``ports.Stacks.settle``."""
        for stack in sorted({work.stack for work in self.notes.notes()}):
            self._settle(stack, observer)

    def of(self, stack: str) -> tuple[StackLock, ...]:
        """Every lock of ``stack`` that can be read."""
        folder = f"{LOCKS}/{stack}/"
        found = ((key, self._read(key)) for key in self._keys(folder) if key.endswith(".json"))
        locks = (parse_lock(key, content) for key, content in found if content is not None)
        return tuple(lock for lock in locks if lock is not None)

    # -- inside

    def _judged(self, stack: str, over: float = math.inf) -> list[tuple[StackLock, LockFate]]:
        here, notes = self.here(), self.notes.notes(stack)
        judged = [(lock, judge_lock(lock, notes, here, self.look, over)) for lock in self.of(stack)]
        return [(lock, found) for lock, found in judged if found.ours]

    def _tidy(self, stack: str) -> None:
        judged = self._judged(stack)
        for lock, found in judged:
            if found.alive is False:
                self._delete(lock.key)
        if all(found.alive is False for _, found in judged):
            self.notes.ended(stack)

    def _settle(self, stack: str, observer: Observer) -> None:
        over, said = self.notes.alone_since, False
        while judged := self._judged(stack, over):
            for lock, found in judged:
                if found.alive is None and not self.notes.word:
                    raise self._unknown(stack, lock, found)
            left = over + self.grace - self.now()
            if left <= 0:
                self._remove(stack, judged, observer)
                break
            if not said:
                lock = judged[0][0]
                observer(
                    Note(
                        f"waiting, {left:.0f} s at most, for Pulumi to end what a dead run began: stack `{stack}` is locked {lock.words}"
                    )
                )
                said = True
            self.sleep(min(left, _POLL_SECONDS))
        self.notes.ended(stack)

    def _remove(self, stack: str, judged: list[tuple[StackLock, LockFate]], observer: Observer) -> None:
        for lock, found in judged:
            if found.alive:
                raise self._living(stack, lock)
        for lock, found in judged:
            self._delete(lock.key)
            observer(
                Warned(
                    f"removed the lock of stack `{stack}`, which a dead run held {lock.words}: {found.reason}"
                )
            )

    def _unknown(self, stack: str, lock: StackLock, found: LockFate) -> PreconditionError:
        return PreconditionError(
            f"stack `{stack}` is locked {lock.words}. That was a run of this environment which did not end properly, but "
            f"{found.reason}, so whether it goes on cannot be known from here",
            remedy="where that machine or container is certainly gone, say so: repeat the command with --take-over; "
            f"or remove the lock: {cancel_command(stack, self.backend.url)}",
            code="stack-locked",
        )

    def _living(self, stack: str, lock: StackLock) -> PreconditionError:
        return PreconditionError(
            f"stack `{stack}` is locked {lock.words}: the run that began it is dead, but process {lock.pid} still runs "
            f"{self.grace:.0f} s later",
            remedy=f"look at it (ps -fp {lock.pid}): if it is Pulumi, end it (kill {lock.pid}) and run the command again; "
            f"if it is another program, remove the lock: {cancel_command(stack, self.backend.url)}",
            code="stack-locked",
        )

    def _keys(self, folder: str) -> Sequence[str]:
        if isinstance(self.backend, Folder):
            root = self.backend.path
            return [str(path.relative_to(root)) for path in sorted((root / folder).glob("*"))]
        cut = len(self.backend.prefix)
        return [key[cut:] for key in self.objects.list(self.backend, self.backend.prefix + folder)]

    def _read(self, key: str) -> bytes | None:
        if isinstance(self.backend, Folder):
            with _files(self.backend.path / key):
                return (self.backend.path / key).read_bytes()
            return None
        return self.objects.read(self.backend, self.backend.prefix + key)

    def _delete(self, key: str) -> None:
        if isinstance(self.backend, Folder):
            with _files(self.backend.path / key):
                (self.backend.path / key).unlink()
            return
        self.objects.delete(self.backend, self.backend.prefix + key)


@contextmanager
def _files(path: Path) -> Iterator[None]:
    """A file that is gone is fine."""
    try:
        yield
    except FileNotFoundError:
        return
    except OSError as error:
        raise PreconditionError(
            f"the lock {path} cannot be read or removed: {error.strerror}",
            remedy="give this user the right to read and write `state.backend`",
            code="state-unreadable",
        ) from error
