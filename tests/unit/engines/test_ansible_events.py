"""What is made of ansible-runner's events, as recorded from real runs and shortened."""

import json
from typing import Any

import pytest

from weighbridge.core.events import Event, FileVerified, Note, TransferProgress, Warned
from weighbridge.engines.ansible.events import Collected
from weighbridge.errors import ForbiddenError, PreconditionError, StepFailedError, VerificationError

FORBIDDEN = (
    'Failed to apply object: b\'{"kind":"Status","status":"Failure","message":"jobs.batch \\\\"wb-s-m-fetch\\\\" is '
    'forbidden: User \\\\"u\\\\" cannot patch resource \\\\"jobs\\\\" in API group \\\\"batch\\\\" in the namespace \\\\"n\\\\"","reason":"Forbidden","code":403}\\n\''
)


def collected() -> Collected:
    return Collected(receipts="weighbridge-x-receipts", receipt_key="m")


def taken(said: Collected, **raw: Any) -> list[Event]:
    return list(said.take(raw))


def failed(task: str, action: str = "kubernetes.core.k8s", **res: Any) -> dict[str, Any]:
    return {"event": "runner_on_failed", "event_data": {"task": task, "task_action": action, "res": res}}


def spoken(*lines: dict[str, Any] | str) -> dict[str, Any]:
    texts = [line if isinstance(line, str) else json.dumps({**line, "model_id": "m"}) for line in lines]
    return {"event": "verbose", "stdout": "\r\n".join(texts)}


def test_spoken_lines_become_events() -> None:
    said = collected()
    found = taken(
        said,
        **spoken(
            {"event": "progress", "phase": "fetch", "bytes": 5, "total": 9, "rate": 2},
            {"event": "file", "path": "a", "size": 1, "sha256": "s"},
            {"event": "problem", "path": "b", "reason": "damaged"},
            {"event": "note", "text": "hello"},
            "PLAY [Sync weights]",
        ),
    )
    assert found == [
        TransferProgress("m", phase="fetch", bytes=5, total=9, rate=2.0),
        FileVerified("m", "a", 1, "s"),
        Warned("m: b is damaged"),
        Note("m: hello"),
    ]
    assert said.output == ["PLAY [Sync weights]"]


@pytest.mark.parametrize(
    ("exit_code", "kind"), [(3, PreconditionError), (4, StepFailedError), (5, VerificationError)]
)
def test_a_failure_of_our_own_plugin_is_taken_as_it_was_meant(exit_code: int, kind: type[Exception]) -> None:
    said = collected()
    ours = {"exit_code": exit_code, "code": "c", "what": "w", "remedy": "r", "transient": True}
    taken(said, **failed("Look", "weighbridge.byom.weights_state", msg="…", weighbridge=ours))
    assert type(said.failure) is kind
    assert (said.failure.what, said.failure.remedy, said.failure.code) == ("w", "r", "c")
    assert getattr(said.failure, "transient", True) is True


def test_the_first_failure_counts_and_the_later_one_is_told() -> None:
    said = collected()
    taken(said, **failed("Start the Job", msg="no"))
    assert taken(said, **failed("Remove short-lived objects", msg="neither")) == [
        Warned("afterwards: Remove short-lived objects: neither")
    ]
    assert said.failure is not None
    assert said.failure.what == "Start the Job: no"


def test_a_missing_permission_names_the_rule_to_ask_for() -> None:
    said = collected()
    taken(said, **failed("Start the Job", msg=FORBIDDEN))
    assert isinstance(said.failure, ForbiddenError)
    assert said.failure.code == "cluster-forbidden"
    assert "`u` may not patch jobs.batch wb-s-m-fetch in namespace n" in said.failure.what
    assert 'apiGroups: ["batch"], resources: [jobs], verbs: [patch], resourceNames: [wb-s-m-fetch]' in str(
        said.failure
    )


def test_a_failed_job_still_says_what_it_had_moved_and_its_last_words() -> None:
    said = collected()
    ours = {"exit_code": 4, "code": "mover-died", "what": "it died", "remedy": None, "transient": True}
    taken(
        said,
        **failed(
            "Follow the Job",
            "weighbridge.byom.follow_job",
            result={"bytes_fetched": 7},
            weighbridge=ours,
            last_lines=["Traceback", "MemoryError"],
        ),
    )
    assert said.job == {"bytes_fetched": 7}
    assert said.failure is not None
    assert said.failure.what == "it died; its last words: Traceback | MemoryError"


def test_results_are_collected_by_the_plugin_that_gave_them() -> None:
    said = collected()
    receipt = {
        "model_id": "m",
        "fingerprint": "f",
        "set_digest": "d",
        "claim": "c",
        "claim_uid": "u",
        "sub_path": "s",
        "files": 1,
        "total_bytes": 2,
        "route": "fetch",
        "published_at": "",
        "verified_at": "",
        "verdict": "verified",
        "damaged": [],
    }
    for action, res in [
        ("weighbridge.byom.weights_state", {"verified": False}),
        ("weighbridge.byom.weights_push", {"changed": True, "bytes_moved": 3}),
        ("weighbridge.byom.follow_job", {"changed": True, "result": {"outcome": "published"}}),
        (
            "kubernetes.core.k8s",
            {
                "result": {
                    "kind": "ConfigMap",
                    "metadata": {"name": "weighbridge-x-receipts"},
                    "data": {"m": json.dumps(receipt)},
                }
            },
        ),
    ]:
        taken(said, event="runner_on_ok", event_data={"task_action": action, "res": res})
    assert said.changed
    assert said.state == {"verified": False}
    assert said.pushed["bytes_moved"] == 3
    assert said.job == {"outcome": "published"}
    assert said.receipt is not None
    assert said.receipt.set_digest == "d"


def test_a_failure_that_the_play_ignores_is_none() -> None:
    said = collected()
    raw = failed("Try", msg="no")
    raw["event_data"]["ignore_errors"] = True
    taken(said, **raw)
    assert said.failure is None
