"""The mover fetches through whatever an S3 server, a network, a volume or a clock does to it."""

import os
import signal
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from support.fake_s3 import FakeS3, Fault, Stored, fake_s3
from support.mover_bench import MODEL, Bench, digest_of, weight_set
from weighbridge.mover.safetensors_header import MAX_HEADER

SHARD = f"{MODEL}/model-00000.safetensors"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, weight_set(300_000, 150_000))


@pytest.fixture
def s3(bench: Bench) -> Iterator[FakeS3]:
    with fake_s3(bench.objects()) as server:
        yield server


def assert_published(bench: Bench) -> None:
    assert bench.stored() == bench.files
    assert bench.leftovers() == []


def test_a_set_is_fetched_verified_and_published_once(bench: Bench, s3: FakeS3) -> None:
    total = sum(map(len, bench.files.values()))
    first = bench.run("fetch", s3)
    assert (first.code, first.outcome, first.termination["set_digest"]) == (
        0,
        "published",
        digest_of(bench.files),
    )
    assert (first.termination["bytes_fetched"], first.termination["total_bytes"], s3.served) == (
        total,
        total,
        total,
    )
    assert first.termination["max_rss_bytes"] < 128 << 20
    assert {event["path"] for event in first.events if event["event"] == "file"} == set(bench.files)
    assert_published(bench)
    before = {path: path.stat().st_mtime_ns for path in bench.volume.rglob("*")}
    second = bench.run("fetch", s3)
    assert (second.code, second.outcome, second.termination["bytes_fetched"], s3.served) == (
        0,
        "unchanged",
        0,
        total,
    )
    assert second.termination["published_at"] == first.termination["published_at"]
    assert {path: path.stat().st_mtime_ns for path in bench.volume.rglob("*")} == before
    verified = bench.run("verify")
    assert (verified.code, verified.outcome) == (0, "verified")


@pytest.mark.parametrize("checksums", [False, True])
@pytest.mark.parametrize("part_size", [None, 70_000])
@pytest.mark.parametrize(
    "fault",
    [
        Fault("stall", after=1000),
        Fault("reset", after=40_000, times=3),
        Fault("truncate", after=5, times=3),
        Fault("truncate", after=0, times=2),
        Fault("error", status=500, times=3),
        Fault("error", status=503, code="SlowDown", times=4),
        Fault("flip", after=20_000, key=SHARD),
        Fault("flip", after=0, key=f"{MODEL}/config.json"),
    ],
    ids=lambda fault: (
        f"{fault.kind}-{fault.status}-{fault.after}" if isinstance(fault, Fault) else str(fault)
    ),
)
def test_a_source_that_falters_is_fetched_all_the_same(
    tmp_path: Path, fault: Fault, part_size: int | None, checksums: bool
) -> None:
    bench = Bench(tmp_path, weight_set(300_000, 150_000), part_size=part_size, checksums=checksums)
    with fake_s3(bench.objects()) as s3:
        s3.faults.append(Fault(**vars(fault)))
        ended = bench.run("fetch", s3)
    assert (ended.code, ended.outcome) == (0, "published"), ended
    assert_published(bench)
    if fault.kind == "flip":
        assert "do not match the source's" in ended.notes


def test_a_bit_that_flips_every_time_is_never_published(bench: Bench, s3: FakeS3) -> None:
    s3.faults.append(Fault("flip", after=100, times=99, key=SHARD))
    ended = bench.run("fetch", s3)
    assert (ended.code, ended.error) == (5, "source-checksum")
    assert ended.termination["error"]["files"] == ["model-00000.safetensors"]
    assert not bench.published.exists()


def test_a_broken_range_goes_on_where_it_broke(bench: Bench, s3: FakeS3) -> None:
    s3.faults.append(Fault("truncate", after=65_000, key=SHARD))
    assert bench.run("fetch", s3).code == 0
    assert (SHARD, 65_000, 65_536) in s3.ranges


