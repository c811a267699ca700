"""Weights from a folder of this machine: planned, pushed, verified, and not believed when they change.

Tests of this module run in order on one estate: each starts from what the one before left.
"""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from support.estate import Estate

pytestmark = pytest.mark.sandbox

MODEL_ID = "llama-folder"


@pytest.fixture(scope="module")
def local(estate: Estate) -> Estate:
    """One model, whose source is a folder beside the environment file; no route is written."""
    model = estate.model(MODEL_ID, "push")
    del model["routes"]
    model["source"] = {"folder": {"path": "source"}}
    estate.environment["models"] = [model]
    return estate


@pytest.fixture(scope="module")
def first(local: Estate) -> dict[str, Any]:
    planned = local.run("plan", "--expect-no-changes")
    assert planned.code == 6, planned.said
    assert local.pods_ever() == set(), "a plan starts no pod"
    return {"planned": planned.said, **local.applied()}


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def _published(estate: Estate) -> Path:
    [entry] = [entry for entry in estate.entries() if entry["model_id"] == MODEL_ID]
    return estate.volume(MODEL_ID) / str(entry["location"]["sub_path"])


def test_a_route_that_a_folder_cannot_take_is_refused_with_its_line(local: Estate) -> None:
    models = [{**local.environment["models"][0], "routes": ["fetch", "push"]}]
    ran = local.run("check", models=models)
    assert ran.code == 2, ran.said
    assert "cannot come by fetch" in ran.said
    assert "write routes: [push]" in ran.said


def test_a_folder_that_is_not_there_is_refused_after_looking(local: Estate) -> None:
    models = [{**local.environment["models"][0], "source": {"folder": {"path": "sorce"}}}]
    ran = local.run("plan", models=models)
    assert ran.code == 3, ran.said
    assert "There is source beside it" in ran.said


def test_the_doctor_has_a_line_for_it(local: Estate) -> None:
    ran = local.run("doctor", "--json")
    lines = {item["name"]: item for item in ran.json["findings"]}
    found = lines[f"folder of {MODEL_ID}"]
    assert found["level"] == "ok", found
    assert found["said"].startswith("folder source holds ")


def test_it_comes_by_push_and_is_what_lies_in_the_folder(local: Estate, first: dict[str, Any]) -> None:
    assert "by push" in first["planned"]
    assert _digests(_published(local)) == _digests(local.folder / "source")
    assert local.leftovers() == []


def test_a_second_apply_moves_nothing_and_reads_nothing_again(local: Estate, first: dict[str, Any]) -> None:
    del first
    before = local.pods_ever()
    assert local.applied()["changed"] is False
    assert local.pods_ever() == before
    assert list((local.folder / "var" / "cache" / "folders").glob("*.json"))


def test_the_same_files_elsewhere_are_the_same_set(
    local: Estate, first: dict[str, Any], tmp_path: Path
) -> None:
    """As in a fresh checkout of a pipeline: other inodes, other times, another machine's memory."""
    del first
    for path in _digests(local.folder / "source"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes((local.folder / "source" / path).read_bytes())
    models = [{**local.environment["models"][0], "source": {"folder": {"path": str(tmp_path)}}}]
    elsewhere = {"WEIGHBRIDGE_VAR": str(local.folder / "other-var")}
    ran = local.run("plan", "--expect-no-changes", models=models, env=elsewhere)
    assert ran.code == 0, ran.said


def test_a_flipped_byte_on_the_volume_is_found_and_mended(local: Estate, first: dict[str, Any]) -> None:
    del first
    victim = _published(local) / "tokenizer.json"
    content = bytearray(victim.read_bytes())
    content[7] ^= 1
    victim.write_bytes(content)
    verified = local.run("verify")
    assert verified.code == 5, verified.said
    assert "tokenizer.json" in verified.said
    local.applied()
    assert _digests(_published(local)) == _digests(local.folder / "source")
    assert local.run("verify").code == 0


def test_another_content_is_another_set(local: Estate, first: dict[str, Any]) -> None:
    del first
    before = _published(local)
    (local.folder / "source" / "nested" / "deeper" / "notes.txt").write_text("other words\n")
    local.applied()
    assert _published(local) != before
    assert _digests(_published(local)) == _digests(local.folder / "source")
