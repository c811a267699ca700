"""What a Lease is told of this machine, and how a run that lost it is stopped, on a real Linux."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from weighbridge.domain.lease import Found, fate
from weighbridge.kubernetes.lease_tenure import interrupt_main
from weighbridge.processes.machine import look_at, this_process, uptime


@contextlib.contextmanager
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_this_process_is_recognised_as_alive() -> None:
    me = this_process()
    assert (me.host, me.pid) == (socket.gethostname(), os.getpid())
    assert fate(me, me, look_at).alive is True


def test_another_process_is_alive_until_it_is_killed_and_a_zombie_is_dead() -> None:
    with sleeper() as process:
        found = look_at(process.pid)
        assert found is not None
        assert found.started is not None
        assert 0 <= uptime() - found.started / 100 < 60
        process.kill()
        until = time.monotonic() + 10
        while look_at(process.pid) is not None and time.monotonic() < until:
            time.sleep(0.01)
        assert look_at(process.pid) is None, "nobody has collected it yet, but it is dead"
    assert look_at(process.pid) is None


@pytest.mark.parametrize("pid", [0, -1, 2**40])
def test_what_is_no_pid_is_no_process(pid: int) -> None:
    assert look_at(pid) is None


def test_processes_of_others_exist_too() -> None:
    assert isinstance(look_at(1), Found)


def test_the_main_thread_is_interrupted_also_out_of_a_system_call() -> None:
    began = time.monotonic()
    threading.Timer(0.2, interrupt_main).start()
    with pytest.raises(KeyboardInterrupt):
        time.sleep(30)
    assert time.monotonic() - began < 10


def test_a_run_in_the_background_where_ctrl_c_is_ignored_is_interrupted_too() -> None:
    program = (
        "import signal, threading, time\n"
        "from weighbridge import cli\n"
        "from weighbridge.kubernetes.lease_tenure import interrupt_main\n"
        "assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN\n"
        "signal.signal(signal.SIGTERM, cli._interrupted)\n"
        "threading.Timer(0.2, interrupt_main).start()\n"
        "try:\n    time.sleep(30)\nexcept KeyboardInterrupt:\n    print('interrupted')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert done.stdout == "interrupted\n", done.stderr
