"""The route `push` against a real rsync daemon that runs the rsync pod's own configuration."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import pytest

from support.rsync_daemon import DirectTransport, FaultyNetwork, RsyncDaemon, rsync_daemon
from weighbridge.core.events import Event, Note, TransferProgress
from weighbridge.domain.access import Access
from weighbridge.domain.weights import SourceFile
from weighbridge.errors import PreconditionError, StepFailedError, WeighbridgeError
from weighbridge.mover.weightset import set_digest
from weighbridge.steps.weights.push.rsync import Rsync, Target
from weighbridge.steps.weights.push.sender import Advance, Push, PushOrder, PushResult
from weighbridge.steps.weights.push.spool import Spool
from weighbridge.steps.weights.push.transport import Transport, TransportRefusedError

MB = 1_000_000
SUB_PATH = "team/model/0123456789ab"
STAGING = f"staging/{SUB_PATH}"
ROOT = Path(__file__).parents[4]


class FolderReader:
    """A source in memory, copied in pieces as a download would bring it."""

    def __init__(self, content: Mapping[str, bytes], *, pause: float = 0.0) -> None:
        self.content = content
        self.asked: list[str] = []
        self.pause = pause

    def download(self, file: SourceFile, into: Path, *, deadline: float, advance: Advance) -> str:
        del deadline
        self.asked.append(file.path)
        into.parent.mkdir(parents=True, exist_ok=True)
        data = self.content[file.path]
        with into.open("wb") as handle:
            for start in range(0, len(data), MB):
                handle.write(data[start : start + MB])
                advance(min(MB, len(data) - start), resumed=False)
                time.sleep(self.pause)
        return hashlib.sha256(data).hexdigest()


def content(seed: int = 0) -> dict[str, bytes]:
    block = hashlib.sha256(bytes([seed])).digest()
    return {
        "config.json": b"{}" + block,
        "empty.txt": b"",
        "1_Pooling/config [1].json": block * 3,
        "model-00001-of-00002.safetensors": block * (70 * MB // 32),
        "model-00002-of-00002.safetensors": block * (90 * MB // 32),
    }


def order(
    files: Mapping[str, bytes], damaged: Collection[str] = (), recorded: str | None = None
) -> PushOrder:
    rows = tuple(
        SourceFile(path, len(data), hashlib.md5(data, usedforsecurity=False).hexdigest())
        for path, data in files.items()
    )
    return PushOrder("team/model", SUB_PATH, rows, frozenset(damaged), recorded)


def expected_digest(files: Mapping[str, bytes]) -> str:
    return set_digest((path, len(data), hashlib.sha256(data).hexdigest()) for path, data in files.items())


def staged(daemon: RsyncDaemon) -> dict[str, bytes]:
    root = daemon.volume / STAGING
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def arrived(daemon: RsyncDaemon) -> int:
    """Bytes on the volume, while a push may be going on."""
    total = 0
    for path in (daemon.volume / STAGING).rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def recorded(daemon: RsyncDaemon) -> dict[str, dict[str, object]]:
    parsed = json.loads((daemon.volume / f"{STAGING}.manifest.json").read_text())
    return {row["path"]: row for row in parsed["files"]}


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[RsyncDaemon]:
    with rsync_daemon(tmp_path / "pod") as running:
        yield running


def push(  # noqa: PLR0913
    tmp_path: Path,
    what: PushOrder,
    reader: FolderReader,
    *transports: Transport,
    events: list[Event] | None = None,
    limit: int = 2**31,
    stall: int = 20,
    seconds: float = 120,
) -> PushResult:
    with Spool(tmp_path / "spool", "pod", SUB_PATH.rpartition("/")[2], limit) as spool:
        run = Push(
            what,
            reader,
            Rsync(stall),
            transports,
            spool,
            deadline=time.monotonic() + seconds,
            emit=(events if events is not None else []).append,
        )
        return run.run()


def test_the_volume_holds_exactly_the_source_and_the_manifest_says_so(
    tmp_path: Path, daemon: RsyncDaemon
) -> None:
    files = content()
    events: list[Event] = []
    result = push(tmp_path, order(files), FolderReader(files), DirectTransport(daemon.port), events=events)
    assert staged(daemon) == files
    assert {path: row["sha256"] for path, row in recorded(daemon).items()} == {
        p: hashlib.sha256(d).hexdigest() for p, d in files.items()
    }
    assert result.set_digest == expected_digest(files)
    assert (result.files_sent, result.files_kept, result.bytes_resumed) == (5, 0, 0)
    assert result.bytes_moved == result.bytes_downloaded == sum(map(len, files.values()))
    progress = [event for event in events if isinstance(event, TransferProgress) and event.phase == "push"]
    assert progress[-1].bytes == progress[-1].total == sum(map(len, files.values()))
    assert [event.bytes for event in progress] == sorted(event.bytes for event in progress)
    assert list((tmp_path / "spool").rglob("*.safetensors")) == []


def test_files_on_the_volume_can_be_read_by_the_serving_pods(tmp_path: Path, daemon: RsyncDaemon) -> None:
    files = content()
    push(tmp_path, order(files), FolderReader(files), DirectTransport(daemon.port))
    for path in (daemon.volume / STAGING).rglob("*"):
        assert path.stat().st_mode & 0o044 == 0o044, path


def test_a_second_push_downloads_and_sends_nothing(tmp_path: Path, daemon: RsyncDaemon) -> None:
    files = content()
    push(tmp_path, order(files), FolderReader(files), DirectTransport(daemon.port))
    again = FolderReader(files)
    result = push(tmp_path, order(files), again, DirectTransport(daemon.port))
    assert (again.asked, result.files_sent, result.bytes_moved) == ([], 0, 0)
    assert result.set_digest == expected_digest(files)


def test_another_machine_reads_what_it_has_not_sent_itself_and_sends_what_the_volume_lacks(
    tmp_path: Path, daemon: RsyncDaemon
) -> None:
    files = content()
    push(tmp_path, order(files), FolderReader(files), DirectTransport(daemon.port))
    again = FolderReader(files)
    result = push(tmp_path / "elsewhere", order(files), again, DirectTransport(daemon.port))
    assert sorted(again.asked) == sorted(files)
    assert result.bytes_moved < MB, "the blocks that are there already are not sent"
    assert result.set_digest == expected_digest(files)


def test_a_manifest_and_a_receipt_that_somebody_else_wrote_are_not_believed(
    tmp_path: Path, daemon: RsyncDaemon
) -> None:
    files = content()
    name = "model-00001-of-00002.safetensors"
    forged = {**files, name: files[name][:-1] + b"?"}
    push(tmp_path / "theirs", order(files), FolderReader(forged), DirectTransport(daemon.port))
    rows = json.loads((daemon.volume / f"{STAGING}.manifest.json").read_text())["files"]
    receipt = daemon.volume / "receipts" / "team__model" / "0123456789ab.json"
    receipt.parent.mkdir(parents=True)
    receipt.write_text(json.dumps({"schema": 1, "files": rows}))
    for recorded in (None, expected_digest(files)):
        reader = FolderReader(files)
        result = push(
            tmp_path / str(recorded), order(files, recorded=recorded), reader, DirectTransport(daemon.port)
        )
        assert sorted(reader.asked) == sorted(files)
        assert staged(daemon) == files
        assert result.set_digest == expected_digest(files)


def test_the_mark_on_the_volume_is_not_sent_with_every_file(tmp_path: Path, daemon: RsyncDaemon) -> None:
    files = {f"model-{index:02}.safetensors": bytes([index]) * (65 * MB) for index in range(4)}
    sent: list[str] = []

    class Counting(Rsync):
        def send_small(self, target: Target, tree: Path, name: str, *, deadline: float) -> None:
            sent.append(name)
            super().send_small(target, tree, name, deadline=deadline)

    with Spool(tmp_path / "spool", "pod", "0123456789ab", 2**31) as spool:
        Push(
            order(files), FolderReader(files), Counting(20), [DirectTransport(daemon.port)], spool,
            deadline=time.monotonic() + 120, emit=lambda _event: None,
        ).run()  # fmt: skip
    assert len(sent) == 2, "at the beginning and at the end"
    assert recorded(daemon).keys() == files.keys()


def test_a_volume_that_was_emptied_between_two_runs_is_filled_again(
    tmp_path: Path, daemon: RsyncDaemon
) -> None:
    files = content()
    network = FaultyNetwork(daemon.port, rate=40 * MB)
    with pytest.raises(StepFailedError):
        push(tmp_path, order(files), FolderReader(files), DirectTransport(network.port), seconds=3)
    network.close()
    shutil.rmtree(daemon.volume / "staging" / "team")
    result = push(tmp_path, order(files), FolderReader(files), DirectTransport(daemon.port))
    assert staged(daemon) == files
    assert result.bytes_moved == sum(map(len, files.values()))


@pytest.mark.parametrize("place", ["team", "team/model", "team/model/0123456789ab"])
@pytest.mark.parametrize("how", ["link", "file"])
def test_what_stands_in_place_of_the_staging_folder_goes_and_where_it_leads_nothing_is_written(
    tmp_path: Path, daemon: RsyncDaemon, place: str, how: str
) -> None:
    files, theirs, planted = content(), tmp_path / "theirs", daemon.volume / "staging" / place
    theirs.mkdir()
    planted.parent.mkdir(parents=True, exist_ok=True)
    if how == "link":
        planted.symlink_to(theirs)
    else:
        planted.write_text("x")
    push(tmp_path, order(files), FolderReader(files), DirectTransport(daemon.port))
    assert staged(daemon) == files
    assert list(theirs.iterdir()) == []


def test_one_damaged_file_of_a_published_set_is_the_only_one_sent(
    tmp_path: Path, daemon: RsyncDaemon
) -> None:
    files = content()
    receipt = daemon.volume / "receipts" / "team__model" / "0123456789ab.json"
    receipt.parent.mkdir(parents=True)
    rows = [
        {
            "path": row.path,
            "size": row.size,
            "etag": row.etag,
            "sha256": hashlib.sha256(files[row.path]).hexdigest(),
        }
        for row in order(files).files
    ]
    receipt.write_text(json.dumps({"schema": 1, "files": rows}))
    reader = FolderReader(files)
    damaged = "model-00001-of-00002.safetensors"
    record = expected_digest(files)
    result = push(
        tmp_path, order(files, damaged=[damaged], recorded=record), reader, DirectTransport(daemon.port)
    )
    assert reader.asked == [damaged]
    assert list(staged(daemon)) == [damaged]
    assert (result.files_sent, result.files_kept) == (1, 4)
    assert {path for path, row in recorded(daemon).items() if row.get("keep")} == set(files) - {damaged}
    assert result.set_digest == expected_digest(files)


def test_a_receipt_that_the_source_contradicts_is_not_believed_and_leaves_nobody_stuck(
    tmp_path: Path, daemon: RsyncDaemon
) -> None:
    files = content()
    """Also where the cluster's record agrees with it, as it may after a forgery that an earlier version took over."""
    receipt = daemon.volume / "receipts" / "team__model" / "0123456789ab.json"
    receipt.parent.mkdir(parents=True)
    published = [
        {"path": row.path, "size": row.size, "etag": row.etag, "sha256": "ab" * 32}
        for row in order(files).files
    ]
    receipt.write_text(json.dumps({"schema": 1, "files": published}))
    record = set_digest((path, len(data), "ab" * 32) for path, data in files.items())
    events: list[Event] = []
    what = order(files, damaged=["config.json"], recorded=record)
    result = push(tmp_path, what, FolderReader(files), DirectTransport(daemon.port), events=events)
    assert staged(daemon) == files
    assert (result.set_digest, result.files_kept) == (expected_digest(files), 0)
    assert any("another SHA-256" in event.text for event in events if isinstance(event, Note))


