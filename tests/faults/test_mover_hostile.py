"""The volume as hostile ground: whoever else writes to it can plant sets, receipts, journals and odd files, and proves nothing."""

import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from faults.test_mover_kills import work
from support.fake_s3 import FakeS3, fake_s3
from support.mover_bench import Bench, Ended, digest_of, safetensors, weight_set
from weighbridge.mover.chunks import Extent, journal_header, journal_line
from weighbridge.mover.commands import fetch
from weighbridge.mover.errors import VerificationError
from weighbridge.mover.order import parse_order
from weighbridge.mover.receipts import encode_receipt, receipt_for
from weighbridge.mover.volume import Volume

SHARD = "model-00000.safetensors"
FORGED = safetensors(0, 300_000)[:-1] + b"?"
"""As long as the shard, and sound weights: only its digest tells."""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, weight_set(300_000, 150_000))


@pytest.fixture
def s3(bench: Bench) -> Iterator[FakeS3]:
    with fake_s3(bench.objects()) as server:
        yield server


def receipt_of(bench: Bench, files: Mapping[str, bytes]) -> bytes:
    """What a mover that had published ``files`` in place of the bench's would have written."""
    rows = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
    return encode_receipt(receipt_for(parse_order(bench.order("http://unused")), rows))


def receipt_place(bench: Bench) -> Path:
    model_id, _, short = str(bench.order("http://unused")["sub_path"]).rpartition("/")
    return bench.volume / ".weighbridge/receipts" / model_id.replace("/", "__") / f"{short}.json"


def plant(bench: Bench, forged: Mapping[str, bytes], *, receipt: bool = True) -> dict[str, bytes]:
    """A published set with ``forged`` files, and the receipt that attests just that; mtimes as they were."""
    files = {**bench.files, **forged}
    for path, content in files.items():
        place = bench.published / path
        place.parent.mkdir(parents=True, exist_ok=True)
        times = (place.stat().st_atime, place.stat().st_mtime) if place.exists() else None
        place.write_bytes(content)
        if times:
            os.utime(place, times)
    if receipt:
        receipt_place(bench).parent.mkdir(parents=True, exist_ok=True)
        receipt_place(bench).write_bytes(receipt_of(bench, files))
    return files


def assert_true(bench: Bench, ended: Ended) -> None:
    assert (ended.code, ended.termination["set_digest"]) == (0, digest_of(bench.files)), ended
    assert bench.stored() == bench.files
    assert bench.leftovers() == []
    assert bench.run("verify").outcome == "verified"


def same_crc32(content: bytes, like: bytes) -> bytes:
    """``content`` with its last four bytes chosen so that the CRC-32 is that of ``like``."""
    table = [zlib.crc32(bytes([value])) ^ zlib.crc32(b"\0") for value in range(256)]
    wanted = zlib.crc32(like) ^ 0xFFFFFFFF
    indexes = []
    for _ in range(4):
        index = next(value for value in range(256) if table[value] >> 24 == wanted >> 24)
        wanted = ((wanted ^ table[index]) << 8) & 0xFFFFFFFF
        indexes.append(index)
    register = zlib.crc32(content[:-4]) ^ 0xFFFFFFFF
    tail = b""
    for index in reversed(indexes):
        tail += bytes([(register ^ index) & 0xFF])
        register = (register >> 8) ^ table[index]
    return content[:-4] + tail


def test_a_planted_set_with_its_receipt_is_not_taken_for_arrived(bench: Bench, s3: FakeS3) -> None:
    plant(bench, {SHARD: FORGED})
    bench.limits = {"patience_seconds": 5}
    ended = bench.run("fetch")
    assert (ended.code, ended.error) == (4, "source-unreachable")
    ended = bench.run("fetch", s3)
    assert "proves nothing" in ended.notes
    assert ended.termination["bytes_fetched"] == len(FORGED), "what the source attests stays"
    assert_true(bench, ended)


