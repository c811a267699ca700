"""What is concluded from the objects of a Job: each case is something that a cluster really shows."""

import json
from typing import Any

import pytest

from weighbridge.errors import PreconditionError, StepFailedError, VerificationError
from weighbridge.kubernetes.pod_watch import Ended, Running, Seen, Sight, Waiting, judge_job, judge_pod

NAME = "wb-x-fetch"
CLAIM = {"metadata": {"name": "c"}, "spec": {"storageClassName": "slow"}, "status": {"phase": "Pending"}}


def job(*conditions: tuple[str, str], **spec: Any) -> dict[str, Any]:
    found = [
        {"type": kind, "status": "True", "reason": reason, "message": "m"} for kind, reason in conditions
    ]
    return {"metadata": {"name": NAME}, "spec": spec, "status": {"conditions": found}}


def pod(phase: str = "Pending", *, state: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    statuses = [{"ready": True, "state": state}] if state else []
    return {
        "metadata": {"name": "p"},
        "spec": {"containers": [{"image": "i:1"}]},
        "status": {"phase": phase, "containerStatuses": statuses, **status},
    }


def ended(code: int, message: dict[str, Any] | None = None, reason: str = "Error") -> dict[str, Any]:
    text = "" if message is None else json.dumps({"outcome": "failed", **message})
    phase = "Failed" if code else "Succeeded"
    return pod(phase, state={"terminated": {"exitCode": code, "reason": reason, "message": text}})


def event(reason: str, message: str, about: str = NAME, kind: str = "Warning") -> dict[str, Any]:
    return {"reason": reason, "message": message, "type": kind, "involvedObject": {"name": about}}


def error(code: str, *, transient: bool = False, files: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "error": {
            "code": code,
            "message": "said",
            "remedy": "do",
            "transient": transient,
            "files": list(files),
        }
    }


def waiting(seen: Seen) -> Waiting:
    sight = judge_job(seen, NAME)
    assert isinstance(sight, Waiting), sight
    return sight


def over(seen: Seen) -> Ended:
    sight = judge_job(seen, NAME)
    assert isinstance(sight, Ended), sight
    return sight


def test_a_finished_job_gives_the_movers_result() -> None:
    found = over(Seen(job(("Complete", "")), [ended(0, {"set_digest": "d"}, "Completed")]))
    assert found.error is None
    assert found.message == {"outcome": "failed", "set_digest": "d"}


def test_a_finished_job_without_a_result_is_a_failure() -> None:
    found = over(Seen(job(("Complete", "")), [ended(0)]))
    assert found.error is not None
    assert found.error.code == "no-result"


@pytest.mark.parametrize(
    "pods", [[], [ended(4, error("reset", transient=True))], [pod("Failed", reason="Evicted")]]
)
def test_a_finished_job_whose_pod_is_gone_is_not_waited_for_and_no_other_pods_result_is_taken(
    pods: list[dict[str, Any]],
) -> None:
    found = over(Seen(job(("Complete", "")), pods))
    assert isinstance(found.error, StepFailedError)
    assert (found.error.code, found.error.transient, found.message) == ("result-gone", True, None)
    assert found.error.remedy


def test_a_finished_job_whose_pod_still_seems_to_run_is_waited_for_shortly() -> None:
    found = waiting(Seen(job(("SuccessCriteriaMet", "")), [pod("Running", state={"running": {}})]))
    assert (found.code, found.stuck) == ("ending", True)
    assert found.remedy


@pytest.mark.parametrize(
    ("code", "kind"), [(3, PreconditionError), (4, StepFailedError), (5, VerificationError)]
)
def test_the_movers_exit_code_decides_the_kind_of_failure(code: int, kind: type[Exception]) -> None:
    found = over(Seen(job(("Failed", "PodFailurePolicy")), [ended(code, error("e", files=("f",)))]))
    assert type(found.error) is kind
    assert (found.error.what, found.error.remedy, found.error.code) == ("said", "do", "e")
    assert found.files == ("f",)


def test_a_failure_that_will_not_pass_is_not_waited_out() -> None:
    assert over(Seen(job(), [ended(4, error("source-changed"))])).error is not None


def test_an_unreachable_source_is_not_tried_from_another_pod() -> None:
    assert over(Seen(job(), [ended(4, error("source-unreachable", transient=True))])).error is not None


def test_a_transient_failure_waits_for_the_replacement() -> None:
    assert waiting(Seen(job(), [ended(4, error("reset", transient=True))])).code == "retrying"


def test_a_killed_mover_is_waited_for_and_its_reason_is_said() -> None:
    found = waiting(Seen(job(), [ended(137, reason="OOMKilled")]))
    assert found.code == "retrying"
    assert "OOMKilled" in found.what


def test_a_mover_that_was_killed_for_memory_too_often_says_what_to_raise() -> None:
    found = over(Seen(job(("Failed", "BackoffLimitExceeded")), [ended(137, reason="OOMKilled")]))
    assert found.error is not None
    assert found.error.remedy == "raise pods.resources.memory"


def test_the_deadline_is_named() -> None:
    found = over(Seen(job(("Failed", "DeadlineExceeded")), []))
    assert found.error is not None
    assert found.error.code == "deadline"


def test_a_replacement_that_runs_counts_more_than_the_pod_that_failed() -> None:
    found = judge_job(Seen(job(), [ended(137), pod("Running", state={"running": {}})]), NAME)
    assert isinstance(found, Running)


def test_a_job_that_somebody_removed() -> None:
    found = over(Seen(None, []))
    assert found.error is not None
    assert found.error.code == "job-gone"


def test_a_claim_that_stays_pending_is_told_with_the_provisioners_last_warning() -> None:
    events = [
        event("ExternalProvisioning", "waiting for a volume", "c", "Normal"),
        event("ProvisioningFailed", "no space in pool", "c"),
        event("ExternalProvisioning", "waiting again", "c", "Normal"),
    ]
    found = waiting(Seen(job(), [pod()], CLAIM, events))
    assert found.code == "claim-pending"
    assert "no space in pool" in found.what
    assert "slow" in (found.remedy or "")
    assert found.stuck


def test_a_provisioner_that_says_nothing_bad_gets_its_time() -> None:
    events = [event("ExternalProvisioning", "waiting for a volume", "c", "Normal")]
    found = waiting(Seen(job(), [pod()], CLAIM, events))
    assert "waiting for a volume" in found.what
    assert not found.stuck


@pytest.mark.parametrize(("reason", "final"), [("ImagePullBackOff", False), ("InvalidImageName", True)])
def test_an_image_that_cannot_be_pulled(reason: str, final: bool) -> None:
    blocked = pod(state={"waiting": {"reason": reason, "message": "not found"}})
    found = waiting(Seen(job(), [blocked]))
    assert (found.code, found.stuck, found.final) == ("image-not-pulled", True, final)
    assert "i:1" in found.what


def test_no_node_takes_the_pod_unless_one_is_on_its_way() -> None:
    condition = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}
    lonely = pod(conditions=[condition])
    assert waiting(Seen(job(), [lonely])).stuck
    scaling = [event("TriggeredScaleUp", "up", "p", "Normal")]
    assert not waiting(Seen(job(), [lonely], events=scaling)).stuck


