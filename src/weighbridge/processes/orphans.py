"""What a guard that was killed could not end: the processes of the session that it led (``process_guard.py``). Linux only."""

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import NamedTuple

_POLL_SECONDS = 0.05
_POLITE_SECONDS = 2.0


class _Member(NamedTuple):
    pid: int
    group: int


def end_session(session: int, grace: float) -> None:
    """End what is left of a session whose leader was killed. Its main program, which shares the leader's process group, was asked
    by the kernel (``PR_SET_PDEATHSIG``) and has ``grace`` seconds to save what it was at; the others (Pulumi's plugins, in
    process groups of their own) end after it. The kernel gives out no number anew that still is a session's.
    """
    _await(session, grace, main=True)
    for sign in (signal.SIGTERM, signal.SIGKILL):
        for member in _members(session):
            with contextlib.suppress(OSError):
                os.kill(member.pid, sign)
        _await(session, _POLITE_SECONDS)


def _await(session: int, seconds: float, *, main: bool = False) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not any(member.group == session or not main for member in _members(session)):
            return
        time.sleep(_POLL_SECONDS)


def _members(session: int) -> list[_Member]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            pid = int(entry.name)
            state, _, group, its, *_ = stat_fields(pid)
            if int(its) == session and state not in "ZX":
                found.append(_Member(pid, int(group)))
    return found


def stat_fields(pid: int) -> list[str]:
    """``/proc/PID/stat`` from its third field (proc(5)): state, parent, process group, session and so on. Raises ``OSError``."""
    text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    return text.rpartition(")")[2].split()
