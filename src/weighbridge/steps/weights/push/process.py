"""Child processes of a push: with a scrubbed environment, stopped when this process ends, with a deadline for every wait."""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import IO

from weighbridge.errors import PreconditionError
from weighbridge.processes.variables import Child, variables_for

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def scrubbed(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment for rsync, by the table of ``processes/variables.py``, and ``extra``: no proxy, no login."""
    return variables_for(Child.RSYNC) | dict(extra or {})


def start(
    argv: Sequence[str], env: Mapping[str, str], output: int | IO[bytes] = subprocess.PIPE
) -> subprocess.Popen[bytes]:
    """Start a child that gets SIGTERM when the starting thread ends (Linux). Standard input is empty; standard output
    and error are one stream.
    """
    parent = os.getpid()

    def die_with_parent() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:
                os._exit(1)

    return subprocess.Popen(
        list(argv),
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        preexec_fn=die_with_parent,  # noqa: PLW1509 - calls libc only, loaded above
        bufsize=0,
        start_new_session=True,
    )


def stop(child: subprocess.Popen[bytes], grace_seconds: float = 2.0) -> None:
    """Send SIGTERM to the child and its own children, wait a moment, send SIGKILL to the rest, and close the pipe."""
    if child.poll() is None:
        _signal_all(child, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(grace_seconds)
        _signal_all(child, signal.SIGKILL)
        child.wait()
    if child.stdout is not None:
        child.stdout.close()


def _signal_all(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


def find(names: Sequence[str], why: str) -> str:
    """Return the absolute path of the first of ``names`` on PATH. Raise ``PreconditionError`` if none is there."""
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    raise PreconditionError(
        f"{' or '.join(names)} is not on PATH, and {why}",
        remedy=f"Install {names[0]}, or use the route `fetch`, which needs nothing on this machine.",
        code="tool-missing",
    )
