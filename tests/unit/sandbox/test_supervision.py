"""What `status` and `down` read from the machine."""

from pathlib import Path

from weighbridge_sandbox.layout import Layout
from weighbridge_sandbox.status import Status, as_lines, verdict
from weighbridge_sandbox.supervision import ProcessState, last_lines, restarts
from weighbridge_sandbox.teardown import loops_backed_below, mounts_below, shims_of

LOG = """2026-01-01 10:00:00,001 INFO supervisord started with pid 7
2026-01-01 10:00:00,002 INFO spawned: 'etcd' with pid 8
2026-01-01 10:00:01,002 INFO spawned: 'etcd' with pid 9
2026-01-01 11:00:00,001 INFO supervisord started with pid 17
2026-01-01 11:00:00,002 INFO spawned: 'etcd' with pid 18
2026-01-01 11:00:00,003 INFO spawned: 's3' with pid 19
2026-01-01 11:00:05,000 WARN exited: s3 (terminated by SIGKILL; not expected)
2026-01-01 11:00:05,002 INFO spawned: 's3' with pid 21
"""


def process(name: str, state: str, *tail: str, again: int = 0) -> ProcessState:
    return ProcessState(name, state, 1, again, "note", tail)


def test_restarts_count_from_the_managers_last_start() -> None:
    assert restarts(LOG) == {"etcd": 0, "s3": 1}
    assert restarts("") == {}


def test_the_last_lines_of_a_log_and_none_of_a_missing_one(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n" for number in range(5000)))
    assert last_lines(log, 2) == ("line 4998", "line 4999")
    assert last_lines(tmp_path / "none", 2) == ()
    assert last_lines(log, 0) == ()


def test_one_process_down_degrades_the_whole() -> None:
    fine, dead = process("etcd", "RUNNING"), process("s3", "FATAL")
    assert verdict((fine,), node_is_ready=True) == "up"
    assert verdict((fine, dead), node_is_ready=True) == "degraded"
    assert verdict((fine,), node_is_ready=False) == "degraded"


def test_a_dead_process_is_shown_with_its_last_words() -> None:
    dead, shaky = process("s3", "FATAL", "bind: address in use"), process("etcd", "RUNNING", again=2)
    shown = "\n".join(
        as_lines(
            Status(
                "degraded", "/srv/wb", api_ready=True, node_ready=True, processes=(dead, shaky), unbuilt=()
            )
        )
    )
    assert "FATAL" in shown
    assert "| bind: address in use" in shown
    assert "restarts: 2" in shown


def test_mounts_are_found_below_the_folder_only_and_innermost_first() -> None:
    text = "\n".join(
        f"{number} 1 0:1 / {point} rw - ext4 dev rw"
        for number, point in enumerate(
            ["/", "/srv/wb/a", "/srv/wb/a/b", "/srv/wbx", r"/srv/wb/with\\040space"]
        )
    ).replace("\\\\", "\\")
    assert mounts_below(Path("/srv/wb"), text) == ("/srv/wb/with space", "/srv/wb/a/b", "/srv/wb/a")


def test_loop_devices_are_told_by_their_file_even_a_deleted_one() -> None:
    listed = """{"loopdevices": [
      {"name": "/dev/loop0", "back-file": "/srv/wb/volumes/a/volume.img"},
      {"name": "/dev/loop1", "back-file": "/srv/wb/volumes/b/volume.img (deleted)"},
      {"name": "/dev/loop2", "back-file": "/home/somebody/disk.img"},
      {"name": "/dev/loop3", "back-file": null}]}"""
    assert loops_backed_below(Path("/srv/wb"), listed) == ("/dev/loop0", "/dev/loop1")
    assert loops_backed_below(Path("/srv/wb"), "") == ()


def test_shims_of_another_containerd_are_left_alone() -> None:
    layout = Layout(Path("/srv/wb"))
    shim = "/usr/bin/containerd-shim-runc-v2"
    ours = [shim, "-namespace", "k8s.io", "-id", "x", "-address", "/srv/wb/containerd/containerd.sock"]
    theirs = [*ours[:-1], "/run/containerd/containerd.sock"]
    assert shims_of(layout, [(1, ours), (2, theirs), (3, ["sh"]), (4, [])]) == (1,)
