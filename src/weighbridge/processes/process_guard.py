"""Stands between us and one child process, so that the child never outlives us, not even our ``kill -9``.

Run as a script by a bare interpreter (``python -I -S process_guard.py [--remove DIR] GRACE_SECONDS -- COMMAND…``),
standard library only. Its standard input is a pipe that the parent holds open: a byte on it asks for a polite end
(SIGTERM to the child, which for Pulumi means: finish what is in flight, save the state, release the lock), and its end
means that the parent is gone, which asks for the same; so does SIGTERM. What still runs after GRACE_SECONDS is killed, and
so is every process that the child left behind. With ``--remove``, DIR is removed if the parent did not live to do so, and
meanwhile its file ``PID_FILE`` holds the guard's process number.

The child's output passes through here and is read to its end in any case: a Go program that writes to a pipe which
nobody reads dies of SIGPIPE, without releasing its lock.

Why a process and not ``PR_SET_PDEATHSIG`` alone: that reaches one generation only, follows the parent's *thread*, and
Pulumi puts each plugin in a process group of its own.
"""

import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

SIGNALLED = 128
"""The exit code of a guard whose child a signal ended is this plus the signal's number, as a shell says it."""

PID_FILE = "guard.pid"

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _in_child() -> None:
    """A killed guard takes its child along (politely: the lock is released)."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _children() -> list[int]:
    """Processes whose parent is this one: after the child ended, the orphans that the subreaper inherited."""
    me = str(os.getpid())
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if entry.read_text().rpartition(")")[2].split()[1] == me:
                found.append(int(entry.parent.name))
    return found


def _hold(folder: str) -> None:
    """Keep the folder's lock with its maker, until this process ends: nobody sweeps it away under the child (``scratch.py``)."""
    with contextlib.suppress(OSError):
        fcntl.flock(os.open(folder, os.O_RDONLY | os.O_DIRECTORY), fcntl.LOCK_SH | fcntl.LOCK_NB)


def _reap() -> bool:
    """Collect ended children. True while any is left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _end_orphans(seconds: float) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        until = time.monotonic() + seconds
        while _reap():
            if time.monotonic() > until:
                break
            for pid in _children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, sign)
            time.sleep(0.02)


def _asked() -> bytes:
    try:
        return os.read(0, 1)
    except OSError:  # a pseudo-terminal whose other side has gone
        return b""


def _relay(source: int, target: int) -> None:
    """Copy until the end; once nobody listens, read on and drop it."""
    while chunk := os.read(source, 65536):
        with contextlib.suppress(OSError):
            while chunk:
                chunk = chunk[os.write(target, chunk) :]


class _Ending:
    """Ends the child when the parent asks or vanishes."""

    def __init__(self, child: "subprocess.Popen[bytes]", grace: float) -> None:
        self.child = child
        self.grace = grace
        self.orphaned = False

    def listen(self) -> None:
        asked = _asked()
        self.orphaned = not asked
        self.begin()
        while asked:
            asked = _asked()
        self.orphaned = True

    def begin(self) -> None:
        self.child.terminate()
        deadline = threading.Timer(self.grace, self.child.kill)
        deadline.daemon = True
        deadline.start()


def main(arguments: list[str]) -> int:
    options, command = arguments[: arguments.index("--")], arguments[arguments.index("--") + 1 :]
    folder = options[options.index("--remove") + 1] if "--remove" in options else None
    grace = float(options[-1])
    with contextlib.suppress(
        PermissionError
    ):  # under a pseudo-terminal of its own it leads a session already
        os.setsid()  # the terminal's Ctrl-C is for our parent, which asks us
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    if folder:
        _hold(folder)
        Path(folder, PID_FILE).write_text(str(os.getpid()), encoding="ascii")
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        close_fds=False,
        preexec_fn=_in_child,  # noqa: PLW1509  single-threaded here
        restore_signals=True,
        # Below a pseudo-terminal, whoever ends it, or kills the guard's whole group as ansible-runner does, leaves the child
        # the time to tell its own children. Elsewhere the group tells the child from what it started (``orphans.py``).
        process_group=0 if os.isatty(0) else None,
    )
    ending = _Ending(child, grace)
    signal.signal(signal.SIGTERM, lambda *_: ending.begin())
    threading.Thread(target=ending.listen, daemon=True).start()
    relays = [
        threading.Thread(target=_relay, args=(stream.fileno(), target), daemon=True)
        for stream, target in ((child.stdout, 1), (child.stderr, 2))
        if stream
    ]
    for relay in relays:
        relay.start()
    code = child.wait()
    _end_orphans(2.0)
    for relay in relays:
        relay.join(2.0)
    if folder and ending.orphaned:
        shutil.rmtree(folder, ignore_errors=True)
    return code if code >= 0 else SIGNALLED - code


if __name__ == "__main__":
    sys.stdout.flush()
    os._exit(main(sys.argv[1:]))
