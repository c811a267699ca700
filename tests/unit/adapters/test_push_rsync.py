"""The rsync client as it is really called, and what its failures are told as."""

import os
import time
from pathlib import Path

import pytest

from support.rsync_daemon import DirectWay, rsync_daemon
from weighbridge.adapters.push_daemon import RSYNCD_CONF, manifest_path, receipt_path, staging_path
from weighbridge.adapters.push_manifest import Manner
from weighbridge.adapters.push_process import scrubbed
from weighbridge.adapters.push_rsync import EXPLAINED, TRANSIENT, Rsync, RsyncFailedError, Target
from weighbridge.errors import PreconditionError

ROOT = Path(__file__).parents[3]
NAME = "staging/team/m/abc/we ird [1]*/model.safetensors"


def soon() -> float:
    return time.monotonic() + 60


def test_the_pod_runs_the_daemon_with_the_configuration_that_is_tested_here() -> None:
    assert (ROOT / "templates" / "rsyncd.conf").read_text() == RSYNCD_CONF


def test_names_on_the_volume() -> None:
    assert receipt_path("org/m", "org/m/0123456789ab") == "receipts/org__m/0123456789ab.json"
    assert staging_path("org/m/0123456789ab") == "staging/org/m/0123456789ab"
    assert manifest_path("org/m/0123456789ab") == "staging/org/m/0123456789ab.manifest.json"


def test_whole_appended_and_differing_files_become_the_source_and_little_is_sent(tmp_path: Path) -> None:
    tree, data = tmp_path / "tree", os.urandom(20_000_000)
    (tree / NAME).parent.mkdir(parents=True)
    (tree / NAME).write_bytes(data)
    rsync = Rsync(20)
    with rsync_daemon(tmp_path / "pod") as daemon:
        target = DirectWay(daemon.port).target(0)
        there = daemon.volume / NAME
        assert rsync.send(target, tree, [NAME], Manner.WHOLE, deadline=soon()).literal == len(data)
        os.truncate(there, 8_000_000)
        assert rsync.send(target, tree, [NAME], Manner.APPEND, deadline=soon()).literal == 12_000_000
        assert there.read_bytes() == data
        os.truncate(there, 8_000_000)
        with there.open("r+b") as handle:
            handle.write(b"damaged beginning")
        rsync.send(target, tree, [NAME], Manner.APPEND, deadline=soon())
        assert there.read_bytes() == data
        with there.open("r+b") as handle:
            handle.seek(11_000_000)
            handle.write(b"X")
        assert rsync.send(target, tree, [NAME], Manner.DELTA, deadline=soon()).literal < 200_000
        assert there.read_bytes() == data


def test_sizes_and_small_files_are_found_and_absent_ones_are_no_error(tmp_path: Path) -> None:
    rsync, into = Rsync(20), tmp_path / "memory"
    with rsync_daemon(tmp_path / "pod") as daemon:
        target = DirectWay(daemon.port).target(0)
        assert rsync.sizes(target, into, "staging/team/m/abc", deadline=soon()) == {}
        rsync.fetch_small(target, into, ["receipts/a/b.json"], deadline=soon())
        assert [path for path in into.rglob("*") if path.is_file()] == []
        (daemon.volume / NAME).parent.mkdir(parents=True)
        (daemon.volume / NAME).write_bytes(b"12345")
        (daemon.volume / "staging/team/m/abcd").mkdir()
        (daemon.volume / "staging/team/m/abcd/other").write_bytes(b"1")
        (daemon.volume / "staging/team/m/abc.manifest.json").write_bytes(b"{}")
        assert rsync.sizes(target, into, "staging/team/m/abc", deadline=soon()) == {
            "we ird [1]*/model.safetensors": 5
        }
        rsync.fetch_small(
            target, into, ["receipts/a/b.json", "staging/team/m/abc.manifest.json"], deadline=soon()
        )
        assert [str(path.relative_to(into)) for path in into.rglob("*") if path.is_file()] == [
            "staging/team/m/abc.manifest.json"
        ]


def test_the_daemon_deletes_nothing_and_takes_no_links(tmp_path: Path) -> None:
    import subprocess  # noqa: PLC0415

    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "link").symlink_to("/etc/passwd")
    with rsync_daemon(tmp_path / "pod") as daemon:
        (daemon.volume / "precious").write_text("x")
        root = DirectWay(daemon.port).target(0).root
        for options in (["-r", "--delete"], ["-rl"], ["-rp"]):
            assert (
                subprocess.run(
                    ["rsync", *options, f"{tree}/", root], capture_output=True, check=False
                ).returncode
                != 0
            )
        assert [path.name for path in daemon.volume.iterdir()] == ["precious"]


def test_nobody_there_is_a_transient_failure(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    with pytest.raises(RsyncFailedError) as failed:
        Rsync(5).send(
            Target(("--contimeout=2",), "rsync://127.0.0.1:9/weights/", scrubbed()),
            tmp_path,
            ["a"],
            Manner.WHOLE,
            deadline=soon(),
        )
    assert failed.value.transient
    assert "rsync exit 10" in failed.value.explained().what


def test_a_full_volume_is_said_plainly_and_not_tried_again() -> None:
    failure = RsyncFailedError(
        11, 'rsync: [receiver] write failed on "x": No space left on device (28)'
    ).explained()
    assert (failure.code, failure.transient) == ("volume-full", False)
    assert "storage.size" in str(failure.remedy)


def test_every_exit_code_of_the_manual_is_explained_and_partial_transfers_are_failures() -> None:
    assert {1, 2, 3, 4, 5, 6, 10, 11, 12, 13, 14, 20, 21, 22, 23, 24, 25, 30, 35} <= set(EXPLAINED)
    assert TRANSIENT.isdisjoint({1, 2, 3, 11, 23, 24})
    assert {10, 12, 30, 35} <= TRANSIENT


@pytest.mark.parametrize(
    "said", ["openrsync: protocol version 29", "rsync  version 3.0.9  protocol version 30", ""]
)
def test_an_rsync_that_is_too_old_is_refused(tmp_path: Path, said: str) -> None:
    program = tmp_path / "rsync"
    program.write_text(f"#!/bin/sh\necho '{said}'\n")
    program.chmod(0o755)
    with pytest.raises(PreconditionError, match=r"not an rsync of at least 3\.1\.0"):
        Rsync(5, str(program))


def test_children_get_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "PLANTED")
    monkeypatch.setenv("SANDBOX_S3_SECRET_KEY", "PLANTED")
    monkeypatch.setenv("RSYNC_PASSWORD", "PLANTED")
    monkeypatch.setenv("WEIGHBRIDGE_SECRETS_FILE", "PLANTED")
    assert "PLANTED" not in scrubbed().values()
