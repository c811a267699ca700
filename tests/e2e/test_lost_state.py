"""Pulumi's state lost, emptied, of another cluster, and shared by two checkouts, on the real S3 server.

What is registered and where the weights lie is in the cluster, so a state is something to rebuild, never to fear for.
Tests of this module run in order on one estate.
"""

import json
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.estate import CR, Estate, Ran
from weighbridge.kubernetes.client import CLAIM, CONFIG_MAP

pytestmark = pytest.mark.sandbox

TAKEN = "in the cluster, not in the state: will be taken into the state"
BUCKET = "weighbridge-state"


@pytest.fixture(scope="module")
def settled(estate: Estate) -> Estate:
    """The estate with one model applied; its claim is typed by whoever destroys it."""
    estate.environment["models"] = [estate.environment["models"][0]]
    estate.applied()
    return estate


def _objects(estate: Estate) -> dict[str, bytes]:
    """Everything that the state consists of, by key below its prefix."""
    pages = estate.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{estate.name}/")
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    return {key: estate.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}


def _stack_key(estate: Estate, stack: str) -> str:
    return f"{estate.name}/.pulumi/stacks/weighbridge-{stack}/{estate.name}.json"


def _lose(estate: Estate) -> None:
    for key in _objects(estate):
        estate.s3.delete_object(Bucket=BUCKET, Key=key)


def _empty(estate: Estate) -> None:
    """The stacks are there, and hold nothing: as after ``pulumi state delete`` of everything."""
    for stack in ("storage", "registration"):
        _edit(estate, stack, lambda text: json.dumps(_without_resources(json.loads(text))))


def _without_resources(checkpoint: dict[str, Any]) -> dict[str, Any]:
    checkpoint["checkpoint"]["latest"]["resources"] = []
    return checkpoint


def _edit(estate: Estate, stack: str, change: Callable[[str], str]) -> None:
    key = _stack_key(estate, stack)
    before = estate.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode()
    estate.s3.put_object(Bucket=BUCKET, Key=key, Body=change(before).encode())


def _cluster(estate: Estate) -> dict[str, object]:
    """resourceVersion of everything of ours that lasts, and every pod that ever was."""
    claims = estate.kube.list(CLAIM, estate.name)
    maps = estate.kube.list(CONFIG_MAP, estate.name, labels={"weighbridge.dev/environment": estate.name})
    rows = [("cr", estate.cr()), *((item["metadata"]["name"], item) for item in [*claims, *maps])]
    versions: dict[str, object] = {
        name: (
            item["metadata"]["generation"],
            item["spec"],
        )  # the operator writes the status whenever it likes
        if name == "cr"
        else item["metadata"]["resourceVersion"]
        for name, item in rows
    }
    return {**versions, "pods": estate.pods_ever()}


@pytest.mark.parametrize("harm", [_lose, _empty], ids=["lost", "emptied"])
def test_what_the_state_has_lost_is_taken_back_and_nothing_in_the_cluster_is_written(
    settled: Estate, harm: Callable[[Estate], None]
) -> None:
    version = settled.cr()["metadata"]["resourceVersion"]
    before = _cluster(settled)
    harm(settled)

    planned = settled.run("plan", "--expect-no-changes")
    assert planned.code == 6, planned.said
    for kind, name in (
        ("v1/PersistentVolumeClaim", f"{settled.name}-llama-fetch-weights"),
        ("weighbridge/Registrations", CR),
    ):
        assert re.search(rf"< {kind} {name}.*\({TAKEN}\)", planned.out), planned.out
    applied = settled.applied()
    outcomes = {step["title"]: step["outcome"] for step in applied["steps"]}
    assert outcomes == {
        "stack storage": "done",
        "weights llama-fetch": "unchanged",
        "stack registration": "done",
        f"operator reconciles {CR}": "unchanged",
    }
    assert _cluster(settled) == before
    assert settled.cr()["metadata"]["resourceVersion"] == version
    assert settled.run("plan", "--expect-no-changes").code == 0


def test_a_lost_state_with_a_new_parameter_takes_back_and_updates_in_one_apply(settled: Estate) -> None:
    theirs, pods = settled.theirs(), settled.pods_ever()
    _lose(settled)
    settled.environment["models"][0]["parameters"]["max_new_tokens"]["default"] = 300

    planned = settled.run("plan")
    assert TAKEN in planned.out
    assert "~ llama-fetch" in planned.out

    settled.applied()
    [entry] = [entry for entry in settled.entries() if entry["model_id"] == "llama-fetch"]
    assert {item["name"]: item["default"] for item in entry["parameters"]}["max_new_tokens"] == 300
    assert (settled.theirs(), settled.pods_ever()) == (theirs, pods)


def test_a_destroy_right_after_the_loss_says_so_and_claims_nothing(settled: Estate) -> None:
    before = _cluster(settled)
    _lose(settled)
    ran = settled.run("destroy", "--yes")
    assert ran.code == 3, ran.said
    assert "llama-fetch is still registered" in ran.err
    assert "does not know of it" in ran.err
    assert f"weighbridge apply {settled.name}" in ran.err
    assert _cluster(settled) == before
    settled.applied()


def _refused(ran: Ran, *named: str) -> None:
    assert ran.code == 3, ran.said
    for text in named:
        assert text in ran.err, ran.said
    assert "Traceback" not in ran.said


@pytest.mark.parametrize("stack", ["storage", "registration"])
def test_a_state_of_another_cluster_is_refused_by_its_uid_before_anything_is_asked(
    settled: Estate, stack: str
) -> None:
    [uid] = set(
        re.findall(
            r'"clusterUid": ?"([0-9a-f-]{36})"', _objects(settled)[_stack_key(settled, stack)].decode()
        )
    )
    other = str(uuid.uuid4())
    _edit(settled, stack, lambda text: text.replace(uid, other))
    before, state = _cluster(settled), _objects(settled)
    second = ["apply"] if stack == "storage" else ["destroy", "--yes"]
    try:
        for verb in (["plan"], second):
            _refused(settled.run(*verb), other, uid, f"stack `{stack}`")
        assert _objects(settled) == state, "no refresh, no lock, no history was written"
        assert _cluster(settled) == before
    finally:
        _edit(settled, stack, lambda text: text.replace(other, uid))


def test_two_checkouts_share_one_state(settled: Estate, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"

    def at(checkout: Path, *verb: str) -> Ran:
        checkout.mkdir(exist_ok=True)
        return settled.run(*verb, cwd=checkout, env={"WEIGHBRIDGE_VAR": str(checkout / "var")})

    clean = at(first, "plan", "--expect-no-changes")
    assert clean.code == 0, clean.said
    settled.environment["models"][0]["parameters"]["max_new_tokens"]["default"] = 301
    updated = at(second, "apply")
    assert updated.code == 0, updated.said
    assert "stack registration" in updated.said
    seen = at(first, "plan", "--expect-no-changes")
    assert seen.code == 0, seen.said
    settled.environment["models"][0]["parameters"]["max_new_tokens"]["default"] = 302
    older = at(first, "plan")
    assert "301 → 302" in older.out, "the first checkout compares with what the second has written"