def test_a_source_that_stays_down_fails_and_a_later_run_resumes(bench: Bench, s3: FakeS3) -> None:
    bench.limits = {"patience_seconds": 2, "workers": 1}
    s3.faults = [Fault("before", times=4), Fault("error", status=503, times=999)]
    ended = bench.run("fetch", s3)
    assert (ended.code, ended.error, ended.termination["error"]["transient"]) == (
        4,
        "source-unreachable",
        True,
    )
    assert "503" in ended.termination["error"]["message"]
    s3.faults = []
    again = bench.run("fetch", s3)
    assert again.outcome == "published"
    assert again.termination["bytes_resumed"] == ended.termination["bytes_fetched"] > 0
    assert_published(bench)


def test_nobody_at_the_endpoint_is_said_soon(bench: Bench) -> None:
    ended = bench.run("fetch", "http://127.0.0.1:9")
    assert (ended.code, ended.error, ended.termination["error"]["transient"]) == (
        4,
        "source-unreachable",
        True,
    )
    assert ended.termination["seconds"] < 10
    assert "127.0.0.1:9" in ended.termination["error"]["message"]


@pytest.mark.parametrize("moment", ["before", "during"])
def test_a_source_that_changes_is_refused_by_name(bench: Bench, s3: FakeS3, moment: str) -> None:
    def change() -> None:
        s3.objects[SHARD] = Stored(b"other" * 60_000)

    bench.write_order(s3.endpoint)
    if moment == "before":
        change()
    else:
        s3.faults = [Fault("before", times=2), Fault("before", act=change)]
    ended = bench.run("fetch", s3)
    assert (ended.code, ended.error) == (3, "source-changed")
    assert ended.termination["error"]["files"] == ["model-00000.safetensors"]
    assert not bench.published.exists()


def test_an_object_that_is_gone_is_named(bench: Bench, s3: FakeS3) -> None:
    del s3.objects[SHARD]
    ended = bench.run("fetch", s3)
    assert (ended.code, ended.error) == (3, "source-missing")
    assert "model-00000.safetensors" in ended.termination["error"]["message"]


@pytest.mark.parametrize(
    ("access", "secret", "told"),
    [("AK", "wrong", "SignatureDoesNotMatch"), ("NO", "secret", "InvalidAccessKeyId")],
)
def test_wrong_keys_are_refused_without_showing_them(
    bench: Bench, s3: FakeS3, access: str, secret: str, told: str
) -> None:
    bench.give_keys(access, secret)
    ended = bench.run("fetch", s3)
    assert (ended.code, ended.error) == (3, "credentials-refused")
    assert told in ended.termination["error"]["message"]
    assert "wrong" not in str(ended)


def test_absent_keys_are_named(bench: Bench, s3: FakeS3) -> None:
    (bench.credentials / "AWS_SECRET_ACCESS_KEY").unlink()
    ended = bench.run("fetch", s3)
    assert (ended.code, ended.error) == (3, "credentials-missing")
    assert "AWS_SECRET_ACCESS_KEY" in ended.termination["error"]["message"]


def test_a_rotated_secret_is_picked_up_while_fetching(bench: Bench, s3: FakeS3) -> None:
    def expire() -> None:
        s3.keys["AK2"] = ("secret2", "token2")
        s3.expired.add("AK")

    s3.faults = [Fault("before", times=2), Fault("before", act=expire)]
    running = bench.start("fetch", s3)
    while not s3.expired:
        time.sleep(0.01)
    time.sleep(1)
    bench.give_keys("AK2", "secret2", "token2")
    ended = running.wait()
    assert (ended.code, ended.outcome) == (0, "published"), ended
    assert "expired" in ended.notes


