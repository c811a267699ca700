"""The mover is killed at any moment, also twice in a row: nothing wrong is ever published, and little is fetched again."""

import io
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.fake_s3 import FakeS3, fake_s3
from support.mover_bench import Bench, digest_of, weight_set
from weighbridge.mover.commands import fetch, publish_pushed
from weighbridge.mover.control import Control
from weighbridge.mover.order import parse_order
from weighbridge.mover.report import Reporter, Result
from weighbridge.mover.run import Run
from weighbridge.mover.volume import Volume

SEED = int(os.environ.get("WEIGHBRIDGE_SEED", "3"))
TRIALS = int(os.environ.get("WEIGHBRIDGE_KILLS", "8"))
CHUNK, WORKERS = 131_072, 3


@pytest.mark.parametrize("trial", range(TRIALS))
def test_killed_twice_at_any_byte_and_then_finished(
    tmp_path: Path, trial: int, record_property: Callable[[str, Any], None]
) -> None:
    dice = random.Random(SEED * 1000 + trial)
    record_property("seed", SEED)
    bench = Bench(
        tmp_path, weight_set(1_500_000, 700_000, 3_000), limits={"chunk_bytes": CHUNK, "workers": WORKERS}
    )
    total = sum(map(len, bench.files.values()))
    with fake_s3(bench.objects()) as s3:
        s3.pace = 0.002
        for kill_at in sorted(dice.randrange(total) for _ in range(2)):
            bench.start("fetch", s3).kill_when(lambda at=kill_at: s3.served >= at)
            assert not bench.published.exists() or bench.stored() == bench.files
        ended = bench.run("fetch", s3)
        again = max(0, s3.served - total)
    assert (ended.code, ended.termination["set_digest"]) == (0, digest_of(bench.files)), ended
    assert ended.outcome in {"published", "unchanged"}
    assert bench.stored() == bench.files
    assert bench.leftovers() == []
    in_flight = WORKERS * CHUNK + 2 * WORKERS * (
        4 << 20
    )  # what the kernel's socket buffers had taken counts as served
    assert again <= 2 * in_flight
    assert bench.run("verify").outcome == "verified"


def test_no_more_than_the_chunks_in_flight_is_fetched_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, weight_set(3_000_000), limits={"chunk_bytes": CHUNK, "workers": WORKERS})
    total = sum(map(len, bench.files.values()))
    with fake_s3(bench.objects()) as s3:
        s3.pace = 0.01
        journal = Path(f"{bench.staging}.journal")
        bench.start("fetch", s3).kill_when(lambda: journal.exists() and journal.read_bytes().count(b"\n") > 8)
        kept = sum(json.loads(line.split(b" ", 1)[1])[2] for line in journal.read_bytes().splitlines()[1:])
        s3.pace = 0
        ended = bench.run("fetch", s3)
    assert ended.termination["bytes_resumed"] == kept >= 4 * CHUNK
    assert ended.termination["bytes_fetched"] == total - kept
    assert bench.stored() == bench.files


@pytest.mark.parametrize("part_size", [None, 700_000])
@pytest.mark.parametrize("attested", [True, False])
def test_a_chunk_that_rots_on_the_volume_between_two_runs_is_fetched_again(
    tmp_path: Path, part_size: int | None, attested: bool
) -> None:
    """Where the source attests the whole file, that chunk alone; where nothing but the journal remembers it, the whole file."""
    limits = {"chunk_bytes": CHUNK, "workers": 1, "check_etag": "auto" if attested else "none"}
    bench = Bench(tmp_path, weight_set(1_500_000), part_size=part_size, limits=limits)
    total = sum(map(len, bench.files.values()))
    with fake_s3(bench.objects()) as s3:
        s3.pace = 0.01
        journal = Path(f"{bench.staging}.journal")
        bench.start("fetch", s3).kill_when(
            lambda: journal.exists() and journal.read_bytes().count(b"model-0") > 3
        )
        with (bench.staging / "model-00000.safetensors").open("r+b") as stream:
            stream.seek(CHUNK + 1000)
            stream.write(b"rotten")
        s3.pace = 0
        ended = bench.run("fetch", s3)
    assert ended.outcome == "published"
    if attested:
        assert "the volume does not return the bytes that were written to it" in ended.notes
        assert ended.termination["bytes_fetched"] == total - ended.termination["bytes_resumed"] + CHUNK
    else:
        assert "3 more start anew" in ended.notes or "2 more start anew" in ended.notes
        assert (ended.termination["bytes_resumed"], ended.termination["bytes_fetched"]) == (0, total)
    assert bench.stored() == bench.files


class CrashError(BaseException):
    """Stands for a power cut: nothing of the mover runs any more."""


class CrashingVolume(Volume):
    """Stops the world before its ``crash_at``-th change of the volume."""

    def __init__(self, root: str, crash_at: int) -> None:
        super().__init__(root)
        self.changes = 0
        self._crash_at = crash_at

    def _change(self) -> None:
        self.changes += 1
        if self.changes == self._crash_at:
            raise CrashError

    def rename(self, old: str, new: str) -> None:
        self._change()
        super().rename(old, new)

    def remove(self, path: str) -> None:
        self._change()
        super().remove(path)

    def write_atomically(self, path: str, content: bytes) -> None:
        self._change()
        super().write_atomically(path, content)

    def sync_tree(self, path: str) -> None:
        self._change()
        super().sync_tree(path)


def work(bench: Bench, s3: FakeS3, volume: Volume, verb: Callable[[Run], None], route: str) -> Run:
    order = parse_order(bench.order(s3.endpoint, route))
    run = Run(
        order,
        volume,
        Control(60),
        Reporter(io.StringIO()),
        Result(),
        credentials=str(bench.credentials),
        environment={},
    )
    verb(run)
    return run


@pytest.mark.parametrize("case", ["fetch", "push", "repair"])
def test_a_crash_between_any_two_steps_is_taken_up(tmp_path: Path, case: str) -> None:
    """Crash before every single change of the volume, run again, and again crash one change later, until nothing crashes."""
    verb, route = (publish_pushed, "push") if case == "push" else (fetch, "fetch")
    crash_at = crashes = 0
    while True:
        crash_at += 1
        folder = tmp_path / str(crash_at)
        folder.mkdir()
        bench = Bench(folder, weight_set(3000, 2000))
        with fake_s3(bench.objects()) as s3:
            if case == "push":
                bench.push()
            if case == "repair":
                work(bench, s3, Volume(str(bench.volume)), fetch, route)
                (bench.published / "config.json").write_bytes(b"damaged")
                (bench.published / "extra").write_bytes(b"x")
                (bench.published / "tokenizer.json").unlink()
            crashed = False
            for _ in range(2):
                try:
                    work(bench, s3, CrashingVolume(str(bench.volume), crash_at), verb, route)
                except CrashError:
                    crashed = True
                    crashes += 1
                receipts = list((bench.volume / ".weighbridge/receipts").rglob("*.json"))
                if case != "repair" and receipts:
                    assert bench.stored() == bench.files, "a receipt stands only beside a whole set"
            run = work(bench, s3, Volume(str(bench.volume)), verb, route)
            assert run.result.set_digest == digest_of(bench.files)
            assert bench.stored() == bench.files
            assert bench.leftovers() == []
        if not crashed:
            break
    assert crashes > 10
