"""The rsync client as it is really called, and what its failures are told as."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from support.rsync_daemon import PASSWORD, RSYNCD_CONF, DirectTransport, rsync_daemon
from weighbridge.errors import PreconditionError
from weighbridge.manifests.resources import share_dir
from weighbridge.mover import layout
from weighbridge.steps.weights.push.daemon import (
    PASSWORD_KEY,
    PORT,
    RECEIPTS,
    ROOT,
    STAGING,
    USER,
    manifest_path,
    password_in,
    receipt_path,
    secrets_line,
)
from weighbridge.steps.weights.push.manifest import Manner
from weighbridge.steps.weights.push.process import scrubbed
from weighbridge.steps.weights.push.rsync import EXPLAINED, TRANSIENT, Rsync, RsyncFailedError, Target

NAME = "team/m/abc/we ird [1]*/model.safetensors"


def soon() -> float:
    return time.monotonic() + 60


def test_client_and_templates_mean_the_same_daemon() -> None:
    for line in (
        f"[{STAGING}]\npath = {ROOT}/{STAGING}\n",
        f"[{RECEIPTS}]\npath = {ROOT}/{RECEIPTS}\n",
        f"auth users = {USER}\n",
        f"secrets file = /password/{PASSWORD_KEY}\n",
    ):
        assert line in RSYNCD_CONF
    pod = (share_dir("templates") / "rsync-pod.yaml.j2").read_text()
    assert f"--port={PORT} " in pod
    assert (f"{ROOT}/{STAGING}", f"{ROOT}/{RECEIPTS}") == (
        f"/weights/{layout.STAGING}",
        f"/weights/{layout.RECEIPTS}",
    )
    assert password_in(secrets_line("a:b_c-d")) == "a:b_c-d"


def test_names_on_the_volume() -> None:
    assert receipt_path("org/m", "org/m/0123456789ab") == "org__m/0123456789ab.json"
    assert manifest_path("org/m/0123456789ab") == "org/m/0123456789ab.manifest.json"


def test_whole_appended_and_differing_files_become_the_source_and_little_is_sent(tmp_path: Path) -> None:
    tree, data = tmp_path / "tree", os.urandom(20_000_000)
    (tree / NAME).parent.mkdir(parents=True)
    (tree / NAME).write_bytes(data)
    rsync = Rsync(20)
    with rsync_daemon(tmp_path / "pod") as daemon:
        target = DirectTransport(daemon.port).target(0)
        there = daemon.volume / STAGING / NAME
        assert rsync.send(target, tree, [NAME], Manner.WHOLE, deadline=soon()) == len(data)
        os.truncate(there, 8_000_000)
        assert rsync.send(target, tree, [NAME], Manner.APPEND, deadline=soon()) == 12_000_000
        assert there.read_bytes() == data
        os.truncate(there, 8_000_000)
        with there.open("r+b") as handle:
            handle.write(b"damaged beginning")
        rsync.send(target, tree, [NAME], Manner.APPEND, deadline=soon())
        assert there.read_bytes() == data
        with there.open("r+b") as handle:
            handle.seek(11_000_000)
            handle.write(b"X")
        assert rsync.send(target, tree, [NAME], Manner.DELTA, deadline=soon()) < 200_000
        assert there.read_bytes() == data


def test_sizes_and_small_files_are_found_and_absent_ones_are_no_error(tmp_path: Path) -> None:
    rsync, into = Rsync(20), tmp_path / "memory"
    with rsync_daemon(tmp_path / "pod") as daemon:
        target = DirectTransport(daemon.port).target(0)
        staging = daemon.volume / STAGING
        assert rsync.sizes(target, into, "team/m/abc", deadline=soon()) == {}
        rsync.fetch_small(target, target.receipts, "a/b.json", into, deadline=soon())
        assert [path for path in into.rglob("*") if path.is_file()] == []
        (staging / NAME).parent.mkdir(parents=True)
        (staging / NAME).write_bytes(b"12345")
        (staging / "team/m/abcd").mkdir()
        (staging / "team/m/abcd/other").write_bytes(b"1")
        (staging / "team/m/abc.manifest.json").write_bytes(b"{}")
        assert rsync.sizes(target, into, "team/m/abc", deadline=soon()) == {
            "we ird [1]*/model.safetensors": 5
        }
        (daemon.volume / RECEIPTS / "a").mkdir()
        (daemon.volume / RECEIPTS / "a" / "b.json").write_bytes(b"{}")
        rsync.fetch_small(target, target.receipts, "a/b.json", into, deadline=soon())
        rsync.fetch_small(target, target.staging, "team/m/abc.manifest.json", into, deadline=soon())
        assert sorted(str(path.relative_to(into)) for path in into.rglob("*") if path.is_file()) == [
            "a/b.json",
            "team/m/abc.manifest.json",
        ]


def by_hand(*arguments: str | Path, password: str | None = PASSWORD) -> "subprocess.CompletedProcess[bytes]":
    """rsync as anybody on this machine could call it."""
    env = scrubbed({"RSYNC_PASSWORD": password} if password is not None else None)
    return subprocess.run(
        ["rsync", *arguments],
        capture_output=True,
        check=False,
        env=env,
        stdin=subprocess.DEVNULL,
        timeout=30,
        start_new_session=True,  # no terminal to ask for a password on
    )


def held(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_daemon_deletes_nothing_and_takes_no_links(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "link").symlink_to("/etc/passwd")
    with rsync_daemon(tmp_path / "pod") as daemon:
        (daemon.volume / STAGING / "precious").write_text("x")
        target = DirectTransport(daemon.port).target(0)
        for options in (["-r", "--delete"], ["-rl"], ["-rp"]):
            assert by_hand(*options, f"{tree}/", target.staging).returncode != 0
        assert held(daemon.volume) == {"staging/precious": b"x"}


@pytest.mark.parametrize("password", [None, "", "guessed"])
def test_who_does_not_know_the_password_neither_reads_nor_writes(
    tmp_path: Path, password: str | None
) -> None:
    (tmp_path / "forged").write_text("x")
    with rsync_daemon(tmp_path / "pod") as daemon:
        (daemon.volume / STAGING / "weights").write_text("private")
        target = DirectTransport(daemon.port).target(0)
        anonymous = target.staging.replace(f"{USER}@", "nobody@")
        for place in (target.staging, target.receipts, anonymous):
            for one, other in ((tmp_path / "forged", place), (f"{place}weights", tmp_path / "stolen")):
                refused = by_hand(one, other, password=password)
                assert refused.returncode != 0
                assert b"auth failed" in refused.stderr or b"password" in refused.stderr
        assert held(daemon.volume) == {"staging/weights": b"private"}
        assert not (tmp_path / "stolen").exists()


def test_not_even_the_sender_can_write_a_receipt_or_beside_staging(tmp_path: Path) -> None:
    (tmp_path / "forged").write_text("x")
    with rsync_daemon(tmp_path / "pod") as daemon:
        (daemon.volume / RECEIPTS / "a.json").write_text("true")
        target = DirectTransport(daemon.port).target(0)
        for place in (f"{target.receipts}a.json", f"{target.staging}../receipts/a.json"):
            by_hand(tmp_path / "forged", place)
        assert (daemon.volume / RECEIPTS / "a.json").read_text() == "true"
        refused = by_hand(tmp_path / "forged", target.receipts)
        assert b"read only" in refused.stderr


def test_nobody_there_is_a_transient_failure(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    with pytest.raises(RsyncFailedError) as failed:
        Rsync(5).send(
            Target(("--contimeout=2",), "rsync://127.0.0.1:9/staging/", "", scrubbed()),
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