def test_keys_that_stay_expired_are_said_to_be(bench: Bench, s3: FakeS3) -> None:
    bench.limits = {"rotation_seconds": 1}
    s3.expired.add("AK")
    ended = bench.run("fetch", s3)
    assert (ended.code, ended.error, ended.termination["error"]["transient"]) == (
        3,
        "credentials-expired",
        True,
    )


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_wrong_clock_is_worked_around_and_told(bench: Bench, s3: FakeS3, hours: int) -> None:
    s3.clock = timedelta(hours=hours)
    ended = bench.run("fetch", s3)
    assert (ended.code, ended.outcome) == (0, "published")
    assert ("behind" if hours > 0 else "ahead of") in ended.notes


def test_damage_is_named_by_verify_and_only_it_is_repaired(bench: Bench, s3: FakeS3) -> None:
    assert bench.run("fetch", s3).code == 0
    untouched = {
        path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in bench.published.rglob("*.json")
    }
    shard = bench.published / "model-00001.safetensors"
    content = bytearray(shard.read_bytes())
    content[70_000] ^= 1
    shard.write_bytes(content)
    (bench.published / "empty.txt").unlink()
    (bench.published / "extra").mkdir()
    (bench.published / "extra/left.txt").write_text("x")
    verified = bench.run("verify")
    assert (verified.code, verified.error) == (5, "set-damaged")
    assert sorted(verified.termination["error"]["files"]) == [
        "empty.txt",
        "extra/left.txt",
        "model-00001.safetensors",
    ]
    served = s3.served
    ended = bench.run("fetch", s3)
    assert (ended.code, ended.outcome) == (0, "repaired")
    assert ended.termination["files_repaired"] == ["empty.txt", "extra/left.txt", "model-00001.safetensors"]
    assert (
        ended.termination["bytes_fetched"]
        == s3.served - served
        == len(bench.files["model-00001.safetensors"])
    )
    assert {
        path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in bench.published.rglob("*.json")
    } == untouched
    assert_published(bench)


def test_a_lost_set_and_a_lost_receipt_are_made_good(bench: Bench, s3: FakeS3) -> None:
    assert bench.run("fetch", s3).code == 0
    for path in bench.published.rglob("*"):
        if path.is_file():
            path.unlink()
    assert bench.run("verify").error == "set-damaged"
    assert bench.run("fetch", s3).outcome == "repaired"
    receipt = next((bench.volume / ".weighbridge/receipts").rglob("*.json"))
    receipt.write_text(receipt.read_text().replace('"sha256": "', '"sha256": "0', 1))
    assert bench.run("verify").error == "receipt-damaged"
    assert bench.run("fetch", s3).outcome == "published"
    receipt.unlink()
    assert bench.run("verify").error == "not-published"
    served = s3.served
    bench.extra = {"expect_set_digest": digest_of(bench.files)}
    assert bench.run("fetch", s3).outcome == "published"
    assert s3.served == served, "the digest of the order proves what is there"
    assert_published(bench)


def test_another_content_than_the_promoted_one_is_not_published(bench: Bench, s3: FakeS3) -> None:
    bench.extra = {"expect_set_digest": "sha256:" + "0" * 64}
    ended = bench.run("fetch", s3)
    assert (ended.code, ended.error) == (5, "set-differs")
    assert not bench.published.exists()


def test_weights_with_a_bad_header_are_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path, weight_set(100_000) | {"model-00000.safetensors": b"\xff" * 1000})
    with fake_s3(bench.objects()) as s3:
        ended = bench.run("fetch", s3)
    assert (ended.code, ended.error) == (3, "weights-refused")
    assert not bench.published.exists()


def test_an_index_that_names_an_absent_shard_is_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path, weight_set(1000, 1000))
    del bench.files["model-00001.safetensors"]
    with fake_s3(bench.objects()) as s3:
        ended = bench.run("fetch", s3)
    assert (ended.code, ended.error) == (3, "weights-refused")
    assert "model-00001.safetensors" in ended.termination["error"]["message"]


