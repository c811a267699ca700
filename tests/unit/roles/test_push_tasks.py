"""The role's work as Ansible really plays it, over stand-ins for whatever would touch a cluster."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from weighbridge.domain import receipts

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[3]
RENDERED = ROOT / "tests/golden/rendered/weights/plain"
OURS = (
    "await_pod", "follow_job", "rsync_password", "source_secret", "weights_push", "weights_state", "weights_verdict",
)  # fmt: skip
SET = "sha256:" + "ab" * 32
STATE = {
    "changed": False, "verified": False, "reason": "", "claim_uid": "u", "receipt": None,
    "damaged": [], "running": False, "leftovers": [],
}  # fmt: skip
PUBLISHED: dict[str, Any] = {
    "changed": True, "exit_code": 0, "files": [],
    "result": {"set_digest": SET, "files": 3, "total_bytes": 1, "published_at": "x", "outcome": "published"},
}  # fmt: skip


def damaged(*files: str) -> dict[str, Any]:
    return {"changed": True, "exit_code": 5, "files": list(files), "result": {"set_digest": None}}


@dataclass(frozen=True)
class Played:
    code: int
    said: str
    asked: list[tuple[str, dict[str, Any]]]

    def of(self, action: str) -> list[dict[str, Any]]:
        return [arguments for name, arguments in self.asked if name == action]

    @property
    def orders(self) -> list[dict[str, Any]]:
        """Every order that was put into the cluster with its Job."""
        applied = [task["definition"] for task in self.of("k8s") if isinstance(task.get("definition"), list)]
        return [
            json.loads(item["data"]["order.json"])
            for documents in applied
            for item in documents
            if "order.json" in item.get("data", {})
        ]


def play(  # noqa: PLR0913 - what is played, and what it finds
    folder: Path,
    *jobs: dict[str, Any],
    running: bool = False,
    password: bool = True,
    playbook: str = "sync_weights",
    route: str = "push",
    state: dict[str, Any] | None = None,
) -> Played:
    ours = folder / "ansible_collections/weighbridge/byom"
    theirs = folder / "ansible_collections/kubernetes/core/plugins"
    for place in (ours / "plugins/action", theirs / "action", theirs / "modules"):
        place.mkdir(parents=True)
    for name in ("filter", "modules", "plugin_utils"):
        (ours / "plugins" / name).symlink_to(ROOT / "plugins" / name)
    (ours / "roles").symlink_to(ROOT / "roles")
    (ours / "meta").symlink_to(ROOT / "collections/ansible_collections/weighbridge/byom/meta")
    stand_in = ROOT / "tests/support/stand_in_action.py"
    for name in OURS:
        shutil.copy(stand_in, ours / "plugins/action" / f"{name}.py")
    shutil.copy(stand_in, theirs / "action/k8s.py")
    shutil.copy(ROOT / "plugins/modules/await_pod.py", theirs / "modules/k8s.py")
    order = json.loads(
        next(yaml.safe_load_all((RENDERED / "publish.yaml").read_text()))["data"]["order.json"]
    )
    rows = [{"path": file["path"], "size": file["size"], "sha256": "cd" * 32} for file in order["files"]]
    sent = {"changed": True, "set_digest": SET, "files": rows}
    answers = {
        "weights_state": [{**STATE, "running": running, **(state or {})}],
        "rsync_password": [{"changed": password, "made": password}],
        "weights_push": [sent, sent],
        "follow_job": jobs,
    }
    (folder / "answers.json").write_text(json.dumps(answers))
    variables = yaml.safe_load((RENDERED / "vars.yml").read_text())
    extra = json.dumps({**variables, "weights_dir": str(RENDERED), "weights_route": route})
    done = subprocess.run(
        [BIN / "ansible-playbook", ROOT / f"playbooks/{playbook}.yml", "-e", extra],
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(folder), "STAND_INS": str(folder)},
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    asked = [json.loads(line) for line in (folder / "asked").read_text().splitlines()]
    return Played(done.returncode, done.stdout + done.stderr, [(name, task) for name, task in asked])


def test_the_publishing_job_is_told_what_was_sent(tmp_path: Path) -> None:
    played = play(tmp_path, PUBLISHED)
    assert played.code == 0, played.said
    [order] = played.orders
    assert order["expect_set_digest"] == SET
    assert {file["sha256"] for file in order["files"]} == {"cd" * 32}
    names = [name for name, _ in played.asked]
    assert names.index("rsync_password") < names.index("weights_push") < names.index("follow_job")
    removed = [
        [item["kind"] for item in task["definition"]]
        for task in played.of("k8s")
        if task.get("state") == "absent"
    ]
    assert removed == [["Pod"], ["Secret"], ["Job", "Pod", "ConfigMap"], ["Secret"]]


def test_where_secrets_may_not_be_made_the_push_is_told_and_none_is_removed(tmp_path: Path) -> None:
    played = play(tmp_path, PUBLISHED, password=False)
    assert played.code == 0, played.said
    assert [task["password"] for task in played.of("weights_push")] == [False]
    removed = [
        item["kind"]
        for task in played.of("k8s")
        if task.get("state") == "absent"
        for item in task["definition"]
    ]
    assert removed == ["Pod", "Job", "Pod", "ConfigMap"]


def test_files_that_did_not_arrive_whole_are_sent_once_more(tmp_path: Path) -> None:
    played = play(tmp_path, damaged("config.json"), PUBLISHED)
    assert played.code == 0, played.said
    assert [task["damaged"] for task in played.of("weights_push")] == [[], ["config.json"]]
    assert len(played.of("rsync_password")) == 2


@pytest.mark.parametrize("jobs", [(damaged(),), (damaged("config.json"), damaged("config.json"))])
def test_a_verification_that_fails_for_good_ends_the_play_with_its_own_sentence(
    tmp_path: Path, jobs: tuple[dict[str, Any], ...]
) -> None:
    played = play(tmp_path, *jobs)
    assert played.code == 2
    assert "the stand-in's own sentence" in played.said
    assert "undefined" not in played.said
    assert len(played.of("weights_push")) == len(jobs)


def test_a_publication_that_is_at_work_is_followed_and_nothing_is_sent(tmp_path: Path) -> None:
    played = play(tmp_path, PUBLISHED, running=True)
    assert played.code == 0, played.said
    assert played.of("weights_push") == played.orders == []


RECORD = "sha256:" + "ef" * 32


def test_a_fetch_is_told_what_the_cluster_has_on_record(tmp_path: Path) -> None:
    played = play(tmp_path, PUBLISHED, route="fetch", state={"recorded": RECORD})
    assert played.code == 0, played.said
    [order] = played.orders
    assert order["recorded_set_digest"] == RECORD
    assert "expect_set_digest" not in order, "the source may say otherwise"


def test_a_push_is_told_it_too(tmp_path: Path) -> None:
    played = play(tmp_path, PUBLISHED, state={"recorded": RECORD})
    assert played.code == 0, played.said
    assert [task["recorded"] for task in played.of("weights_push")] == [RECORD]


@pytest.mark.parametrize("found", [RECORD, SET])
def test_what_is_verified_is_compared_with_the_record_and_not_with_the_volume_alone(
    tmp_path: Path, found: str
) -> None:
    message: dict[str, Any] = {"set_digest": RECORD, "files": 3, "total_bytes": 1}
    receipt = receipts.published(
        message, model_id="plain", fingerprint="sha256:" + "12" * 32, sub_path="plain/121212121212",
        claim="their-claim", claim_uid="u", route="fetch", now=datetime.now(UTC),
    )  # fmt: skip
    verified = {**PUBLISHED, "result": {**PUBLISHED["result"], "set_digest": found, "error": None}}
    played = play(tmp_path, verified, playbook="verify_weights", state={"receipt": receipts.to_json(receipt)})
    [order] = played.orders
    assert order["expect_set_digest"] == RECORD
    assert played.code == 0, played.said
    [recorded] = [task["definition"]["data"] for task in played.of("k8s") if "data" in task["definition"]]
    assert json.loads(recorded["plain"])["verdict"] == ("verified" if found == RECORD else "damaged")
