"""What every source of weights promises: the same tests on each kind, on the real thing."""

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.s3_server import KEYS, s3_server
from support.weights import MODEL, safetensors, write_files
from weighbridge.domain.weights import SourceFile, SourceListing
from weighbridge.errors import PreconditionError, StepFailedError, VerificationError
from weighbridge.sources import SOURCES
from weighbridge.sources.folder import Folder
from weighbridge.sources.folder.settings import FolderSource
from weighbridge.sources.interface import Around, OpenSource
from weighbridge.sources.looking import look
from weighbridge.sources.s3 import S3

ENOUGH = {name: MODEL[name] for name in ("config.json", "tokenizer.json")}
KEY_VALUES = {"AWS_ACCESS_KEY_ID": KEYS.access_key, "AWS_SECRET_ACCESS_KEY": KEYS.secret_key}


@dataclass(frozen=True)
class Ground:
    """One kind of source. ``fill``: a new place with these files; ``put``: write one file of a place anew."""

    kind: str
    fill: Callable[[str, Mapping[str, bytes]], None]
    put: Callable[[str, str, bytes], None]
    open: Callable[[str], OpenSource]
    identity: Callable[[bytes], str]

    def listed(self, place: str, *exclude: str) -> SourceListing:
        with closing(self.open(place)) as source:
            return look(source, exclude)

    def refusal(self, place: str, *exclude: str) -> PreconditionError:
        with pytest.raises(PreconditionError) as refused:
            self.listed(place, *exclude)
        assert refused.value.remedy
        return refused.value


def _s3(folder: Path) -> Iterator[Ground]:
    with s3_server(folder) as server:

        def put(place: str, path: str, content: bytes) -> None:
            server.put(f"{place}/{path}", content)

        def fill(place: str, files: Mapping[str, bytes]) -> None:
            for path, content in files.items():
                put(place, path, content)

        def opened(place: str) -> OpenSource:
            return S3().open(server.source(f"{place}/"), Around(values=KEY_VALUES))

        def identity(content: bytes) -> str:
            return hashlib.md5(content, usedforsecurity=False).hexdigest()

        yield Ground("s3", fill, put, opened, identity)


def _folder(folder: Path) -> Iterator[Ground]:
    def put(place: str, path: str, content: bytes) -> None:
        write_files(folder / place, {path: content})

    def fill(place: str, files: Mapping[str, bytes]) -> None:
        write_files(folder / place, files)

    def opened(place: str) -> OpenSource:
        return Folder().open(FolderSource(path=place), Around(folder=folder, cache=folder / "cache"))

    def identity(content: bytes) -> str:
        return f"file:{hashlib.sha256(content).hexdigest()}"

    yield Ground("folder", fill, put, opened, identity)


GROUNDS = {"s3": _s3, "folder": _folder}