def test_sigterm_stops_at_once_and_loses_nothing(bench: Bench, s3: FakeS3) -> None:
    s3.pace = 0.2
    running = bench.start("fetch", s3)
    while s3.served < 150_000:
        time.sleep(0.01)
    started = time.monotonic()
    running.process.send_signal(signal.SIGTERM)
    ended = running.wait()
    assert time.monotonic() - started < 3
    assert (ended.code, ended.error, ended.termination["error"]["transient"]) == (143, "interrupted", True)
    s3.pace = 0
    again = bench.run("fetch", s3)
    assert again.outcome == "published"
    assert again.termination["bytes_resumed"] == ended.termination["bytes_fetched"] > 0
    assert_published(bench)


def test_the_deadline_ends_a_run(bench: Bench, s3: FakeS3) -> None:
    bench.limits = {"deadline_seconds": 1.5}
    s3.pace = 1
    ended = bench.run("fetch", s3)
    assert (ended.code, ended.error, ended.termination["error"]["transient"]) == (4, "deadline", True)
    assert ended.termination["seconds"] < 6


def test_two_movers_never_work_on_one_set(bench: Bench, s3: FakeS3) -> None:
    s3.pace = 1
    first = bench.start("fetch", s3)
    while not s3.served:
        time.sleep(0.01)
    second = Bench.__new__(Bench)
    second.__dict__ = {**bench.__dict__, "folder": bench.folder / "second"}
    second.folder.mkdir()
    busy = second.run("fetch", s3)
    assert (busy.code, busy.error, busy.termination["error"]["transient"]) == (4, "busy", True)
    s3.pace = 0
    assert first.wait().outcome == "published"
    assert_published(bench)


def test_what_an_older_version_left_in_flight_goes(bench: Bench, s3: FakeS3) -> None:
    s3.faults = [Fault("before", times=3), Fault("error", status=404, code="NoSuchKey", times=99)]
    assert bench.run("fetch", s3).error == "source-missing"
    old = bench.staging
    assert old.exists()
    s3.faults = []
    bench.files["config.json"] = b'{"version": 2}'
    s3.objects = bench.objects()
    ended = bench.run("fetch", s3)
    assert ended.outcome == "published"
    assert not old.exists()
    assert_published(bench)


def _with_small_volume(bench: Bench, option: str) -> list[str]:
    """A command's prefix: its volume is a file system of its own, so limited."""
    assert os.geteuid() == 0, "a small file system can only be mounted by root"
    mount = f'mount -t tmpfs -o {option} none "{bench.volume}" && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", mount, "sh"]


@pytest.mark.sandbox
def test_a_volume_without_inodes_is_refused_as_such(bench: Bench, s3: FakeS3) -> None:
    ended = bench.run("fetch", s3, prefix=_with_small_volume(bench, "nr_inodes=7"))
    assert (ended.code, ended.error) == (3, "volume-full")
    assert "all 7 inodes are in use" in ended.termination["error"]["message"]
    assert "inodes" in ended.termination["error"]["remedy"]


@pytest.mark.sandbox
def test_a_full_volume_is_refused_with_the_bytes_that_are_missing(bench: Bench, s3: FakeS3) -> None:
    ended = bench.run("fetch", s3, prefix=_with_small_volume(bench, "size=1200k"))
    assert (ended.code, ended.error) == (3, "volume-full")
    assert "missing" in ended.termination["error"]["message"]
    assert s3.served == 0, "room is looked for before the first byte"


@pytest.mark.sandbox
def test_a_volume_that_may_not_be_written_is_explained_in_numbers(bench: Bench, s3: FakeS3) -> None:
    assert os.geteuid() == 0, "only root can give a volume away"
    os.chown(bench.volume, 4711, 4712)
    bench.volume.chmod(0o755)
    lowly = [
        "setpriv",
        "--bounding-set",
        "-dac_override,-dac_read_search",
        "--inh-caps",
        "-dac_override,-dac_read_search",
    ]
    ended = bench.run("fetch", s3, prefix=lowly)
    assert (ended.code, ended.error) == (3, "volume-not-writable")
    assert "this process is uid 0" in ended.termination["error"]["message"]
    assert "4711:4712 with mode 0755" in ended.termination["error"]["message"]
    assert "fsGroup" in ended.termination["error"]["remedy"]


