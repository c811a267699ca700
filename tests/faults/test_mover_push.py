"""What a sender has put into staging is published only if every byte is what was sent."""

import hashlib
from pathlib import Path

import pytest

from support.fake_s3 import fake_s3
from support.mover_bench import Bench, Ended, digest_of, safetensors, weight_set
from weighbridge.mover.order import parse_order
from weighbridge.mover.receipts import encode_receipt, receipt_for

SHARD = "model-00000.safetensors"
FORGED = safetensors(0, 300_000)[:-1] + b"?"
"""As long as the shard, and sound weights: only its digest tells."""


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
    bench.push()
    shard = bench.staging / SHARD
    shard.write_bytes(FORGED)
    ended = publish(bench)
    assert (ended.code, ended.error) == (5, "push-damaged")
    assert ended.termination["error"]["files"] == [SHARD]
    assert not shard.exists()
    assert not bench.published.exists()


def test_bytes_that_somebody_else_staged_are_never_published(bench: Bench) -> None:
    """Whoever can write into staging can write its manifest too; the order says what was sent."""
    bench.push(forged={SHARD: FORGED})
    ended = publish(bench)
    assert (ended.code, ended.error, ended.termination["error"]["files"]) == (5, "push-damaged", [SHARD])
    assert not bench.published.exists()
    assert not (bench.staging / SHARD).exists()
    assert list((bench.volume / ".weighbridge/receipts").rglob("*.json")) == []
    bench.push()
    assert publish(bench).outcome == "published"
    assert bench.stored() == bench.files


def test_a_forged_receipt_to_be_proves_nothing(bench: Bench) -> None:
    bench.push(forged={SHARD: FORGED})
    forged = {**bench.files, SHARD: FORGED}
    order = parse_order(bench.order("http://unused", "push"))
    rows = {path: hashlib.sha256(content).hexdigest() for path, content in forged.items()}
    Path(f"{bench.staging}.verified.json").write_bytes(encode_receipt(receipt_for(order, rows)))
    ended = publish(bench)
    assert (ended.code, ended.error) == (5, "push-damaged")
    assert not bench.published.exists()


@pytest.mark.parametrize("place", ["staging", "staging/org/tiny", "receipts", "locks"])
def test_what_stands_in_place_of_a_directory_of_ours_delays_a_push_by_one_sending(
    bench: Bench, place: str
) -> None:
    """What lies behind a link was not sent to us: the role sends anew what is named here."""
    bench.push()
    ours, elsewhere = bench.volume / ".weighbridge", bench.folder / "elsewhere"
    (ours / place).parent.mkdir(exist_ok=True)
    if (ours / place).exists():
        (ours / place).rename(elsewhere)
    (ours / place).symlink_to(elsewhere)
    ended = publish(bench)
    if place.startswith("staging"):
        assert (ended.code, ended.error) == (4, "push-incomplete")
        assert sorted(ended.termination["error"]["files"]) == sorted(bench.files)
        assert any(elsewhere.rglob(SHARD)), "not ours to remove"
        bench.push()
        ended = publish(bench)
    assert (ended.code, ended.outcome) == (0, "published"), ended
    assert bench.stored() == bench.files


def test_a_manifest_is_nothing_to_publish_by(bench: Bench) -> None:
    bench.push()
    Path(f"{bench.staging}.manifest.json").write_text("not JSON")
    assert publish(bench).outcome == "published"
    assert bench.stored() == bench.files


@pytest.mark.parametrize("lacking", ["expect_set_digest", "sha256"])
def test_an_order_that_does_not_say_what_was_sent_is_refused(bench: Bench, lacking: str) -> None:
    bench.push()
    order = bench.order("http://unused", "push")
    files = [{key: value for key, value in row.items() if key != lacking} for row in order["files"]]
    bench.sent = None
    bench.extra = {"files": files}
    if lacking == "sha256":
        bench.extra["expect_set_digest"] = order["expect_set_digest"]
    ended = publish(bench)
    assert (ended.code, ended.error) == (3, "order-refused")
    assert not bench.published.exists()


def test_a_set_whose_digest_is_not_the_senders_is_not_published(bench: Bench) -> None:
    bench.push()
    bench.extra = {"expect_set_digest": "sha256:" + "ab" * 32}
    ended = publish(bench)
    assert (ended.code, ended.error) == (5, "set-differs")
    assert not bench.published.exists()


def test_nothing_pushed_at_all(bench: Bench) -> None:
    assert publish(bench).error == "push-incomplete"


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