@pytest.mark.parametrize("check_etag", ["auto", "none"])
def test_forged_after_it_was_published_verify_says_so_and_fetch_mends_it(
    bench: Bench, s3: FakeS3, check_etag: str
) -> None:
    """Seen before: verify 5, apply 0, verify 0, and foreign bytes under the published name."""
    bench.limits = {"check_etag": check_etag}
    assert bench.run("fetch", s3).code == 0
    plant(bench, {SHARD: FORGED})
    verified = bench.run("verify")
    assert (verified.code, verified.error) == (5, "receipt-differs")
    ended = bench.run("fetch", s3)
    repaired = [SHARD] if check_etag == "auto" else sorted(bench.files)
    assert ended.termination["files_repaired"] == repaired, "what nothing attests is brought in again"
    assert_true(bench, ended)


def test_the_right_bytes_beside_a_forged_receipt_are_found_right(bench: Bench, s3: FakeS3) -> None:
    bench.limits = {"check_etag": "none"}
    assert bench.run("fetch", s3).code == 0
    plant(bench, {SHARD: FORGED})
    plant(bench, {}, receipt=False)
    served = s3.served
    ended = bench.run("fetch", s3)
    assert s3.served == served, "the record proves the set as a whole"
    assert_true(bench, ended)


@pytest.mark.parametrize("check_etag", ["auto", "none"])
@pytest.mark.parametrize("put_back", [True, False])
def test_a_record_that_was_forged_leaves_nobody_stuck(
    bench: Bench, s3: FakeS3, check_etag: str, put_back: bool
) -> None:
    """As an earlier version left it: the cluster's record and the receipt agree, and the source says otherwise."""
    bench.limits = {"check_etag": check_etag}
    forged = plant(bench, {SHARD: FORGED})
    bench.recorded = digest_of(forged)
    if put_back:
        plant(bench, {}, receipt=False)
    else:
        (bench.published / SHARD).unlink()
    assert bench.run("verify").code == 5
    ended = bench.run("fetch", s3)
    assert "compared with the source instead" in ended.notes
    assert_true(bench, ended)


@pytest.mark.parametrize("check_etag", ["auto", "none"])
@pytest.mark.parametrize("checksums", [True, False])
@pytest.mark.parametrize("part_size", [None, 70_000])
def test_a_forged_journal_counts_for_nothing(
    tmp_path: Path, check_etag: str, checksums: bool, part_size: int | None
) -> None:
    """Also where the source offers a CRC-32, which anybody can hit."""
    bench = Bench(
        tmp_path,
        weight_set(300_000, 150_000),
        part_size=part_size,
        checksums=checksums,
        limits={"check_etag": check_etag},
    )
    content = same_crc32(FORGED, bench.files[SHARD])
    assert zlib.crc32(content) == zlib.crc32(bench.files[SHARD])
    bench.staging.mkdir(parents=True)
    (bench.staging / SHARD).write_bytes(content)
    fingerprint = bench.order("http://unused")["fingerprint"]
    line = journal_line(SHARD, Extent(0, len(content), zlib.crc32(content)))
    Path(f"{bench.staging}.journal").write_bytes(journal_header(fingerprint) + line)
    with fake_s3(bench.objects()) as s3:
        assert_true(bench, bench.run("fetch", s3))


def test_a_hard_link_in_staging_does_not_lead_into_another_set(bench: Bench, s3: FakeS3) -> None:
    other = bench.volume / "org/other/0123456789ab/model.safetensors"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"another team's weights")
    bench.staging.mkdir(parents=True)
    os.link(other, bench.staging / SHARD)
    assert_true(bench, bench.run("fetch", s3))
    assert other.read_bytes() == b"another team's weights"


def make_directory(place: Path) -> None:
    (place / "full").mkdir(parents=True)
    (place / "full/of").write_text("x")


def make_link(place: Path) -> None:
    place.symlink_to("/etc/hostname")