@pytest.fixture(
    scope="module",
    params=[pytest.param("s3", marks=pytest.mark.sandbox), "folder"],
)
def ground(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    for made in GROUNDS[request.param](tmp_path_factory.mktemp(request.param)):
        made.fill("tiny-llama", MODEL)
        yield made


def test_every_kind_is_tested_here() -> None:
    assert set(GROUNDS) == set(SOURCES)


def test_the_listing_is_the_set_sorted_with_sizes_and_identities(ground: Ground) -> None:
    listing = ground.listed("tiny-llama")
    assert [file.path for file in listing.files] == sorted(MODEL)
    for file in listing.files:
        content = MODEL[file.path]
        assert (file.size, file.etag) == (len(content), ground.identity(content)), file.path
        assert file.sha256 in {None, hashlib.sha256(content).hexdigest()}, file.path


def test_the_same_files_have_the_same_fingerprint_and_others_another(ground: Ground) -> None:
    for place in ("one", "other"):
        ground.fill(place, {**ENOUGH, "model.safetensors": safetensors(9)})
    one = ground.listed("one").fingerprint
    assert ground.listed("other").fingerprint == one
    ground.put("other", "config.json", b"[]")
    assert ground.listed("other").fingerprint != one


def test_exclude_leaves_files_behind_and_changes_the_fingerprint(ground: Ground) -> None:
    whole, less = ground.listed("tiny-llama"), ground.listed("tiny-llama", "1_Pooling/*", "*.txt")
    assert {file.path for file in whole.files} - {file.path for file in less.files} == {
        "1_Pooling/config.json",
        "empty.txt",
        "naïve name [1].txt",
    }
    assert whole.fingerprint != less.fingerprint
    assert ground.refusal("tiny-llama", "*").code == "source-all-excluded"


def test_a_pattern_is_of_files_and_takes_no_folder_of_that_name_along(ground: Ground) -> None:
    assert ground.listed("tiny-llama", "1_Pooling", "1_*g") == ground.listed("tiny-llama")


def test_a_typing_mistake_in_the_place_names_the_nearest(ground: Ground) -> None:
    error = ground.refusal("tiny-lama")
    assert "tiny-lama" in error.what
    assert "tiny-llama" in str(error.remedy)


def test_a_place_without_the_files_a_server_needs_names_them(ground: Ground) -> None:
    ground.fill("half", {"config.json": b"{}"})
    error = ground.refusal("half")
    assert "tokenizer.json" in error.what
    assert "*.safetensors" in error.what


def test_a_shard_that_the_index_names_and_that_is_not_there_is_named(ground: Ground) -> None:
    assert "model-00002-of-00002" in ground.refusal("tiny-llama", "model-00002*").what


def test_an_index_that_is_none_is_refused(ground: Ground) -> None:
    ground.fill(
        "no-index",
        {**ENOUGH, "model.safetensors": safetensors(9), "model.safetensors.index.json": b"[]"},
    )
    assert ground.refusal("no-index").code == "source-bad-index"


def test_pickles_are_refused_with_the_pattern_to_write(ground: Ground) -> None:
    ground.fill("pickled", {**ENOUGH, "model.safetensors": safetensors(9), "pytorch_model.bin": b"\x80\x04"})
    error = ground.refusal("pickled")
    assert "pytorch_model.bin" in error.what
    assert 'exclude: ["*.bin"]' in str(error.remedy)
    assert ground.listed("pickled", "*.bin").files


def test_a_git_lfs_pointer_in_place_of_weights_is_found_before_a_byte_moves(ground: Ground) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    ground.fill("pointer", {**ENOUGH, "model.safetensors": pointer})
    assert ground.refusal("pointer").code == "source-bad-safetensors"


# -- its bytes -------------------------------------------------------------------------------------------------------

BIG = os.urandom(9_000_000)


@pytest.fixture(scope="module")
def big(ground: Ground) -> SourceFile:
    whole = safetensors(16)
    ground.fill("big", {**ENOUGH, "model.safetensors": whole, "big.dat": BIG})
    return next(file for file in ground.listed("big").files if file.path == "big.dat")


class Gains:
    def __init__(self) -> None:
        self.fetched = 0
        self.resumed = 0

    def __call__(self, gained: int, *, resumed: bool) -> None:
        if resumed:
            self.resumed += gained
        else:
            self.fetched += gained


def downloaded(ground: Ground, file: SourceFile, into: Path, gains: Gains, seconds: float = 60) -> str:
    with closing(ground.open("big")) as source:
        return source.download(file, into, deadline=time.monotonic() + seconds, advance=gains)


def test_any_part_of_a_file_can_be_read(ground: Ground, big: SourceFile) -> None:
    with closing(ground.open("big")) as source:
        for start, stop in ((0, 1), (5, 5), (4_000_000, 4_000_007), (len(BIG) - 3, len(BIG)), (0, len(BIG))):
            assert source.read(big, start, stop) == BIG[start:stop]


def test_a_download_is_the_file_and_its_sha256(ground: Ground, big: SourceFile, tmp_path: Path) -> None:
    gains = Gains()
    assert downloaded(ground, big, tmp_path / "a" / "file", gains) == hashlib.sha256(BIG).hexdigest()
    assert (tmp_path / "a" / "file").read_bytes() == BIG
    assert (gains.fetched, gains.resumed) == (len(BIG), 0)


@pytest.mark.parametrize("left", [BIG[:4_000_000], BIG, BIG + b"more"])
def test_what_an_earlier_try_left_becomes_the_whole_file(
    ground: Ground, big: SourceFile, tmp_path: Path, left: bytes
) -> None:
    (tmp_path / "file").write_bytes(left)
    gains = Gains()
    assert downloaded(ground, big, tmp_path / "file", gains) == hashlib.sha256(BIG).hexdigest()
    assert (tmp_path / "file").read_bytes() == BIG
    assert gains.fetched + gains.resumed == len(BIG)


def test_who_stops_a_download_is_heard(ground: Ground, big: SourceFile, tmp_path: Path) -> None:
    class Stops(Gains):
        def __call__(self, gained: int, *, resumed: bool) -> None:
            del gained, resumed
            raise InterruptedError

    with pytest.raises(InterruptedError):
        downloaded(ground, big, tmp_path / "file", Stops())


def test_the_deadline_ends_a_download(ground: Ground, big: SourceFile, tmp_path: Path) -> None:
    with pytest.raises(StepFailedError) as failed:
        downloaded(ground, big, tmp_path / "file", Gains(), seconds=-1)
    assert (failed.value.code, failed.value.transient) == ("deadline", True)


def test_a_full_spool_disk_is_said_plainly(ground: Ground, big: SourceFile) -> None:
    with pytest.raises(StepFailedError, match="/dev/full"):
        downloaded(ground, big, Path("/dev/full"), Gains())


def test_what_was_replaced_since_it_was_listed_is_refused_not_mixed(
    ground: Ground, big: SourceFile, tmp_path: Path
) -> None:
    try:
        ground.put("big", "big.dat", BIG[::-1])
        with pytest.raises((PreconditionError, VerificationError)):
            downloaded(ground, big, tmp_path / "file", Gains())
    finally:
        ground.put("big", "big.dat", BIG)