def test_who_does_not_know_the_password_sends_nothing(tmp_path: Path, daemon: RsyncDaemon) -> None:
    files = content()
    with pytest.raises(StepFailedError, match="auth failed") as failure:
        push(tmp_path, order(files), FolderReader(files), DirectTransport(daemon.port, "guessed"))
    assert (failure.value.code, failure.value.transient) == ("pod-of-another-run", False)
    assert staged(daemon) == {}


def test_broken_connections_are_resumed_inside_the_file(tmp_path: Path, daemon: RsyncDaemon) -> None:
    files = content()
    network = FaultyNetwork(daemon.port, cuts=(30 * MB, 25 * MB, 40 * MB))
    events: list[Event] = []
    result = push(tmp_path, order(files), FolderReader(files), DirectTransport(network.port), events=events)
    network.close()
    assert network.broken == 3
    assert staged(daemon) == files
    assert result.bytes_moved == sum(map(len, files.values()))
    assert sum(isinstance(event, Note) for event in events) == 3


def test_a_killed_daemon_that_comes_back_is_gone_on_with(tmp_path: Path, daemon: RsyncDaemon) -> None:
    files = content()
    network = FaultyNetwork(daemon.port, rate=60 * MB)

    def interrupt() -> None:
        time.sleep(1.2)
        daemon.stop()
        time.sleep(1.0)
        daemon.start()

    saboteur = threading.Thread(target=interrupt)
    saboteur.start()
    push(tmp_path, order(files), FolderReader(files), DirectTransport(network.port))
    saboteur.join()
    network.close()
    assert staged(daemon) == files


