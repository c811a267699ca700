"""The source ``folder``: what it lists, what it refuses, and that what arrives is what was planned."""

import hashlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.weights import MODEL, write_files
from weighbridge.domain.weights import SourceFile, SourceListing
from weighbridge.errors import PreconditionError, StepFailedError, VerificationError, WeighbridgeError
from weighbridge.sources.folder import Folder
from weighbridge.sources.folder import reading as folders
from weighbridge.sources.folder.digests import REST_SECONDS
from weighbridge.sources.folder.settings import FolderSource
from weighbridge.sources.folder.walking import Found
from weighbridge.sources.interface import Around, OpenSource
from weighbridge.sources.looking import look


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model whose files have been at rest for a while."""
    folder = tmp_path / "model"
    write_files(folder, MODEL)
    rested(folder)
    return folder


def rested(folder: Path) -> None:
    """Change times cannot be set back, so the clock that they are compared with is set forward by the tests below."""
    for path in folder.rglob("*"):
        os.utime(path, (time.time() - 100, time.time() - 100))


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "now", lambda: time.time() + 2 * REST_SECONDS)


def opened(folder: Path | str, around: Around | None = None) -> OpenSource:
    return Folder().open(FolderSource(path=str(folder)), around or Around())


def listed(folder: Path | str, around: Around | None = None, exclude: tuple[str, ...] = ()) -> SourceListing:
    with closing(opened(folder, around)) as place:
        return look(place, exclude)


def refusal(folder: Path | str, exclude: tuple[str, ...] = ()) -> PreconditionError:
    with pytest.raises(PreconditionError) as refused:
        listed(folder, exclude=exclude)
    assert refused.value.remedy
    return refused.value


# -- what it lists ---------------------------------------------------------------------------------------------------


def test_a_files_identity_is_its_content(model: Path) -> None:
    files = {file.path: file for file in listed(model).files}
    assert sorted(files) == sorted(MODEL)
    sha256 = hashlib.sha256(MODEL["config.json"]).hexdigest()
    assert files["config.json"] == SourceFile("config.json", 2, f"file:{sha256}", sha256=sha256)


def test_the_same_content_elsewhere_is_the_same_set(model: Path, tmp_path: Path) -> None:
    write_files(tmp_path / "checkout", MODEL)
    assert listed(tmp_path / "checkout").fingerprint == listed(model).fingerprint
    (tmp_path / "checkout" / "config.json").write_bytes(b"[]")
    assert listed(tmp_path / "checkout").fingerprint != listed(model).fingerprint


def test_a_relative_path_starts_at_the_environments_folder(model: Path) -> None:
    assert listed("model", Around(folder=model.parent)) == listed(model)
    assert listed("../model", Around(folder=model)) == listed(model)


def test_links_to_files_within_the_folder_are_files(model: Path) -> None:
    (model / "blobs").mkdir()
    (model / "tokenizer.json").rename(model / "blobs" / "t")
    (model / "tokenizer.json").symlink_to("blobs/t")
    assert {"blobs/t", "tokenizer.json"} <= {file.path for file in listed(model).files}


# -- what it remembers -----------------------------------------------------------------------------------------------


@contextmanager
def reads_counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    read: list[str] = []
    digest = folders.FolderPlace._digest

    def counting(place: folders.FolderPlace, one: Found, progress: folders._Progress) -> str:
        read.append(one.path)
        return digest(place, one, progress)

    with monkeypatch.context() as patched:
        patched.setattr(folders.FolderPlace, "_digest", counting)
        yield read


@pytest.mark.usefixtures("later")
def test_files_are_read_once_and_again_when_they_change(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    around = Around(cache=tmp_path / "cache")
    first = listed(model, around)
    with reads_counted(monkeypatch) as read:
        assert listed(model, around) == first
        assert read == []
        times = (model / "config.json").stat()
        (model / "config.json").write_bytes(b"[]")
        os.utime(model / "config.json", ns=(times.st_atime_ns, times.st_mtime_ns))
        assert listed(model, around).fingerprint != first.fingerprint
        assert read == ["config.json"]


def test_what_was_written_a_moment_ago_is_not_believed_to_stay(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    around = Around(cache=tmp_path / "cache")
    (model / "config.json").write_bytes(b"{}")
    listed(model, around)
    with reads_counted(monkeypatch) as read:
        listed(model, around)
    assert "config.json" in read


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize(
    "garbage", [b"", b"[]", b'{"config.json": 1}', b"\xff", b'{"config.json": [["x"], 1]}']
)
def test_a_memory_that_is_broken_costs_time_alone(model: Path, tmp_path: Path, garbage: bytes) -> None:
    around = Around(cache=tmp_path / "cache")
    first = listed(model, around)
    [file] = (tmp_path / "cache").rglob("*.json")
    file.write_bytes(garbage)
    assert listed(model, around) == first


@pytest.mark.usefixtures("later")
def test_what_was_read_before_an_interruption_is_remembered(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    around = Around(cache=tmp_path / "cache")
    with monkeypatch.context() as patched:
        patched.setattr(folders._Progress, "advance", interrupting(after=3))
        with pytest.raises(KeyboardInterrupt):
            listed(model, around)
    with reads_counted(monkeypatch) as read:
        listed(model, around)
    assert 0 < len(read) < len(MODEL)


def interrupting(after: int) -> Callable[[folders._Progress, int], None]:
    calls: list[int] = []

    def advance(_self: folders._Progress, count: int) -> None:
        calls.append(count)
        if len(calls) > after:
            raise KeyboardInterrupt

    return advance


def test_a_place_for_the_memory_that_cannot_be_written_hinders_nothing(model: Path) -> None:
    assert listed(model, Around(cache=Path("/proc/nowhere"))).files


def test_a_long_first_look_says_so(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "SAID_FROM_BYTES", 1)
    monkeypatch.setattr(folders, "SAID_EVERY_SECONDS", 0.0)
    said: list[str] = []
    listed(model, Around(say=said.append))
    assert said[0].startswith(f"reading 5.42 KiB of folder {model}"), said[0]
    assert said[-1].startswith("read 5.42 KiB of 5.42 KiB of"), said[-1]


# -- what it refuses -------------------------------------------------------------------------------------------------


def test_a_folder_that_is_not_there_is_named_with_the_nearest(model: Path) -> None:
    error = refusal(model.parent / "modle")
    assert error.code == "source-no-folder"
    assert "There is model beside it" in str(error.remedy)
    assert refusal(model / "config.json").code == "source-no-folder"
    assert refusal("~nobody-of-that-name/x").code == "source-no-folder"


def test_an_empty_folder_and_one_without_a_model_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "empty" / "below").mkdir(parents=True)
    assert refusal(tmp_path / "empty").code == "source-empty"
    write_files(tmp_path / "notes", {"notes.txt": b"x"})
    assert refusal(tmp_path / "notes").code == "source-incomplete"


def test_what_is_no_model_is_said_before_its_bytes_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(tmp_path / "notes", {"notes.txt": b"x"})
    with reads_counted(monkeypatch) as read:
        refusal(tmp_path / "notes")
    assert read == []


def leaving(folder: Path) -> str:
    (folder.parent / "outside").write_bytes(b"x")
    (folder / "link.txt").symlink_to("../outside")
    return "link.txt leads out of the folder"


def dangling(folder: Path) -> str:
    (folder / "link.txt").symlink_to("nothing")
    return "link.txt leads nowhere"


def to_a_folder(folder: Path) -> str:
    (folder / "again").symlink_to("1_Pooling")
    return "again is a link to a folder"


def pipe(folder: Path) -> str:
    os.mkfifo(folder / "pipe")
    return "pipe is a pipe"


def listening(folder: Path) -> str:
    with socket.socket(socket.AF_UNIX) as server, within(folder):
        server.bind("socket")
    return "socket is a socket"


def circle(folder: Path) -> str:
    (folder / "a").symlink_to("b")
    (folder / "b").symlink_to("a")
    return "a "


def not_text(folder: Path) -> str:
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.txt")).write_bytes(b"x")
    return "not Unicode text"


@contextmanager
def within(folder: Path) -> Iterator[None]:
    """A socket's name has at most 108 bytes."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@pytest.mark.parametrize("spoil", [leaving, dangling, to_a_folder, pipe, listening, circle, not_text])
