"""Private folders: gone at the end of a run, and after a kill with the next run; never while their maker lives."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from weighbridge.errors import PreconditionError
from weighbridge.processes import process_guard, scratch
from weighbridge.processes.scratch import place_in_memory, private_folder, sweep

MAKER = """
import sys, time
from pathlib import Path
from weighbridge.errors import PreconditionError
from weighbridge.processes import process_guard, scratch
from weighbridge.processes.scratch import private_folder
with private_folder("test", Path(sys.argv[1])) as folder:
    (folder / "secret").write_text("planted")
    print(folder, flush=True)
    time.sleep(60)
"""


def test_a_folder_is_private_and_goes_with_the_block(tmp_path: Path) -> None:
    with private_folder("test", tmp_path) as folder:
        assert folder.parent == tmp_path
        assert f"-{os.getpid()}-" in folder.name
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "below").mkdir()
    assert list(tmp_path.iterdir()) == []


def test_it_goes_when_the_block_fails_too(tmp_path: Path) -> None:
    with pytest.raises(KeyError), private_folder("test", tmp_path):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_without_a_place_in_memory_nothing_is_made_and_the_reason_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Secrets would lie on a disk, and stay there after a kill."""
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(scratch, "_MOUNTS", mounts(tmp_path, "overlay"))
    with (
        pytest.raises(PreconditionError, match="never written to a disk") as refused,
        private_folder("test", tmp_path / "absent"),
    ):
        pass
    assert refused.value.code == "no-memory-folder"
    assert "TMPDIR" in (refused.value.remedy or "")
    assert list(tmp_path.glob("weighbridge-*")) == []


def test_a_machine_on_which_nothing_can_be_written_to_is_told_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pod with a read-only root: Python finds no folder for temporary files at all."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / ("x" * 300)))
    monkeypatch.setattr("tempfile.gettempdir", nowhere)
    with pytest.raises(PreconditionError, match="no folder in memory can be written to"):
        place_in_memory(tmp_path / "absent")


def nowhere() -> str:
    raise FileNotFoundError(2, "No usable temporary directory found")


@pytest.mark.parametrize("variable", ["XDG_RUNTIME_DIR", "TMPDIR"])
def test_another_place_in_memory_does_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    place = tmp_path / "in memory"
    place.mkdir()
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setenv(variable, str(place))
    monkeypatch.setattr("tempfile.tempdir", str(place if variable == "TMPDIR" else tmp_path))
    monkeypatch.setattr(scratch, "in_memory", lambda folder: folder == place)
    with private_folder("test", tmp_path / "absent") as folder:
        assert folder.parent == place


def mounts(folder: Path, kind: str) -> Path:
    file = folder / "mounts"
    point = str(folder).replace(" ", "\\040")
    file.write_text(f"/dev/vda / ext4 rw 0 0\nnone {point} tmpfs rw 0 0\nnone {point} {kind} rw 0 0\nodd\n")
    return file


@pytest.mark.parametrize(
    ("kind", "found"), [("tmpfs", True), ("ramfs", True), ("ext4", False), ("overlay", False)]
)
def test_what_is_in_memory_is_told_by_the_mount_on_top(tmp_path: Path, kind: str, found: bool) -> None:
    below = tmp_path / "a b"
    below.mkdir()
    assert scratch.in_memory(below, mounts(below, kind)) is found
    assert not scratch.in_memory(below, tmp_path / "absent")
    assert not scratch.in_memory(Path("/"), mounts(below, kind))


def test_what_a_killed_run_left_goes_with_the_next_and_what_a_living_one_has_stays(tmp_path: Path) -> None:
    maker = subprocess.Popen([sys.executable, "-c", MAKER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert maker.stdout is not None
    try:
        folder = Path(maker.stdout.readline().strip())
        assert sweep(tmp_path, older_than_seconds=0) == (), "its maker holds it"
        assert (folder / "secret").exists()
    finally:
        maker.kill()
        maker.wait()
        maker.stdout.close()
    assert folder.exists()
    assert sweep(tmp_path, older_than_seconds=60) == (), "it is too young to be judged"
    assert sweep(tmp_path, older_than_seconds=0) == (folder.name,)
    assert not folder.exists()


def test_a_guard_that_outlives_the_maker_keeps_the_folder_until_it_ends(tmp_path: Path) -> None:
    folder = tmp_path / "weighbridge-test-1-x"
    folder.mkdir()
    arguments = [sys.executable, "-I", "-S", process_guard.__file__, "--remove", str(folder), "1", "--"]
    guard = subprocess.Popen(
        [*arguments, "/bin/sh", "-c", "echo begun; exec sleep 60"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert guard.stdout is not None
    assert guard.stdin is not None
    try:
        assert guard.stdout.readline() == b"begun\n"
        assert sweep(tmp_path, older_than_seconds=0) == ()
        assert folder.exists()
    finally:
        guard.stdin.close()  # the maker is gone
        guard.wait(20)
        guard.stdout.close()
    assert not folder.exists()


def test_a_link_and_somebody_elses_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "weighbridge-test-1-link").symlink_to(tmp_path / "target")
    (tmp_path / "weighbridge-notes").mkdir()
    assert sweep(tmp_path, older_than_seconds=0) == ()
    assert (tmp_path / "target").is_dir()
    assert (tmp_path / "weighbridge-notes").is_dir()