def test_a_network_that_never_heals_ends_with_a_transient_failure(
    tmp_path: Path, daemon: RsyncDaemon
) -> None:
    files = content()
    network = FaultyNetwork(daemon.port, cuts=(10,) * 50)
    with pytest.raises(StepFailedError) as failure:
        push(tmp_path, order(files), FolderReader(files), DirectTransport(network.port), seconds=60)
    network.close()
    assert failure.value.transient


def test_the_deadline_holds_and_the_next_run_finishes(tmp_path: Path, daemon: RsyncDaemon) -> None:
    files = content()
    network = FaultyNetwork(daemon.port, rate=20 * MB)
    started = time.monotonic()
    with pytest.raises(StepFailedError) as failure:
        push(tmp_path, order(files), FolderReader(files), DirectTransport(network.port), seconds=5)
    assert failure.value.code == "deadline"
    assert time.monotonic() - started < 10
    there = arrived(daemon)
    network.rate = 1e12
    result = push(tmp_path, order(files), FolderReader(files), DirectTransport(network.port))
    network.close()
    assert staged(daemon) == files
    assert result.bytes_resumed >= there > 0


def test_the_spool_never_holds_more_than_its_limit(tmp_path: Path, daemon: RsyncDaemon) -> None:
    block = os.urandom(1024)
    files = {f"model-{index:02}.safetensors": bytes([index]) + block * (70 * 1000) for index in range(6)}
    limit = 150 * MB
    seen: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            total = 0
            for folder, _folders, names in os.walk(tmp_path / "spool"):
                for name in names:
                    with contextlib.suppress(FileNotFoundError):
                        total += Path(folder, name).stat().st_size if name.endswith(".safetensors") else 0
            seen.append(total)

    watcher = threading.Thread(target=watch)
    watcher.start()
    result = push(tmp_path, order(files), FolderReader(files), DirectTransport(daemon.port), limit=limit)
    over.set()
    watcher.join()
    assert 70 * MB < max(seen) <= limit
    assert result.most_spooled <= limit
    assert staged(daemon) == files


