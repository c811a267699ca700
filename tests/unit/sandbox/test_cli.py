"""The command line's refusals and exit codes, without a sandbox."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from weighbridge_sandbox import cli
from weighbridge_sandbox.errors import BusyError
from weighbridge_sandbox.layout import Layout
from weighbridge_sandbox.lifecycle import exclusive
from weighbridge_sandbox.progress import ScreenProgress, part


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("WEIGHBRIDGE_SANDBOX_HOME", str(folder))
    return folder


def test_status_of_nothing_is_down_and_says_what_up_would_build(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.call(["status", "--json"]) == cli.NOT_UP
    shown = json.loads(capsys.readouterr().out)
    assert shown["state"] == "down"
    assert "etcd" in shown["unbuilt"]
    assert not home.exists()


@pytest.mark.parametrize("verb", ["down", "reset"])
def test_stopping_what_is_not_there_is_fine_and_makes_nothing(home: Path, verb: str) -> None:
    assert cli.call([verb]) == 0
    assert not home.exists()


def test_env_works_before_anything_is_up(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.call(["env", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["KUBECONFIG"] == str(home / "kubeconfig")


def test_a_folder_that_is_too_long_is_refused_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WEIGHBRIDGE_SANDBOX_HOME", str(tmp_path / ("x" * 90)))
    assert cli.call(["up", "--json"]) == 3
    answer = json.loads(capsys.readouterr().out)
    assert "WEIGHBRIDGE_SANDBOX_HOME" in answer["error"]
    assert "KUBECONFIG" in answer["advice"]


def test_two_verbs_do_not_work_on_one_folder_at_once(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    with exclusive(layout), pytest.raises(BusyError, match=r"process \d+"), exclusive(layout):
        pytest.fail("held twice")
    with exclusive(layout):
        pass


def test_every_part_is_timed_even_one_that_fails() -> None:
    screen = io.StringIO()
    progress = ScreenProgress(Console(file=screen))
    with part(progress, "first") as this:
        this.note = "fine"
    with pytest.raises(ValueError, match="broken"), part(progress, "second"):
        raise ValueError("broken")
    assert [line.split(" s  ")[1] for line in screen.getvalue().splitlines()] == [
        "first (fine)",
        "second (stopped)",
    ]
