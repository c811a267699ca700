"""Whose a lock of Pulumi's self-managed backend is, and whether whoever made it seems to be dead. Pure.

A lock (``.pulumi/locks/organization/PROJECT/STACK/UUID.json``, ``backend/diy/lock.go``) says user, host, PID and time and
nothing else: not the boot, not the container. So each command that takes one is noted beforehand in our Lease
(``lease.Work``), and a lock counts as ours only with such a note: same host, not older than the note. Whether a process is the
lock's own is told by ticks since boot and never by the time of day, which may have been set back.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from weighbridge.domain.lease import LookAt, Process, Work, fate

_TICKS = 100
"""Clock ticks a second (``USER_HZ``), which Linux fixes at 100 for what it shows in ``/proc``."""
_MARGIN = 1.0
"""Seconds: both times are of one machine; this is for rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackLock:
    """One lock file."""

    key: str
    """Below the backend's root."""
    user: str
    host: str
    pid: int
    at: datetime

    @property
    def words(self) -> str:
        return f"since {self.at.isoformat(timespec='seconds')} by {self.user} on host {self.host} (process {self.pid})"


@dataclass(frozen=True, slots=True)
class LockFate:
    """``ours``: there is a note of it. ``alive``: ``None`` where that cannot be told from here."""

    ours: bool
    alive: bool | None
    reason: str


def parse_lock(key: str, content: bytes) -> StackLock | None:
    """``None`` where it is not a lock as Pulumi 3.255 writes it."""
    try:
        row = json.loads(content)
        at = datetime.fromisoformat(_six_digits(str(row["timestamp"])))
        if at.tzinfo is None:
            return None
        return StackLock(
            key=key, user=str(row["username"]), host=str(row["hostname"]), pid=int(row["pid"]), at=at
        )
    except (ValueError, KeyError, TypeError):
        return None


def judge_lock(
    lock: StackLock, notes: Iterable[Work], here: Process, look: LookAt, over: float = math.inf
) -> LockFate:
    """``notes``: the work on this lock's stack that is not known to have ended. ``over``: seconds from boot to a moment at which
    all of their runs were dead.
    """
    candidates = [note for note in notes if _made_by(lock, note)]
    if not candidates:
        return LockFate(ours=False, alive=None, reason="no run of ours noted it")
    fates = [_fate(lock, note, here, look, over) for note in candidates]
    living = next((found for found in fates if found.alive is not False), None)
    return living or fates[0]


def _made_by(lock: StackLock, note: Work) -> bool:
    try:
        after = (lock.at - datetime.fromisoformat(note.since)).total_seconds()
    except (ValueError, TypeError):
        return False
    return lock.host == note.process.host and after >= -_MARGIN


def _fate(lock: StackLock, note: Work, here: Process, look: LookAt, over: float) -> LockFate:
    known = fate(replace(note.process, pid=lock.pid, started=None), here, look)
    found = look(lock.pid) if known.alive else None
    if found is not None and found.started is not None and found.started / _TICKS > over:
        return LockFate(ours=True, alive=False, reason=f"process {lock.pid} is another one now")
    return LockFate(ours=True, alive=known.alive, reason=known.reason)


def _six_digits(text: str) -> str:
    """Go writes up to nine digits of a second; Python reads up to six."""
    head, point, rest = text.partition(".")
    if not point:
        return text
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    return f"{head}.{digits[:6]}{rest[len(digits) :]}"