def test_a_file_larger_than_the_limit_still_travels_alone(tmp_path: Path, daemon: RsyncDaemon) -> None:
    files = content()
    result = push(tmp_path, order(files), FolderReader(files), DirectTransport(daemon.port), limit=MB)
    assert result.most_spooled == len(files["model-00002-of-00002.safetensors"])
    assert staged(daemon) == files


def test_a_spool_in_use_is_refused(tmp_path: Path, daemon: RsyncDaemon) -> None:
    files = content()
    with (
        Spool(tmp_path / "spool", "pod", "0123456789ab", MB),
        pytest.raises(PreconditionError, match="another push"),
    ):
        push(tmp_path, order(files), FolderReader(files), DirectTransport(daemon.port))


class ClosedTransport(DirectTransport):
    name = "closed"

    def target(self, deadline: float) -> Target:
        del deadline
        lacking = Access(
            verb="create",
            group="",
            resource="pods",
            subresource="portforward",
            name="wb-s-m-rsync",
            namespace="n",
        )
        raise TransportRefusedError("the cluster does not allow `create` on pods/portforward", lacking)


def test_a_forbidden_way_gives_place_to_the_next_and_the_last_one_is_a_refusal(
    tmp_path: Path, daemon: RsyncDaemon
) -> None:
    files = content()
    result = push(
        tmp_path, order(files), FolderReader(files), ClosedTransport(0), DirectTransport(daemon.port)
    )
    assert result.transport == "direct"
    with pytest.raises(PreconditionError, match="pods/portforward") as refused:
        push(tmp_path, order(files), FolderReader(files), ClosedTransport(0))
    assert refused.value.code == "no-way-to-pod"
    rule = '{apiGroups: [""], resources: [pods/portforward], verbs: [create], resourceNames: [wb-s-m-rsync]}'
    assert rule in refused.value.what, "a route that declines shows nothing but this"


