"""This process and its neighbours, as a Lease and a lock name them. Only Linux answers; elsewhere little is known, and
then nothing is concluded.
"""

import contextlib
import os
import pwd
import socket
import time
from pathlib import Path

from weighbridge.domain.lease import Found, Process
from weighbridge.processes.orphans import stat_fields

_PROC = Path("/proc")


def this_process() -> Process:
    """Who we are."""
    found = look_at(os.getpid())
    return Process(
        user=_user(),
        host=socket.gethostname(),
        machine=_line(Path("/etc/machine-id")),
        boot=_line(_PROC / "sys/kernel/random/boot_id"),
        namespace=_pid_namespace(),
        pid=os.getpid(),
        started=found.started if found is not None else None,
    )


def look_at(pid: int) -> Found | None:
    """The process, or ``None`` where there is none, or only what is left of it until its parent looks (a zombie).

    ``kill(pid, 0)`` decides, because ``/proc`` may hide other users' processes (``hidepid``).
    """
    if pid <= 0:
        return None
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return None
    except PermissionError:
        pass
    try:
        fields = stat_fields(pid)
    except OSError:
        return Found(None)
    if fields[0] in "ZX":
        return None
    return Found(int(fields[19]))


def uptime() -> float:
    """Seconds since boot, time asleep included where the system counts it."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _user() -> str:
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(os.getuid()).pw_name
    return str(os.getuid())  # a container's random user has no name


def _line(path: Path) -> str | None:
    with contextlib.suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace").strip() or None
    return None


def _pid_namespace() -> str | None:
    with contextlib.suppress(OSError):
        return (_PROC / "self/ns/pid").readlink().name.removeprefix("pid:[").removesuffix("]")
    return None
