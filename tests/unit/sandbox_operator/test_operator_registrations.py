from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge_sandbox.operator.registrations import Unusable, problems


class Folders:
    """Claims as folders of a test."""

    def __init__(self, **folders: Path) -> None:
        self.folders = folders

    def folder(self, namespace: str, claim: str) -> Path | Unusable:
        return self.folders.get(
            claim, Unusable(f"PersistentVolumeClaim {claim} does not exist in namespace {namespace}")
        )


def model(folder: Path, *files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        (folder / file).write_text("x")
    return folder


COMPLETE = ("config.json", "tokenizer.json", "model-00001-of-00001.safetensors")


def entry(claim: object = "weights", sub_path: object = "m/1", model_id: object = "mine") -> dict[str, Any]:
    return {"model_id": model_id, "location": {"pvc_name": claim, "sub_path": sub_path}}


def found(entries: object, volumes: Folders) -> list[str]:
    return problems({"custom_foundation_models": entries}, "cpd", volumes)


def test_complete_models_and_no_models_are_fine(tmp_path: Path) -> None:
    model(tmp_path / "m" / "1", *COMPLETE)
    model(tmp_path, *COMPLETE)
    volumes = Folders(weights=tmp_path)
    at_root = {"model_id": "root", "location": {"pvc_name": "weights"}}
    assert found([entry(), at_root], volumes) == []
    assert problems({}, "cpd", volumes) == []
    assert found([], volumes) == []


@pytest.mark.parametrize("absent", ["config.json", "tokenizer.json", "*.safetensors"])
def test_a_missing_file_is_named_with_the_model(tmp_path: Path, absent: str) -> None:
    model(tmp_path / "m" / "1", *(file for file in COMPLETE if not Path(file).match(absent)))
    [problem] = found([entry()], Folders(weights=tmp_path))
    assert "'mine'" in problem
    assert absent in problem
    assert "m/1" in problem
    others = {"config.json", "tokenizer.json", "*.safetensors"} - {absent}
    assert not any(other in problem for other in others)


def test_weights_in_a_nested_folder_do_not_count(tmp_path: Path) -> None:
    model(tmp_path / "m" / "1", "config.json", "tokenizer.json")
    model(tmp_path / "m" / "1" / "deep", "model.safetensors")
    [problem] = found([entry()], Folders(weights=tmp_path))
    assert "*.safetensors missing" in problem


def test_each_wrong_entry_is_named_and_the_good_one_is_not(tmp_path: Path) -> None:
    model(tmp_path / "m" / "1", *COMPLETE)
    entries = [
        entry(),
        entry(model_id="lost", claim="nowhere"),
        entry(model_id="off", sub_path="m/2"),
        "text",
        {},
    ]
    problem = found(entries, Folders(weights=tmp_path))
    assert (
        problem[0]
        == "custom foundation model 'lost': PersistentVolumeClaim nowhere does not exist in namespace cpd"
    )
    assert problem[1] == (
        "custom foundation model 'off': sub_path 'm/2' does not exist on PersistentVolumeClaim weights"
    )
    assert problem[2] == "spec.custom_foundation_models[3] must be a mapping, and is a string"
    assert problem[3].startswith("spec.custom_foundation_models[4].model_id")
    assert len(problem) == 4


def test_a_sub_path_cannot_leave_the_volume(tmp_path: Path) -> None:
    model(tmp_path / "outside", *COMPLETE)
    inside = model(tmp_path / "volume")
    (inside / "link").symlink_to(tmp_path / "outside")
    for sub_path in ("../outside", "link"):
        [problem] = found([entry(sub_path=sub_path)], Folders(weights=inside))
        assert "leaves the volume" in problem


def test_what_is_no_list_is_said_to_be_none() -> None:
    assert found({"not": "a list"}, Folders()) == [
        "spec.custom_foundation_models must be a list, and is a mapping"
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda x: st.lists(x) | st.dictionaries(st.text(), x),
)
LOCATION = JSON | st.fixed_dictionaries({"pvc_name": JSON, "sub_path": JSON})


@given(JSON | st.lists(st.fixed_dictionaries({"model_id": JSON, "location": LOCATION})))
def test_any_shape_the_api_server_takes_gets_an_answer(entries: object) -> None:
    answer = found(entries, Folders())
    expected = 0 if entries is None else len(entries) if isinstance(entries, list) else 1
    assert len(answer) == expected, "nothing is registered here, so every entry is refused"