def test_a_failing_source_ends_the_push_with_its_own_words(tmp_path: Path, daemon: RsyncDaemon) -> None:
    class Refusing(FolderReader):
        def download(self, file: SourceFile, into: Path, *, deadline: float, advance: Advance) -> str:
            if file.path.startswith("model-00002"):
                raise PreconditionError("replaced since it was listed", code="s3-precondition-failed")
            return super().download(file, into, deadline=deadline, advance=advance)

    files = content()
    with pytest.raises(WeighbridgeError, match="replaced since"):
        push(tmp_path, order(files), Refusing(files), DirectTransport(daemon.port))


PUSHER = textwrap.dedent("""
    import sys
    from pathlib import Path
    from unit.steps.weights.test_push import FolderReader, content, order, push
    from support.rsync_daemon import DirectTransport
    files = content()
    push(Path(sys.argv[1]), order(files), FolderReader(files), DirectTransport(int(sys.argv[2])))
""")


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_pusher_killed_twice_leaves_no_child_and_the_third_run_finishes(
    tmp_path: Path, daemon: RsyncDaemon
) -> None:
    files = content()
    network = FaultyNetwork(daemon.port, rate=40 * MB)
    for _ in range(2):
        before = arrived(daemon)
        pusher = subprocess.Popen(
            [sys.executable, "-c", PUSHER, str(tmp_path), str(network.port)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        until = time.monotonic() + 60
        while not (arrived(daemon) > before + 20 * MB and (children := children_of(pusher.pid))):
            assert time.monotonic() < until
            time.sleep(0.02)
        pusher.send_signal(signal.SIGKILL)
        pusher.wait()
        until = time.monotonic() + 5
        while (
            left := [child for child in children if Path(f"/proc/{child}").exists()]
        ) and time.monotonic() < until:
            time.sleep(0.05)
        assert left == []
    assert 0 < arrived(daemon) < sum(map(len, files.values()))
    network.rate = 1e12
    result = push(tmp_path, order(files), FolderReader(files), DirectTransport(network.port))
    network.close()
    assert staged(daemon) == files
    assert result.set_digest == expected_digest(files)
    assert result.bytes_moved < sum(map(len, files.values()))
