"""A second sandbox in a network namespace of its own: interrupted, crashed, taken down, without touching the first."""

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from weighbridge_sandbox.layout import Layout

pytestmark = [pytest.mark.sandbox, pytest.mark.alone, pytest.mark.timeout(900)]

PROGRAM = Path(sys.executable).parent / "weighbridge-sandbox"
FIXED_PLACES = ("/var/lib/kubelet", "/var/lib/cni", "/var/log/containers")


@dataclass(frozen=True)
class Apart:
    """A machine apart: same kernel and programs; own network, own mounts, own sandbox folder."""

    layout: Layout
    holder: int

    def call(self, *argv: str | Path, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.words(argv), capture_output=True, text=True, check=False, timeout=timeout)

    def words(self, argv: Sequence[str | Path]) -> list[str]:
        home = f"WEIGHBRIDGE_SANDBOX_HOME={self.layout.home}"
        return ["nsenter", "--net", "--mount", f"--target={self.holder}", "env", home, *map(str, argv)]

    def status(self) -> dict[str, dict[str, str | int]]:
        shown = json.loads(self.call(PROGRAM, "status", "--json").stdout)
        return {each["name"]: each for each in shown["processes"]} | {"": {"state": shown["state"]}}

    def processes(self) -> list[psutil.Process]:
        network = namespace(self.holder)
        return [p for p in psutil.process_iter() if p.pid != self.holder and namespace(p.pid) == network]


def namespace(pid: int) -> Path | None:
    try:
        return Path(f"/proc/{pid}/ns/net").readlink()
    except OSError:
        return None


def until(what: str, check: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.3)


@pytest.fixture(scope="module")
def apart(sandbox: Layout) -> Iterator[Apart]:
    with tempfile.TemporaryDirectory(prefix="wb-", dir="/tmp") as folder:
        home = Path(folder) / "h"
        home.mkdir()
        (home / "tools").symlink_to(sandbox.tools)
        binds = []
        for number, place in enumerate(FIXED_PLACES):
            own = Path(folder) / str(number)
            own.mkdir()
            binds.append(f"mkdir -p {place}; mount --bind {own} {place}")
        script = f"ip link set lo up; {'; '.join(binds)}; echo ready; exec sleep 900"
        holder = subprocess.Popen(
            ["unshare", "--net", "--mount", "sh", "-c", script], stdout=subprocess.PIPE, text=True
        )
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        machine = Apart(Layout(home), holder.pid)
        try:
            yield machine
        finally:
            machine.call(PROGRAM, "reset")
            holder.kill()
            holder.wait()
            holder.stdout.close()


def test_up_may_be_interrupted_and_run_again(apart: Apart) -> None:
    first = subprocess.Popen(apart.words([PROGRAM, "up"]), stderr=subprocess.PIPE, text=True)
    until("the process manager", apart.layout.supervisor_socket.exists)
    first.send_signal(signal.SIGINT)
    _, said = first.communicate(timeout=60)
    assert first.returncode == 130
    assert "run the same command again" in said

    again = apart.call(PROGRAM, "up")
    assert again.returncode == 0, again.stderr
    assert apart.status()[""]["state"] == "up"


def test_a_second_up_builds_and_starts_nothing(apart: Apart) -> None:
    before = {name: each.get("pid") for name, each in apart.status().items()}
    assert apart.call(PROGRAM, "up").returncode == 0
    assert {name: each.get("pid") for name, each in apart.status().items()} == before


def test_a_killed_process_is_restarted_and_counted(apart: Apart) -> None:
    psutil.Process(int(apart.status()["etcd"]["pid"])).kill()
    until("etcd's restart", lambda: apart.status()["etcd"]["restarts"] == 1)
    until("recovery", lambda: apart.status()[""]["state"] == "up")


def test_a_process_that_cannot_start_is_reported_with_its_last_words(apart: Apart) -> None:
    hidden = apart.layout.s3 / "hidden"
    apart.layout.s3_secret_key.rename(hidden)
    try:
        psutil.Process(int(apart.status()["s3"]["pid"])).kill()
        until("the report", lambda: "secret" in str(apart.status()["s3"]["tail"]))
        assert apart.call(PROGRAM, "status").returncode == 4
    finally:
        hidden.rename(apart.layout.s3_secret_key)
    until("recovery", lambda: apart.status()[""]["state"] == "up")


def test_the_managers_death_takes_all_with_it_and_up_recovers(apart: Apart) -> None:
    manager = int((apart.layout.supervisor / "supervisord.pid").read_text())
    children = psutil.Process(manager).children()
    psutil.Process(manager).kill()
    assert not psutil.wait_procs(children, timeout=10)[1]
    assert apart.status()[""]["state"] == "down"

    again = apart.call(PROGRAM, "up")
    assert again.returncode == 0, again.stderr


def test_a_taken_port_is_refused_by_name(apart: Apart, tmp_path: Path) -> None:
    other = Apart(Layout(Path(str(tmp_path)[:50])), apart.holder)
    refused = other.call(PROGRAM, "up")
    assert refused.returncode == 3
    assert "127.0.0.1:27443 (kube-apiserver) is held by process" in refused.stderr


def test_without_the_right_to_mount_it_says_what_the_kernel_refuses(apart: Apart) -> None:
    assert apart.call(PROGRAM, "down").returncode == 0
    refused = apart.call("setpriv", "--bounding-set=-sys_admin,-net_admin", PROGRAM, "up")
    assert refused.returncode == 3
    for lack in (
        "overlay file system",
        "loop devices",
        "network bridges",
        "network namespaces",
        "KUBECONFIG",
    ):
        assert lack in refused.stderr


def test_down_leaves_nothing_and_reset_keeps_the_tools(apart: Apart) -> None:
    assert apart.call(PROGRAM, "up").returncode == 0
    assert apart.processes()

    down = apart.call(PROGRAM, "down")

    assert down.returncode == 0, down.stderr
    assert apart.processes() == []
    assert str(apart.layout.home) not in Path(f"/proc/{apart.holder}/mountinfo").read_text()
    assert str(apart.layout.home) not in apart.call("losetup", "--list", "--output", "BACK-FILE").stdout
    assert "wbsbx0" not in apart.call("ip", "link").stdout
    assert [*Path("/run/netns").glob("*")] == []
    assert apart.call("ip", "-4", "route").stdout == ""
    for number in range(len(FIXED_PLACES)):
        left = [p for p in (apart.layout.home.parent / str(number)).rglob("*") if not p.is_dir()]
        assert left == []
    assert (apart.layout.etcd / "member").exists()

    assert apart.call(PROGRAM, "reset").returncode == 0
    assert sorted(path.name for path in apart.layout.home.iterdir()) == ["lock", "tools"]
    assert apart.layout.tools.is_symlink()
