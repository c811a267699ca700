"""`weighbridge rbac` as a user calls it: files, screen, JSON; no network, no cluster."""

import json
from pathlib import Path

import pytest
import yaml

from weighbridge.cli import run

VALID = Path(__file__).parents[1] / "cases" / "environment" / "valid.yaml"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WEIGHBRIDGE_VAR", raising=False)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    path = tmp_path / "stage.yaml"
    path.write_text(VALID.read_text())
    return path


def test_it_writes_three_files_and_says_for_whom(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rbac", str(file)]) == 0
    said = capsys.readouterr().out
    folder = Path("var/rbac/stage")
    assert {path.name for path in folder.iterdir()} == {"namespace.yaml", "cluster.yaml", "policy.yaml"}
    assert f"kubectl apply -f {folder}" in said
    assert "for an administrator of the namespace" in said
    assert "for an administrator of the cluster" in said
    for path in folder.iterdir():
        assert all(document["apiVersion"] for document in yaml.safe_load_all(path.read_text()))


def test_json_lists_every_rule_with_its_purpose(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rbac", str(file), "--json", "--out", "here", "--group", "model-team"]) == 0
    message = json.loads(capsys.readouterr().out)
    assert message["type"] == "rbac"
    assert message["subject"] == "group model-team"
    assert message["files"] == ["here/namespace.yaml", "here/cluster.yaml", "here/policy.yaml"]
    assert all(
        row["why"] and row["roles"] and row["rule"].startswith("{apiGroups") for row in message["rules"]
    )


@pytest.mark.parametrize("account", ["tools", ":pipeline", "tools:", ":"])
def test_an_account_without_its_namespace_is_wrong_input(
    file: Path, capsys: pytest.CaptureFixture[str], account: str
) -> None:
    assert run(["rbac", str(file), "--service-account", account]) == 2
    assert "NAMESPACE:NAME" in capsys.readouterr().err
    assert not Path("var").exists()