ODD: list[Callable[[Path], None]] = [os.mkfifo, make_directory, make_link]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize(
    "name",
    [
        "{staging}/config.json", "{staging}/1_Pooling", "{staging}.journal", "{staging}.journal.new",
        "{staging}.verified.json", "{published}/config.json", "{receipt}", "{lock}",
    ],
)  # fmt: skip
def test_odd_things_under_our_names_are_out_of_the_way(
    bench: Bench, s3: FakeS3, name: str, odd: Callable[[Path], None]
) -> None:
    model_id, _, short = str(bench.order("http://unused")["sub_path"]).rpartition("/")
    lock = bench.volume / ".weighbridge/locks" / f"{model_id.replace('/', '__')}.{short}"
    place = Path(
        name.format(staging=bench.staging, published=bench.published, receipt=receipt_place(bench), lock=lock)
    )
    place.parent.mkdir(parents=True, exist_ok=True)
    odd(place)
    assert_true(bench, bench.run("fetch", s3))


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("what", ["receipt", "set"])
def test_odd_things_in_place_of_what_was_published_are_damage(
    bench: Bench, s3: FakeS3, what: str, odd: Callable[[Path], None]
) -> None:
    assert bench.run("fetch", s3).code == 0
    place = receipt_place(bench) if what == "receipt" else bench.published
    place.rename(bench.folder / "aside")
    odd(place)
    assert bench.run("verify").code == 5


def test_what_lies_beside_the_set_is_named_without_its_control_characters(bench: Bench, s3: FakeS3) -> None:
    assert bench.run("fetch", s3).code == 0
    for name in (b"a\x1b[2Jb", b"c\nd", b"\xff"):
        (Path(os.fsdecode(os.fsencode(bench.published) + b"/" + name))).write_bytes(b"x")
    verified = bench.run("verify")
    assert verified.code == 5
    assert verified.termination["error"]["files"] == ["a\\x1b[2Jb", "c\\nd", "\\udcff"]
    assert_true(bench, bench.run("fetch", s3))


def test_a_bottomless_tree_is_refused_by_name(bench: Bench, s3: FakeS3) -> None:
    assert bench.run("fetch", s3).code == 0
    here = os.open(bench.published, os.O_RDONLY)
    for _ in range(250):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    assert bench.run("verify").code == 5
    ended = bench.run("fetch", s3)
    assert (ended.code, ended.error) == (3, "volume-strange-file")


def test_documents_too_large_to_be_ours_are_not_read(bench: Bench, s3: FakeS3) -> None:
    for place, size in ((receipt_place(bench), 60 << 20), (Path(f"{bench.staging}.journal"), 200 << 20)):
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("wb") as stream:
            stream.truncate(size)
    ended = bench.run("fetch", s3)
    assert ended.termination["max_rss_bytes"] < 96 << 20
    assert_true(bench, ended)


def test_a_verification_without_a_record_has_nothing_to_compare_with(bench: Bench, s3: FakeS3) -> None:
    assert bench.run("fetch", s3).code == 0
    bench.extra = {"expect_set_digest": None}
    ended = bench.run("verify")
    assert (ended.code, ended.error) == (3, "order-refused")


class Swapping(Volume):
    """Somebody who is quick: acts when the set is about to get its published name."""

    def __init__(self, root: str, act: Callable[[Path], None]) -> None:
        super().__init__(root)
        self._act = act

    def rename(self, old: str, new: str) -> None:
        if not new.startswith(".weighbridge/"):
            self._act(Path(self.root) / old)
        super().rename(old, new)


def swap_for_a_link(staged: Path) -> None:
    (staged / SHARD).unlink()
    (staged / SHARD).symlink_to("/etc/hostname")


def slip_in(staged: Path) -> None:
    (staged / "modeling.py").write_text("print('hello')")


@pytest.mark.parametrize("act", [swap_for_a_link, slip_in])
def test_what_is_slipped_in_between_proof_and_publication_gets_no_receipt(
    bench: Bench, s3: FakeS3, act: Callable[[Path], None]
) -> None:
    with pytest.raises(VerificationError, match="somebody else changed") as failure:
        work(bench, s3, Swapping(str(bench.volume), act), fetch, "fetch")
    assert failure.value.transient
    assert not receipt_place(bench).exists()
    assert_true(bench, bench.run("fetch", s3))


