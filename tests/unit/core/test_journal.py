"""The journal explains and decides nothing: a run goes on without it."""

import json
import shutil
from pathlib import Path

import pytest

from weighbridge.core.journal import open_journal
from weighbridge.errors import StepFailedError


def test_var_that_is_deleted_in_mid_run_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    journal = open_journal(Path("var"), "env", "apply", said.append)
    shutil.rmtree(tmp_path / "var")
    journal.record("step-ended", step="a")
    [file] = (tmp_path / "var" / "journal" / "env").iterdir()
    assert [json.loads(line)["event"] for line in file.read_text().splitlines()] == ["step-ended"]
    assert said == []


def test_what_cannot_be_written_later_is_said_once_and_stops_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    journal = open_journal(tmp_path / "var", "env", "apply", said.append)
    shutil.rmtree(tmp_path / "var")
    (tmp_path / "var").write_text("a file now")
    journal.record("one")
    journal.record("two")
    [warning] = said
    assert "cannot be written: Not a directory; this run goes on without it" in warning


def test_before_anything_is_done_it_has_to_be_writable(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file")
    with pytest.raises(StepFailedError, match="cannot be made"):
        open_journal(tmp_path / "var", "env", "apply")