def plant(place: Path, how: str, elsewhere: Path) -> None:
    """What is no directory, in place of one; a link leads to somebody's own files."""
    elsewhere.mkdir(exist_ok=True)
    (elsewhere / "theirs").write_text("x")
    place.parent.mkdir(parents=True, exist_ok=True)
    if how == "link":
        place.symlink_to(elsewhere)
    elif how == "loop":
        place.symlink_to(place.name)
    else:
        place.write_text("planted")


def assert_untouched(elsewhere: Path) -> None:
    assert {path.name: path.read_text() for path in elsewhere.iterdir()} == {"theirs": "x"}


@pytest.mark.parametrize(
    ("place", "how"),
    [
        (".weighbridge", "link"), (".weighbridge", "file"), (".weighbridge/staging", "link"), (".weighbridge/staging/org", "link"),
        (".weighbridge/staging/org/tiny", "file"), ("{staging}", "link"), ("{staging}", "loop"), ("{staging}", "file"),
        (".weighbridge/receipts", "link"), (".weighbridge/receipts/org__tiny", "link"), (".weighbridge/locks", "link"),
        (".weighbridge/locks", "file"),
    ],
)  # fmt: skip
def test_links_on_the_volume_are_never_followed(bench: Bench, s3: FakeS3, place: str, how: str) -> None:
    """A place of ours is cleared of them: seen before, a model that nobody could bring in any more."""
    staging = str(bench.staging.relative_to(bench.volume))
    place, elsewhere = place.format(staging=staging), bench.folder / "elsewhere"
    plant(bench.volume / place, how, elsewhere)
    ended = bench.run("fetch", s3)
    assert (ended.code, ended.outcome) == (0, "published"), ended
    assert f"removed from the volume: {place}," in ended.notes
    assert_published(bench)
    assert_untouched(elsewhere)
    if place.endswith("locks"):
        (bench.volume / place).rename(bench.folder / "aside")
        plant(bench.volume / place, how, elsewhere)
    assert bench.run("verify").outcome == "verified"


@pytest.mark.parametrize(
    ("depth", "how"), [(1, "link"), (2, "link"), (2, "loop"), (2, "file"), (3, "link"), (3, "file")]
)
def test_what_stands_in_place_of_a_published_directory_is_named_whole_and_left_alone(
    bench: Bench, s3: FakeS3, depth: int, how: str
) -> None:
    """It may be somebody's: found before the first byte."""
    parts = bench.published.relative_to(bench.volume).parts[:depth]
    elsewhere = bench.folder / "elsewhere"
    plant(bench.volume.joinpath(*parts), how, elsewhere)
    ended = bench.run("fetch", s3)
    assert (ended.code, ended.error) == (3, "volume-strange-file")
    assert ended.termination["error"]["files"] == ["/".join(parts)]
    assert f"'{'/'.join(parts)}'" in ended.termination["error"]["message"]
    assert "rename it" in ended.termination["error"]["remedy"]
    assert s3.served == 0
    assert_untouched(elsewhere)
    assert bench.volume.joinpath(*parts).is_symlink() == (how != "file")


def test_an_error_whose_body_drips_is_cut_like_any_stall(bench: Bench, s3: FakeS3) -> None:
    bench.limits = {"patience_seconds": 4, "workers": 1}
    s3.faults = [Fault("before", times=1), Fault("drip", status=503, times=999)]
    ended = bench.run("fetch", s3)
    assert (ended.code, ended.error) == (4, "source-unreachable")
    assert ended.termination["seconds"] < 25
    s3.faults = []