class Forging(Volume):
    """Somebody who is quicker: exchanges bytes after they arrived and before they are read back, the CRC-32 kept."""

    struck = False

    def open(self, path: str, flags: int, *, create_directories: bool = False) -> int:
        if flags == os.O_RDONLY and path.endswith(SHARD) and "staging" in path and not self.struck:
            self.struck = True
            place = Path(self.root) / path
            chunk = place.read_bytes()[:65536]
            with place.open("r+b") as stream:
                stream.write(same_crc32(b"{" + chunk[1:-5] + b"forge", chunk))
        return super().open(path, flags, create_directories=create_directories)


@pytest.mark.parametrize("checksums", [True, False])
def test_bytes_exchanged_between_arrival_and_proof_are_fetched_again(tmp_path: Path, checksums: bool) -> None:
    bench = Bench(tmp_path, weight_set(300_000, 150_000), limits={"check_etag": "none"}, checksums=checksums)
    with fake_s3(bench.objects()) as s3:
        volume = Forging(str(bench.volume))
        run = work(bench, s3, volume, fetch, "fetch")
    assert volume.struck
    assert run.result.set_digest == digest_of(bench.files)
    assert bench.stored() == bench.files


def test_a_receipt_says_nothing_about_other_files_than_the_orders(bench: Bench, s3: FakeS3) -> None:
    assert bench.run("fetch", s3).code == 0
    receipt = json.loads(receipt_place(bench).read_text())
    receipt["files"] = receipt["files"][:-1]
    receipt_place(bench).write_text(json.dumps(receipt))
    assert bench.run("verify").error == "receipt-damaged"
    assert_true(bench, bench.run("fetch", s3))


LOWLY = [
    "setpriv",
    "--bounding-set",
    "-dac_override,-dac_read_search",
    "--inh-caps",
    "-dac_override,-dac_read_search",
]
"""A mover that may do no more than its user: for whoever is not root, what another user made is another's."""


def give_away(place: Path) -> None:
    """To another user, who lets nobody else write there."""
    for path in (place, *place.rglob("*")):
        os.chown(path, 4711, 4711)
        path.chmod(0o755 if path.is_dir() else 0o644)


def put_aside(bench: Bench) -> list[str]:
    return sorted(str(path.relative_to(bench.volume)) for path in bench.volume.rglob("*.not-ours-1"))


def assert_true_as_others(bench: Bench, s3: FakeS3) -> Ended:
    ended = bench.run("fetch", s3, prefix=LOWLY)
    assert (ended.code, ended.termination["set_digest"]) == (0, digest_of(bench.files)), ended
    assert bench.stored() == bench.files
    assert bench.run("verify", prefix=LOWLY).outcome == "verified"
    assert bench.run("fetch", s3, prefix=LOWLY).outcome == "unchanged"
    return ended


@pytest.mark.sandbox
@pytest.mark.parametrize("levels", [0, 1], ids=["the set's", "the model's"])
def test_another_users_directory_in_place_of_staging_is_put_aside(
    bench: Bench, s3: FakeS3, levels: int
) -> None:
    (bench.staging / "nested").mkdir(parents=True)
    (bench.staging / SHARD).write_bytes(FORGED)
    theirs = [bench.staging, *bench.staging.parents][levels]
    give_away(theirs)
    ended = assert_true_as_others(bench, s3)
    assert put_aside(bench) == [f"{theirs.relative_to(bench.volume)}.not-ours-1"]
    assert "put aside on the volume, since it is another user's" in ended.notes


@pytest.mark.sandbox
@pytest.mark.parametrize("mode", [0o755, 0o700])
@pytest.mark.parametrize("name", ["1_Pooling", "stray"])
def test_another_users_directory_inside_staging_is_in_nobodys_way(
    bench: Bench, s3: FakeS3, name: str, mode: int
) -> None:
    """It cannot be removed when the set is published."""
    (bench.staging / name).mkdir(parents=True)
    (bench.staging / name / "config.json").write_bytes(b"x")
    give_away(bench.staging / name)
    (bench.staging / name).chmod(mode)
    assert_true_as_others(bench, s3)
    assert put_aside(bench) == [f"{bench.staging.relative_to(bench.volume)}.not-ours-1"]


