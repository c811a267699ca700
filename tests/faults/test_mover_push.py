"""What a sender has put into staging is published only if every byte is what was sent."""

import json
from pathlib import Path

import pytest

from support.fake_s3 import fake_s3
from support.mover_bench import Bench, Ended, digest_of, weight_set


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, weight_set(300_000, 150_000))


def publish(bench: Bench) -> Ended:
    return bench.run("publish", route="push")


def test_a_pushed_set_is_published_like_a_fetched_one(bench: Bench) -> None:
    bench.push()
    (bench.staging / ".config.json.Xa3s").write_bytes(b"rsync's leftover")
    ended = publish(bench)
    assert (ended.code, ended.outcome, ended.termination["set_digest"]) == (
        0,
        "published",
        digest_of(bench.files),
    )
    assert bench.stored() == bench.files
    assert bench.leftovers() == []
    assert publish(bench).outcome == "unchanged"
    assert bench.run("verify").outcome == "verified"


def test_an_incomplete_push_names_what_is_absent_and_goes_on_later(bench: Bench) -> None:
    bench.push(skip="model-00001.safetensors")
    ended = publish(bench)
    assert (ended.code, ended.error, ended.termination["error"]["transient"]) == (4, "push-incomplete", True)
    assert ended.termination["error"]["files"] == ["model-00001.safetensors"]
    bench.push()
    assert publish(bench).outcome == "published"


def test_a_file_cut_short_is_absent_and_stays_for_the_sender_to_finish(bench: Bench) -> None:
    bench.push()
    shard = bench.staging / "model-00000.safetensors"
    shard.write_bytes(shard.read_bytes()[:1000])
    assert publish(bench).error == "push-incomplete"
    assert shard.stat().st_size == 1000


def test_a_damaged_file_is_removed_so_that_it_is_sent_again(bench: Bench) -> None:
    bench.push(damage="model-00000.safetensors")
    ended = publish(bench)
    assert (ended.code, ended.error) == (5, "push-damaged")
    assert ended.termination["error"]["files"] == ["model-00000.safetensors"]
    assert not (bench.staging / "model-00000.safetensors").exists()
    assert not bench.published.exists()


def test_nothing_pushed_at_all(bench: Bench) -> None:
    assert publish(bench).error == "push-incomplete"


@pytest.mark.parametrize("field", ["path", "size", "etag", "sha256"])
def test_a_manifest_of_something_else_is_refused(bench: Bench, field: str) -> None:
    bench.push()
    manifest = Path(f"{bench.staging}.manifest.json")
    document = json.loads(manifest.read_text())
    document["files"][0][field] = 7 if field == "size" else "other"
    manifest.write_text(json.dumps(document))
    ended = publish(bench)
    assert (ended.code, ended.error) == (3, "push-refused")


def test_only_the_damaged_file_needs_to_be_pushed_again(bench: Bench) -> None:
    bench.push()
    assert publish(bench).code == 0
    (bench.published / "config.json").write_bytes(b"?")
    before = {path: path.stat().st_ino for path in bench.published.glob("model*")}
    bench.push(keep=tuple(path for path in bench.files if path != "config.json"))
    ended = publish(bench)
    assert (ended.outcome, ended.termination["files_repaired"]) == ("repaired", ["config.json"])
    assert bench.stored() == bench.files
    assert {path: path.stat().st_ino for path in bench.published.glob("model*")} == before


def test_kept_files_are_proven_by_the_senders_digests_where_the_receipt_is_lost(bench: Bench) -> None:
    bench.push()
    assert publish(bench).code == 0
    next((bench.volume / ".weighbridge/receipts").rglob("*.json")).unlink()
    bench.push(keep=tuple(bench.files))
    assert publish(bench).outcome == "published"
    assert bench.stored() == bench.files


def test_fetch_and_push_give_the_same_digest(bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    other = Bench(folder, bench.files)
    with fake_s3(other.objects()) as s3:
        fetched = other.run("fetch", s3)
    bench.push()
    assert publish(bench).termination["set_digest"] == fetched.termination["set_digest"]