def test_an_admission_rule_that_refuses_the_pod_is_final() -> None:
    found = waiting(
        Seen(job(), [], events=[event("FailedCreate", 'pods "x" is forbidden: violates PodSecurity')])
    )
    assert (found.code, found.final) == ("pod-refused", True)


def test_a_quota_is_told_apart() -> None:
    found = waiting(
        Seen(job(), [], events=[event("FailedCreate", "pods is forbidden: exceeded quota: compute")])
    )
    assert found.code == "quota-exceeded"


def test_a_missing_secret_shows_as_a_mount_that_fails() -> None:
    events = [event("FailedMount", 'secret "s" not found', "p")]
    found = waiting(Seen(job(), [pod()], events=events))
    assert found.code == "volume-not-mounted"
    assert 'secret "s" not found' in found.what


def test_a_suspended_job_is_not_a_failure() -> None:
    assert waiting(Seen(job(suspend=True), [])).code == "suspended"


def test_a_pod_that_is_told_it_may_not_write_says_which_storage_setting_to_mend() -> None:
    state = {"terminated": {"exitCode": 1, "message": "mkdir: cannot create directory: Permission denied"}}
    found: Sight = judge_pod(Seen(None, [pod("Failed", state=state)]), "p")
    assert isinstance(found, Ended)
    assert isinstance(found.error, PreconditionError)
    assert "Permission denied" in found.error.what
    assert "fsGroup" in (found.error.remedy or "")


def test_a_pod_becomes_ready() -> None:
    assert judge_pod(Seen(None, [pod("Running", state={"running": {}})]), "p") == Running("p", ready=True)