@pytest.mark.sandbox
def test_another_users_directory_in_place_of_what_is_written_at_once_is_put_aside(
    bench: Bench, s3: FakeS3
) -> None:
    fresh = Path(f"{bench.staging}.journal.new")
    (fresh / "full").mkdir(parents=True)
    give_away(fresh)
    assert_true_as_others(bench, s3)
    assert put_aside(bench) == [f"{fresh.relative_to(bench.volume)}.not-ours-1"]


@pytest.mark.sandbox
def test_another_users_file_in_staging_makes_room(bench: Bench, s3: FakeS3) -> None:
    bench.staging.mkdir(parents=True)
    (bench.staging / SHARD).write_bytes(FORGED)
    give_away(bench.staging / SHARD)
    assert_true_as_others(bench, s3)
    assert put_aside(bench) == []


@pytest.mark.sandbox
def test_another_users_set_in_place_of_ours_is_put_aside_as_a_whole(bench: Bench, s3: FakeS3) -> None:
    plant(bench, {SHARD: FORGED})
    give_away(bench.published)
    assert_true_as_others(bench, s3)
    [aside] = put_aside(bench)
    assert (bench.volume / aside / SHARD).read_bytes() == FORGED


@pytest.mark.sandbox
def test_another_users_set_with_the_right_bytes_stays(bench: Bench, s3: FakeS3) -> None:
    plant(bench, {}, receipt=False)
    give_away(bench.published)
    assert_true_as_others(bench, s3)
    assert put_aside(bench) == []


@pytest.mark.sandbox
def test_a_pushed_set_takes_the_place_of_another_users(bench: Bench) -> None:
    plant(bench, {SHARD: FORGED}, receipt=False)
    give_away(bench.published)
    bench.push(skip=SHARD)
    ended = bench.run("publish", route="push", prefix=LOWLY)
    assert (ended.error, ended.termination["error"]["files"]) == ("push-incomplete", [SHARD])
    bench.push()
    assert bench.run("publish", route="push", prefix=LOWLY).code == 0
    assert bench.stored() == bench.files
    assert put_aside(bench) == [f"{bench.published.relative_to(bench.volume)}.not-ours-1"]


@pytest.mark.sandbox
@pytest.mark.parametrize("levels", [0, 1], ids=["the set's", "the model's"])
@pytest.mark.parametrize("below", [False, True])
def test_a_sender_finds_a_place_to_write_to(bench: Bench, levels: int, below: bool) -> None:
    (bench.staging / "nested").mkdir(parents=True)
    theirs = [bench.staging, *bench.staging.parents][levels]
    give_away(bench.staging / "nested" if below else theirs)
    ended = bench.run("receive", route="push", prefix=LOWLY)
    assert (ended.code, ended.outcome) == (0, "ready")
    gone = bench.staging if below else theirs
    assert put_aside(bench) == [f"{gone.relative_to(bench.volume)}.not-ours-1"]
    ours = bench.volume / ".weighbridge"
    assert (ours / "staging").is_dir()
    assert (ours / "receipts").is_dir()


@pytest.mark.parametrize("place", ["", "/staging", "/receipts"])
@pytest.mark.parametrize("how", ["link", "file"])
def test_a_sender_is_led_nowhere_else(bench: Bench, place: str, how: str) -> None:
    """The daemon would follow a link to its own module, and write where that leads."""
    ours, theirs = bench.volume / ".weighbridge", bench.volume / "theirs"
    planted = Path(f"{ours}{place}")
    for folder in (planted.parent, theirs):
        folder.mkdir(parents=True, exist_ok=True)
    (theirs / "file").write_text("x")
    if how == "link":
        planted.symlink_to(theirs)
    else:
        planted.write_text("x")
    for _ in range(2):
        assert bench.run("receive", route="push").outcome == "ready"
        assert {path.name for path in ours.iterdir()} == {"staging", "receipts"}
        assert all(path.is_dir() and not path.is_symlink() for path in (ours, *ours.iterdir()))
    assert [path.name for path in theirs.iterdir()] == ["file"]
