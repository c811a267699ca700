"""The main job on real components: a real API server, kubelet, S3 server, Pulumi engine, Ansible, rsync.

Tests of this module run in order on one estate: each starts from what the one before left, as a user does.
"""

import hashlib
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.estate import CR, Estate
from weighbridge.kubernetes.client import CLAIM, WATSONX_IFM
from weighbridge.mover.receipts import encode_receipt, parse_receipt

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def first(estate: Estate) -> dict[str, Any]:
    """The first apply, with what was there before it."""
    before = estate.theirs()
    planned = estate.run("plan", "--expect-no-changes")
    assert planned.code == 6, planned.said
    assert estate.pods_ever() == set(), "a plan starts no pod"
    return {"theirs": before, "planned": planned.said, **estate.applied()}


def _source_files(estate: Estate) -> dict[str, str]:
    source = estate.folder / "source"
    return {
        str(path.relative_to(source)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in source.rglob("*")
        if path.is_file()
    }


def _published(estate: Estate, model_id: str) -> Path:
    entry = next(entry for entry in estate.entries() if entry["model_id"] == model_id)
    return estate.volume(model_id) / str(entry["location"]["sub_path"])


def test_plan_shows_bytes_objects_and_the_list_entry_by_entry(estate: Estate, first: dict[str, Any]) -> None:
    said = first["planned"]
    assert "+ llama-fetch" in said
    assert "+ llama-push" in said
    assert "team-a-summarizer" in said
    assert f"{estate.name}-llama-fetch-weights" in said
    assert "MiB to move" in said or "KiB to move" in said


def test_the_volume_holds_exactly_the_sources_files(estate: Estate, first: dict[str, Any]) -> None:
    wanted = _source_files(estate)
    for model_id in ("llama-fetch", "llama-push"):
        folder = _published(estate, model_id)
        found = {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.rglob("*")
            if path.is_file()
        }
        assert found == wanted, model_id
    assert first["complete"]


def test_fetch_and_push_give_the_same_set_digest(first: dict[str, Any]) -> None:
    digests = {receipt["route"]: receipt["set_digest"] for receipt in first["receipts"]}
    assert set(digests) == {"fetch", "push"}
    assert digests["fetch"] == digests["push"]


def test_movers_and_orchestrators_memory_stays_within_its_aim(first: dict[str, Any]) -> None:
    movers = [step["mover_rss_bytes"] for step in first["steps"] if step.get("mover_rss_bytes")]
    assert len(movers) == 2
    assert max(movers) <= 128 * 1024**2
    assert first["max_rss_bytes"] <= 300 * 1024**2


def test_registered_beside_the_other_teams_and_reconciled(estate: Estate, first: dict[str, Any]) -> None:
    assert [entry["model_id"] for entry in estate.entries()] == [
        "team-a-summarizer",
        "team-b-translator",
        "llama-fetch",
        "llama-push",
    ]
    assert estate.theirs() == first["theirs"]
    status = estate.cr()["status"]
    assert (status["watsonxaiifmStatus"], status["progress"]) == ("Completed", "100%")


def test_nothing_of_the_transfer_is_left_behind(estate: Estate, first: dict[str, Any]) -> None:
    assert first["complete"]
    assert estate.leftovers() == []


def test_second_apply_writes_nothing_and_starts_no_pod(estate: Estate, first: dict[str, Any]) -> None:
    assert first["complete"]
    _assert_apply_is_idle(estate)


def test_a_checkout_without_var_sees_that_nothing_is_to_do(
    estate: Estate, first: dict[str, Any], tmp_path: Path
) -> None:
    assert first["complete"]
    _assert_apply_is_idle(estate, cwd=tmp_path)


def _assert_apply_is_idle(estate: Estate, cwd: Path | None = None) -> None:
    before = estate.marks()

    ran = estate.run("apply", "--json", cwd=cwd)

    assert ran.code == 0, ran.said
    assert {step["outcome"] for step in ran.json["steps"]} == {"unchanged"}
    assert estate.marks() == before
    plan = estate.run("plan", "--json", cwd=cwd).json
    assert [stack["changes"] for stack in plan["stacks"].values()] == [[], []]


def test_expect_no_changes_is_0_after_apply(estate: Estate, first: dict[str, Any]) -> None:
    assert first["complete"]
    ran = estate.run("plan", "--expect-no-changes")
    assert ran.code == 0, ran.said
    assert "No changes" in ran.out


def test_an_edit_of_our_entry_from_outside_is_seen_and_mended(estate: Estate, first: dict[str, Any]) -> None:
    index = next(i for i, entry in enumerate(estate.entries()) if entry["model_id"] == "llama-fetch")
    path = f"/spec/custom_foundation_models/{index}/parameters/0/default"
    estate.kube.json_patch(WATSONX_IFM, CR, estate.name, [{"op": "replace", "path": path, "value": 999}])

    planned = estate.run("plan", "--expect-no-changes")
    assert planned.code == 6, planned.said
    assert "llama-fetch" in planned.out

    estate.applied()
    assert estate.entries()[index]["parameters"][0]["default"] != 999
    assert estate.theirs() == first["theirs"]
    assert estate.run("plan", "--expect-no-changes").code == 0


def test_an_edit_of_a_label_we_set_is_seen_and_mended(estate: Estate, first: dict[str, Any]) -> None:
    assert first["complete"]
    name = f"{estate.name}-llama-fetch-weights"
    estate.kube.merge(
        CLAIM, name, estate.name, {"metadata": {"labels": {"weighbridge.dev/model": "somebody-elses"}}}
    )

    planned = estate.run("plan", "--expect-no-changes")
    assert planned.code == 6, planned.said

    estate.applied()
    claim = estate.kube.get(CLAIM, name, estate.name)
    assert claim is not None
    assert claim["metadata"]["labels"]["weighbridge.dev/model"] == "llama-fetch"
    assert estate.run("plan", "--expect-no-changes").code == 0


@pytest.mark.nightly  # with every change: the forgery below; by push tests/e2e/test_folder_source.py
@pytest.mark.parametrize("model_id", ["llama-fetch", "llama-push"])
def test_a_flipped_byte_is_found_named_and_repaired_alone(
    estate: Estate, first: dict[str, Any], model_id: str
) -> None:
    assert first["complete"]
    folder = _published(estate, model_id)
    victim = max(
        (path for path in folder.iterdir() if path.suffix == ".safetensors"),
        key=lambda path: path.stat().st_size,
    )
    good = hashlib.sha256(victim.read_bytes()).hexdigest()
    with victim.open("r+b") as file:
        file.seek(victim.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    others = {
        path: (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and path != victim
    }

    verified = estate.run("verify")
    assert verified.code == 5, verified.said
    assert victim.name in verified.out

    planned = estate.run("plan", "--expect-no-changes")
    assert planned.code == 6, planned.said
    assert victim.name in planned.out

    applied = estate.applied()
    step = next(step for step in applied["steps"] if step["title"] == f"weights {model_id}")
    assert step["files_repaired"] == [victim.name]
    assert hashlib.sha256(victim.read_bytes()).hexdigest() == good
    assert {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in others} == others
    assert estate.run("verify").code == 0
    assert estate.run("plan", "--expect-no-changes").code == 0


@pytest.mark.parametrize(
    ("model_id", "receipt_too"),
    [
        ("llama-fetch", True),
        *(
            pytest.param(*one, marks=pytest.mark.nightly)
            for one in (("llama-fetch", False), ("llama-push", True), ("llama-push", False))
        ),
    ],
)
def test_what_another_writer_forged_on_the_volume_is_found_and_the_true_bytes_come_back(
    estate: Estate, first: dict[str, Any], model_id: str, receipt_too: bool
) -> None:
    """Sound weights of the same size and time, and a receipt on the volume that attests just them."""
    assert first["complete"]
    wanted, folder = _source_files(estate), _published(estate, model_id)
    [place] = (estate.volume(model_id) / ".weighbridge/receipts").rglob(f"{folder.name}.json")
    victim = min(folder.glob("*.safetensors"))
    times = (victim.stat().st_atime, victim.stat().st_mtime)
    content = victim.read_bytes()
    victim.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(victim, times)
    if receipt_too:
        receipt = parse_receipt(place.read_bytes())
        forged = hashlib.sha256(victim.read_bytes()).hexdigest()
        rows = tuple(replace(row, sha256=forged) if row.path == victim.name else row for row in receipt.rows)
        place.write_bytes(encode_receipt(replace(receipt, rows=rows)))

    assert estate.run("verify").code == 5
    assert estate.run("plan", "--expect-no-changes").code == 6
    estate.applied()
    found = {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert found == wanted
    assert estate.run("verify").code == 0
    assert estate.run("plan", "--expect-no-changes").code == 0


def test_a_changed_parameter_touches_our_entry_alone(estate: Estate, first: dict[str, Any]) -> None:
    estate.environment["models"][0]["parameters"]["max_new_tokens"]["default"] = 256

    applied = estate.applied()

    changed = [step["title"] for step in applied["steps"] if step["outcome"] == "done"]
    assert changed == ["stack registration", f"operator reconciles {CR}"]
    assert estate.theirs() == first["theirs"]
    entry = next(entry for entry in estate.entries() if entry["model_id"] == "llama-fetch")
    assert next(item for item in entry["parameters"] if item["name"] == "max_new_tokens")["default"] == 256


def test_status_says_what_is_in_place(estate: Estate, first: dict[str, Any]) -> None:
    assert first["complete"]
    status = estate.run("status", "--json").json
    assert [
        (model["model"], model["registered"], model["receipt"]["verdict"]) for model in status["models"]
    ] == [
        ("llama-fetch", True, "verified"),
        ("llama-push", True, "verified"),
    ]
    assert status["unreconciled"] is None


def test_no_planted_secret_is_in_any_file_or_object(estate: Estate, first: dict[str, Any]) -> None:
    assert first["complete"]
    secrets = [
        os.environ[name]
        for name in ("SANDBOX_S3_ACCESS_KEY", "SANDBOX_S3_SECRET_KEY", "SANDBOX_PULUMI_PASSPHRASE")
    ]
    texts = {
        str(path): path.read_text(errors="replace")
        for path in estate.folder.rglob("*")
        if path.is_file() and path.stat().st_size < 2**20
    }
    pages = estate.s3.get_paginator("list_objects_v2").paginate(
        Bucket="weighbridge-state", Prefix=f"{estate.name}/"
    )
    for item in [item for page in pages for item in page.get("Contents", [])]:
        texts[item["Key"]] = (
            estate.s3.get_object(Bucket="weighbridge-state", Key=item["Key"])["Body"]
            .read()
            .decode(errors="replace")
        )
    assert any(".pulumi/stacks" in name for name in texts)
    assert [name for name, text in texts.items() for secret in secrets if secret in text] == []


def test_destroy_leaves_the_others_and_the_volumes(estate: Estate, first: dict[str, Any]) -> None:
    unconfirmed = estate.run("destroy")
    assert unconfirmed.code == 2, unconfirmed.said
    ran = estate.run("destroy", "--yes", "--json")
    assert ran.code == 0, ran.said
    assert estate.cr()["spec"] == first["theirs"]
    assert len(ran.json["kept_claims"]) == 2
    assert estate.volume("llama-fetch").is_dir()
    assert estate.leftovers() == []


def test_what_was_kept_is_registered_again_without_moving_a_byte(
    estate: Estate, first: dict[str, Any]
) -> None:
    pods = estate.pods_ever()
    applied = estate.applied()
    assert estate.pods_ever() == pods
    assert {step["title"]: step["outcome"] for step in applied["steps"]}["weights llama-fetch"] == "unchanged"
    assert estate.theirs() == first["theirs"]


def test_destroy_with_the_claims_names_deletes_the_weights_too(estate: Estate, first: dict[str, Any]) -> None:
    claims = [f"{estate.name}-llama-fetch-weights", f"{estate.name}-llama-push-weights"]
    partly = estate.run("destroy", "--yes", "--weights", claims[0])
    assert partly.code == 2, partly.said

    ran = estate.run("destroy", "--yes", "--weights", claims[0], "--weights", claims[1])

    assert ran.code == 0, ran.said
    assert [name for name in claims if estate.kube.get(CLAIM, name, estate.name)] == []
    assert estate.cr()["spec"] == first["theirs"]
    shutil.rmtree(estate.folder / "var", ignore_errors=True)
