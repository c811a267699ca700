"""Real processes, real signals: nothing that was started outlives whoever started it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pexpect  # type: ignore[import-untyped]
import pytest

from weighbridge.processes import process_guard

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the guard's guarantees are Linux's")

GUARD = [sys.executable, "-I", "-S", str(Path(process_guard.__file__))]

CHILD = """
import os, signal, subprocess, sys, time
folder, manner = sys.argv[1:3]
plugin = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
def end(*_):
    open(f"{folder}/asked", "w").close()
    if manner == "polite":
        os._exit(7)
signal.signal(signal.SIGTERM, end)
open(f"{folder}/pids.part", "w").write(f"{os.getpid()} {plugin.pid}")
os.rename(f"{folder}/pids.part", f"{folder}/pids")
while True:
    time.sleep(60)
"""

PARENT = """
import subprocess, sys
guard = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE)
print(guard.pid, flush=True)
guard.wait()
"""


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def soon(holds: Callable[[], bool], seconds: float = 15) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if holds():
            return True
        time.sleep(0.02)
    return holds()


def child(folder: Path, manner: str) -> list[str]:
    return ["--", sys.executable, "-c", CHILD, str(folder), manner]


def pids(folder: Path) -> list[int]:
    assert soon((folder / "pids").exists)
    return [int(pid) for pid in (folder / "pids").read_text().split()]


def test_output_and_exit_code_pass_through() -> None:
    command = [*GUARD, "5", "--", sys.executable, "-c", "import sys; print('out'); sys.exit(6)"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as guard:
        assert guard.stdout
        assert guard.stdout.read() == "out\n"
        assert guard.wait(20) == 6


def test_when_the_parent_is_killed_the_child_ends_politely_and_takes_its_plugins_along(
    tmp_path: Path,
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    command = [*GUARD, "--remove", str(scratch), "10", *child(tmp_path, "polite")]
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, *command], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout
        guard = int(parent.stdout.readline())
        started = [guard, *pids(tmp_path)]
        parent.kill()
        parent.wait()
        assert soon(lambda: not any(map(alive, started)))
    assert (tmp_path / "asked").exists()
    assert not scratch.exists(), "what lay on tmpfs is gone too"


def test_a_child_that_does_not_listen_is_killed_after_the_grace(tmp_path: Path) -> None:
    with subprocess.Popen([*GUARD, "0.5", *child(tmp_path, "deaf")], stdin=subprocess.PIPE) as guard:
        started = pids(tmp_path)
        assert guard.stdin
        guard.stdin.write(b".")
        guard.stdin.flush()
        assert guard.wait(20) == 128 + signal.SIGKILL
    assert (tmp_path / "asked").exists(), "it was asked first"
    assert soon(lambda: not any(map(alive, started)))


def test_a_folder_is_left_to_a_parent_that_lives(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with subprocess.Popen(
        [*GUARD, "--remove", str(scratch), "5", "--", "true"], stdin=subprocess.PIPE
    ) as guard:
        assert guard.wait(20) == 0
    assert scratch.exists()


def test_when_the_guard_itself_is_killed_the_child_is_asked_to_end(tmp_path: Path) -> None:
    with subprocess.Popen([*GUARD, "5", *child(tmp_path, "polite")], stdin=subprocess.PIPE) as guard:
        cli, plugin = pids(tmp_path)
        guard.kill()
        guard.wait()
        assert soon(lambda: not alive(cli))
    assert (tmp_path / "asked").exists()
    os.kill(plugin, signal.SIGKILL)


def test_ctrl_c_at_the_terminal_does_not_reach_the_child(tmp_path: Path) -> None:
    with subprocess.Popen([*GUARD, "5", *child(tmp_path, "polite")], stdin=subprocess.PIPE) as guard:
        cli = pids(tmp_path)[0]
        assert os.getsid(cli) == guard.pid, "a session of its own has no terminal"
        assert guard.stdin
        guard.stdin.write(b".")
        guard.stdin.flush()
        assert guard.wait(20) == 7


def test_a_guard_killed_with_its_group_and_terminal_leaves_the_child_time_to_end_politely(
    tmp_path: Path,
) -> None:
    """As ansible-runner ends what it started."""
    spawned = pexpect.spawn(GUARD[0], [*GUARD[1:], "10", *child(tmp_path, "polite")])
    started, plugin = pids(tmp_path)
    try:
        os.killpg(os.getpgid(spawned.pid), signal.SIGKILL)
        spawned.close()
        assert soon(lambda: not alive(started))
        assert (tmp_path / "asked").exists()
    finally:
        os.kill(plugin, signal.SIGKILL)


def test_a_guard_that_is_asked_by_a_signal_ends_the_child_and_what_it_left(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    command = [*GUARD, "--remove", str(scratch), "1", *child(tmp_path, "deaf")]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as guard:
        started = pids(tmp_path)
        os.kill(int((scratch / process_guard.PID_FILE).read_text()), signal.SIGTERM)
        assert guard.wait(20) == process_guard.SIGNALLED + signal.SIGKILL
        assert not any(map(alive, started))
    assert (tmp_path / "asked").exists()
    assert scratch.exists(), "its maker lives, and removes it"
