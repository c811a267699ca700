import errno
import os
from pathlib import Path

import pytest

from weighbridge.mover.errors import RefusedError
from weighbridge.mover.volume import Volume


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    root = tmp_path / "root"
    root.mkdir()
    return Volume(str(root))


def test_links_are_refused_wherever_they_stand(volume: Volume, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (Path(volume.root) / "link").symlink_to(tmp_path)
    (Path(volume.root) / "leaf").symlink_to(tmp_path / "secret")
    for path in ("link/secret", "leaf"):
        with pytest.raises(OSError, match=r"Too many levels|Not a directory") as caught:
            volume.open(path, os.O_RDONLY)
        assert volume.explain(caught.value).code == "volume-strange-file"
    with pytest.raises(OSError, match=r"Too many levels|Not a directory"):
        volume.write_atomically("link/new", b"x")
    assert [entry.kind for entry in volume.tree("")] == ["other", "other"]
    volume.remove_tree("link")
    assert (tmp_path / "secret").exists()


def test_a_pipe_is_no_file_and_does_not_block(volume: Volume) -> None:
    os.mkfifo(Path(volume.root) / "pipe")
    with pytest.raises(RefusedError, match="not a plain file"):
        volume.open("pipe", os.O_RDONLY)


def test_a_write_is_whole_or_not_at_all(volume: Volume) -> None:
    volume.write_atomically("a/b/c", b"old")
    volume.write_atomically("a/b/c", b"new")
    assert volume.read("a/b/c", 100) == b"new"
    assert [entry.path for entry in volume.tree("")] == ["a/b/c"]
    assert volume.read("a/b/c", 2) is None
    assert volume.read("a/x", 2) is None


def test_trees_are_listed_and_removed(volume: Volume) -> None:
    for path in ("s/a", "s/b/c", "s/b/d/e"):
        volume.write_atomically(path, b"x")
    os.mkdir(Path(volume.root) / "s/empty")  # noqa: PTH102
    assert [(entry.path, entry.kind) for entry in volume.tree("s")] == [
        ("a", "file"), ("b/c", "file"), ("b/d/e", "file"), ("empty", "directory"),
    ]  # fmt: skip
    volume.remove_tree("s")
    assert volume.tree("") == []
    volume.remove_tree("s")


@pytest.mark.parametrize(
    ("number", "code", "exit_code", "transient"),
    [
        (errno.ENOSPC, "volume-full", 3, False),
        (errno.EDQUOT, "volume-full", 3, False),
        (errno.EROFS, "volume-not-writable", 3, False),
        (errno.EIO, "volume-io", 4, False),
        (errno.ESTALE, "volume-io", 4, True),
    ],
)
def test_what_the_system_says_becomes_what_people_need(
    volume: Volume, number: int, code: str, exit_code: int, transient: bool
) -> None:
    told = volume.explain(OSError(number, os.strerror(number), "x"))
    assert (told.code, told.exit_code, told.transient) == (code, exit_code, transient)


def test_files_are_made_for_the_group(volume: Volume) -> None:
    before = os.umask(0o002)
    try:
        volume.write_atomically("d/f", b"x")
    finally:
        os.umask(before)
    root = Path(volume.root)
    assert ((root / "d").stat().st_mode & 0o777, (root / "d/f").stat().st_mode & 0o777) == (0o775, 0o664)