def test_what_is_no_file_of_the_folder_is_named_and_can_be_excluded(
    model: Path, spoil: Callable[[Path], str]
) -> None:
    before = listed(model)
    words = spoil(model)
    error = refusal(model)
    assert words in error.what
    added = {os.fsdecode(path.name) for path in model.iterdir()} - {path.partition("/")[0] for path in MODEL}
    assert listed(model, exclude=tuple(added)) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_named(model: Path) -> None:
    (model / "config.json").chmod(0)
    (model / "1_Pooling").chmod(0)
    error = refusal(model)
    (model / "1_Pooling").chmod(0o700)
    assert "config.json may not be read" in error.what
    assert "1_Pooling/ Permission denied" in error.what


def test_what_this_user_may_not_read_is_named(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the tests run as root."""
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path).name != "config.json")
    assert "config.json may not be read" in refusal(model).what
    scandir = os.scandir

    def refusing(path: Path) -> Any:
        if Path(path).name == "1_Pooling":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.undo()
    monkeypatch.setattr(os, "scandir", refusing)
    assert "1_Pooling/ Permission denied" in refusal(model).what
    assert listed(model, exclude=("1_Pooling/*",)).files


def test_a_file_that_is_written_to_while_it_is_read_is_named(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def growing(_self: folders._Progress, _count: int) -> None:
        with (model / "tokenizer.json").open("ab") as stream:
            stream.write(b" ")

    monkeypatch.setattr(folders._Progress, "advance", growing)
    error = refusal(model)
    assert error.code == "source-changing"
    assert "tokenizer.json" in error.what


def test_a_home_folder_is_too_much(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weighbridge.sources.folder.walking.MAX_FILES", 3)
    assert refusal(model).code == "source-too-many"


# -- what arrives ----------------------------------------------------------------------------------------------------


def ignored(gained: int, *, resumed: bool) -> None:
    del gained, resumed


def downloaded(model: Path, path: str, into: Path, seconds: float = 60) -> str:
    [file] = [file for file in listed(model).files if file.path == path]
    return copied(model, file, into, seconds)


def copied(model: Path, file: SourceFile, into: Path, seconds: float = 60) -> str:
    with closing(opened(model)) as place:
        return place.download(file, into, deadline=time.monotonic() + seconds, advance=ignored)


def test_a_copy_is_no_link_and_an_earlier_part_does_not_matter(model: Path, tmp_path: Path) -> None:
    into = tmp_path / "spool" / "a" / "file"
    into.parent.mkdir(parents=True)
    into.write_bytes(b"left by an earlier run")
    sha256 = downloaded(model, "model-00001-of-00002.safetensors", into)
    assert into.read_bytes() == MODEL["model-00001-of-00002.safetensors"]
    assert sha256 == hashlib.sha256(into.read_bytes()).hexdigest()
    assert into.stat().st_nlink == 1


@pytest.mark.parametrize("content", [b"[]", b"", b"{} and more"])
def test_what_was_changed_since_the_plan_is_not_taken_for_it(
    model: Path, tmp_path: Path, content: bytes
) -> None:
    [file] = [file for file in listed(model).files if file.path == "config.json"]
    (model / "config.json").write_bytes(content)
    with pytest.raises(VerificationError) as refused:
        copied(model, file, tmp_path / "into")
    assert (refused.value.exit_code, refused.value.code) == (5, "source-changed")


def test_what_has_gone_since_the_plan_is_said(model: Path, tmp_path: Path) -> None:
    [file] = [file for file in listed(model).files if file.path == "config.json"]
    (model / "config.json").unlink()
    with pytest.raises(PreconditionError, match=r"config\.json"):
        copied(model, file, tmp_path / "into")
    (tmp_path / "outside").write_bytes(b"{}")
    (model / "config.json").symlink_to(tmp_path / "outside")
    with pytest.raises(PreconditionError, match=r"config\.json"):
        copied(model, file, tmp_path / "into")
    (model / "config.json").unlink()
    os.mkfifo(model / "config.json")
    with pytest.raises(PreconditionError, match=r"config\.json"):
        copied(model, file, tmp_path / "into")


def test_the_deadline_and_a_full_spool_are_failures_with_a_way_out(model: Path) -> None:
    for into, seconds, code in (
        (Path("/dev/full"), 60.0, "spool-disk"),
        (Path("/dev/null"), -1.0, "deadline"),
    ):
        with pytest.raises(StepFailedError) as failed:
            downloaded(model, "model-00001-of-00002.safetensors", into, seconds)
        assert failed.value.code == code
        assert failed.value.remedy


def test_who_stops_a_copy_is_heard(model: Path, tmp_path: Path) -> None:
    def stop(gained: int, *, resumed: bool) -> None:
        del gained, resumed
        raise InterruptedError

    file = listed(model).files[-1]
    with closing(opened(model)) as place, pytest.raises(InterruptedError):
        place.download(file, tmp_path / "into", deadline=time.monotonic() + 60, advance=stop)


def test_every_refusal_is_one_of_ours(model: Path) -> None:
    with closing(opened(model)) as place, pytest.raises(WeighbridgeError):
        place.read(SourceFile("config.json", 99, "file:x"), 0, 99)
    with closing(opened(model)) as place, pytest.raises(WeighbridgeError):
        place.read(SourceFile("absent.json", 1, "file:x"), 0, 1)