def test_a_set_that_no_order_can_list_is_listed_again_and_fetched(bench: Bench, s3: FakeS3) -> None:
    s3.page = 3
    s3.objects |= {f"{MODEL}/README.md": Stored(b"left out"), f"{MODEL}/": Stored(b"")}
    bench.without_list()
    ended = bench.run("fetch", s3)
    assert (ended.code, ended.outcome, ended.termination["files"]) == (0, "published", len(bench.files))
    assert_published(bench)
    assert bench.run("fetch", s3).outcome == "unchanged"
    assert bench.run("verify").outcome == "verified"


def test_a_server_of_listings_of_version_1_that_leaves_etags_out_is_listed_as_the_plan_lists_it(
    bench: Bench, s3: FakeS3
) -> None:
    s3.page, s3.tokens, s3.etags = 3, False, False
    bench.without_list()
    ended = bench.run("fetch", s3)
    assert (ended.code, ended.outcome, ended.termination["files"]) == (0, "published", len(bench.files)), (
        ended
    )
    assert_published(bench)


@pytest.mark.parametrize("how", ["more", "fewer", "other"])
def test_a_listing_that_is_not_the_planned_one_is_refused(bench: Bench, s3: FakeS3, how: str) -> None:
    bench.without_list()
    order = bench.order(s3.endpoint)
    bench.extra |= {"fingerprint": order["fingerprint"], "sub_path": order["sub_path"]}
    if how == "more":
        s3.objects[f"{MODEL}/new.json"] = Stored(b"{}")
    elif how == "fewer":
        del s3.objects[f"{MODEL}/empty.txt"]
    else:
        s3.objects[f"{MODEL}/config.json"] = Stored(b"{} ")
    ended = bench.run("fetch", s3)
    assert (ended.code, ended.error) == (3, "source-changed")
    assert s3.served == 0


def test_a_listing_that_is_cut_short_in_silence_is_no_listing(bench: Bench, s3: FakeS3) -> None:
    s3.page, s3.tokens, s3.goes_on = 3, False, False
    bench.without_list()
    ended = bench.run("fetch", s3)
    assert (ended.code, ended.error) == (3, "source-refused")
    assert "config.json twice" in ended.termination["error"]["message"]


def test_many_files_need_few_descriptors(tmp_path: Path) -> None:
    many = {f"shards/{number:05}.json": b"%d" % number for number in range(1200)}
    bench = Bench(tmp_path, weight_set(1000) | many, limits={"workers": 4})
    with fake_s3(bench.objects()) as s3:
        ended = bench.run("fetch", s3, prefix=["sh", "-c", 'ulimit -n 64; exec "$@"', "sh"])
    assert (ended.code, ended.outcome) == (0, "published"), ended
    assert bench.stored() == bench.files


def test_a_header_beyond_the_limit_costs_little_and_is_refused_by_name(tmp_path: Path) -> None:
    header = b"{" + b" " * (60 << 20) + b"}"
    content = len(header).to_bytes(8, "little") + header
    slow = {"stall_seconds": 30, "chunk_bytes": 8 << 20}
    bench = Bench(tmp_path, weight_set(1000) | {"huge.safetensors": content}, limits=slow)
    with fake_s3(bench.objects()) as s3:
        ended = bench.run("fetch", s3)
    assert (ended.code, ended.error) == (3, "weights-refused")
    assert str(MAX_HEADER) in ended.termination["error"]["message"]
    assert ended.termination["max_rss_bytes"] < 96 << 20


def test_a_header_within_the_limit_fits_the_pod_whatever_is_in_it(tmp_path: Path) -> None:
    """The worst that we know: lists of nothing."""
    header = b'{"a":[' + b"[]," * ((MAX_HEADER - 16) // 3) + b"[]]}"
    content = len(header).to_bytes(8, "little") + header
    slow = {"stall_seconds": 30, "chunk_bytes": 8 << 20}
    bench = Bench(tmp_path, weight_set(1000) | {"huge.safetensors": content}, limits=slow)
    with fake_s3(bench.objects()) as s3:
        ended = bench.run("fetch", s3)
    assert (ended.code, ended.error) == (3, "weights-refused")
    assert ended.termination["max_rss_bytes"] < 400 << 20
