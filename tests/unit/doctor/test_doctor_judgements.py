"""Each judgement by a table of what may be found."""

from datetime import UTC, datetime
from typing import Any

import pytest

from support.levels import worst
from support.probes import custom_resource
from support.world import environment
from weighbridge.core.finding import Finding, Level
from weighbridge.doctor import cluster
from weighbridge.domain.quotas import PodNeed
from weighbridge.environment.types import AccessMode, Environment
from weighbridge.errors import ForbiddenError, StepFailedError
from weighbridge.probing.probes import Operator, RecordedState, Rehearsal, Server, Tool
from weighbridge.probing.skew import judge_skew
from weighbridge.sources.s3 import S3
from weighbridge.steps.registration import judged as registration
from weighbridge.steps.storage import judged as storage
from weighbridge.steps.storage import quota
from weighbridge.steps.weights import admission, reach
from weighbridge.watsonx.custom_resource import parse_custom_resource

OK, WARN, FAIL = Level.OK, Level.WARN, Level.FAIL
MIB = 1024**2
RWX = frozenset({AccessMode.READ_WRITE_MANY})
RWO = frozenset({AccessMode.READ_WRITE_ONCE})


def said(findings: list[Finding]) -> str:
    return "; ".join(item.said for item in findings)


# -- this machine, clocks, the API server, the state -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "level"),
    [
        (Tool(name="pulumi", version="3.255.0", place="/usr/bin/pulumi"), OK),
        (Tool(name="pulumi", problem="was not found", remedy="install it"), FAIL),
        (Tool(name="rsync", problem="not on PATH", needed=False), WARN),
    ],
)
def test_tools(tool: Tool, level: Level) -> None:
    assert cluster.judge_tool(tool).level is level


@pytest.mark.parametrize(
    ("seconds", "level"),
    [
        (0.0, OK),
        (1.4, OK),
        (59.9, OK),
        (60.0, WARN),
        (-61.0, WARN),
        (299.0, WARN),
        (300.0, FAIL),
        (-4000.0, FAIL),
    ],
)
def test_clocks_are_warned_of_from_a_minute_and_refused_from_five(seconds: float, level: Level) -> None:
    found = judge_skew("source", "clock", seconds, "this machine", "the server")
    assert found.level is level
    if level is not OK:
        assert ("ahead of" if seconds > 0 else "behind") in found.said


@pytest.mark.parametrize(
    ("version", "level"), [("v1.34.4", OK), ("v1.29.0", OK), ("v1.28.15+rke2", WARN), ("unknown", OK)]
)
def test_servers(version: str, level: Level) -> None:
    server = Server(where="here", version=version, user=None, skew_seconds=None)
    assert [item.level for item in cluster.judge_server(server)] == [level]


@pytest.mark.parametrize(
    ("found", "level"),
    [
        (None, FAIL),
        ({"metadata": {"deletionTimestamp": "now"}}, FAIL),
        ({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}, OK),
        ({"metadata": {}}, OK),
    ],
)
def test_namespaces(found: dict[str, Any] | None, level: Level) -> None:
    assert cluster.judge_namespace("cpd", found).level is level


@pytest.mark.parametrize(
    ("state", "uid", "level"),
    [
        (RecordedState(stack="storage", exists=False, cluster_uid=None), "here", OK),
        (RecordedState(stack="storage", exists=True, cluster_uid="here"), "here", OK),
        (RecordedState(stack="storage", exists=True, cluster_uid=None), "here", OK),
        (RecordedState(stack="storage", exists=True, cluster_uid="there"), "here", FAIL),
        (RecordedState(stack="storage", exists=True, cluster_uid="there"), None, OK),
    ],
)
def test_a_state_of_another_cluster_is_refused(state: RecordedState, uid: str | None, level: Level) -> None:
    assert worst(cluster.judge_state([state], "s3://state", uid)) is level


# -- registration ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("versions", "level"), [((), FAIL), (("v1",), FAIL), (("v1beta1",), OK), (("v1", "v1beta1"), OK)]
)
def test_the_definition_has_to_serve_our_version(versions: tuple[str, ...], level: Level) -> None:
    assert registration.judge_served(versions).level is level


ARGO = {"annotations": {"argocd.argoproj.io/tracking-id": "app:x"}}
FAILED = {
    "watsonxaiifmStatus": "Failed",
    "conditions": [{"type": "Failure", "status": "True", "message": "no such PVC"}],
}


@pytest.mark.parametrize(
    ("changes", "level", "word"),
    [
        ({}, OK, "Completed"),
        ({"metadata": ARGO}, WARN, "Argo CD"),
        ({"spec": {"ignoreForMaintenance": True}}, FAIL, "ignoreForMaintenance"),
        ({"spec": {"shutdown": "true"}}, FAIL, "shutdown"),
        ({"spec": {"version": "12.0.0"}}, FAIL, "upgrade is not finished"),
        ({"spec": {"custom_foundation_models": {"no": "list"}}}, FAIL, "no list"),
        ({"status": FAILED}, FAIL, "no such PVC"),
        ({"status": {"watsonxaiifmStatus": None}}, WARN, "no status yet"),
        ({"status": {"watsonxaiifmStatus": "InProgress", "progress": "40%"}}, WARN, "InProgress"),
    ],
)
def test_the_custom_resource(changes: dict[str, Any], level: Level, word: str) -> None:
    live = parse_custom_resource(custom_resource(**changes))
    found = registration.judge_custom_resource("watsonxaiifm-cr", live, datetime.now(UTC))
    assert worst(found) is level
    assert word in said([item for item in found if item.level is level])


def test_an_operator_that_says_nothing_for_half_an_hour_is_asked_after() -> None:
    fields = [
        {"manager": "operator", "subresource": "status", "time": "2026-01-02T03:00:00Z", "fieldsV1": {}}
    ]
    raw = custom_resource(metadata={"managedFields": fields}, status={"watsonxaiifmStatus": "InProgress"})
    live = parse_custom_resource(raw)
    late = registration.judge_custom_resource("x", live, datetime(2026, 1, 2, 3, 31, tzinfo=UTC))
    soon = registration.judge_custom_resource("x", live, datetime(2026, 1, 2, 3, 5, tzinfo=UTC))
    assert "31 min 00 s ago" in late[-1].said
    assert "is the operator running" in str(late[-1].remedy)
    assert "is the operator running" not in str(soon[-1].remedy)


def test_an_absent_custom_resource_and_one_without_a_spec() -> None:
    bare = parse_custom_resource({"metadata": {"name": "x"}})
    for live in (None, bare):
        assert worst(registration.judge_custom_resource("x", live, None)) is FAIL


@pytest.mark.parametrize(
    ("operators", "level"),
    [
        (None, OK),
        ([], OK),
        ([Operator(namespace="o", name="ifm", ready=1, wanted=1)], OK),
        ([Operator(namespace="o", name="ifm", ready=0, wanted=1)], FAIL),
        ([Operator(namespace="o", name="ifm", ready=0, wanted=0)], FAIL),
    ],
)
def test_the_operators_deployment(operators: list[Operator] | None, level: Level) -> None:
    assert registration.judge_operators(operators).level is level


# -- storage ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provisioner", "parameters", "modes", "level"),
    [
        ("openshift-storage.cephfs.csi.ceph.com", {}, RWX, OK),
        ("rook-ceph.rbd.csi.ceph.com", {}, RWX, FAIL),
        ("rook-ceph.rbd.csi.ceph.com", {}, RWO, OK),
        ("ebs.csi.aws.com", {}, RWX, FAIL),
        ("efs.csi.aws.com", {}, RWX, OK),
        ("vpc.file.csi.ibm.io", {}, RWX, OK),
        ("pxd.portworx.com", {"sharedv4": "true"}, RWX, OK),
        ("pxd.portworx.com", {}, RWX, WARN),
        ("csi.vsphere.vmware.com", {}, RWX, WARN),
        ("example.com/nobody-knows", {}, RWX, WARN),
    ],
)
def test_classes(
    provisioner: str, parameters: dict[str, str], modes: frozenset[AccessMode], level: Level
) -> None:
    found = storage.judge_class(
        "c", {"provisioner": provisioner, "parameters": parameters, "allowVolumeExpansion": True}, modes
    )
    assert worst(found) is level


def test_a_class_that_is_absent_or_cannot_grow_or_is_proven_by_a_claim() -> None:
    assert worst(storage.judge_class("c", None, RWX)) is FAIL
    fixed = {"provisioner": "efs.csi.aws.com", "allowVolumeExpansion": False}
    assert "never grow" in said(storage.judge_class("c", fixed, RWX))
    unknown = {"provisioner": "example.com/x", "allowVolumeExpansion": True}
    assert worst(storage.judge_class("c", unknown, RWX, proven=True)) is OK


@pytest.mark.parametrize(
    ("policy", "shared", "level"),
    [("File", True, OK), ("ReadWriteOnceWithFSType", True, WARN), ("ReadWriteOnceWithFSType", False, OK),
     ("None", True, WARN), ("None", False, WARN), ("", True, WARN)],
)  # fmt: skip
def test_drivers(policy: str, shared: bool, level: Level) -> None:
    driver = {"spec": {"fsGroupPolicy": policy} if policy else {}}
    assert storage.judge_driver("class c", "d", driver, shared=shared).level is level


def model_with(existing: str | None) -> Environment:
    env = environment("one")
    kept = {"existing_pvc": existing} if existing else {"storage_class": "fast"}
    raw = env.model_dump(mode="json", exclude_none=True)
    raw["models"][0]["storage"] = kept
    return Environment.model_validate(raw, strict=False)


def claim(
    phase: str = "Bound",
    owner: str | None = "test",
    size: str = "100Mi",
    mode: str = "ReadWriteMany",
    volume_mode: str = "Filesystem",
    **meta: str,
) -> dict[str, Any]:
    labels = {"weighbridge.dev/environment": owner} if owner else {}
    return {
        "metadata": {"name": "x", "uid": "u", "labels": labels, **meta},
        "spec": {
            "accessModes": [mode],
            "volumeMode": volume_mode,
            "resources": {"requests": {"storage": "1Mi"}},
        },
        "status": {"phase": phase, "capacity": {"storage": size}},
    }


@pytest.mark.parametrize(
    ("existing", "found", "set_bytes", "level"),
    [
        (None, None, None, OK),
        (None, claim(), None, OK),
        (None, claim(owner="prod"), None, FAIL),
        (None, claim(owner=None), None, FAIL),
        (None, claim(phase="Lost"), None, FAIL),
        (None, claim(deletionTimestamp="now"), None, FAIL),
        ("theirs", None, None, FAIL),
        ("theirs", claim(owner=None), 47 * MIB, OK),
        ("theirs", claim(owner=None), 100 * MIB, WARN),  # there is no room beside it
        ("theirs", claim(owner=None), 101 * MIB, FAIL),
        ("theirs", claim(owner=None, volume_mode="Block"), None, FAIL),
        ("theirs", claim(owner=None, mode="ReadOnlyMany"), None, FAIL),
        ("theirs", claim(owner=None, mode="ReadWriteOnce"), None, WARN),
        ("theirs", claim(owner=None, phase="Pending"), None, WARN),
    ],
)  # fmt: skip
def test_claims(
    existing: str | None, found: dict[str, Any] | None, set_bytes: int | None, level: Level
) -> None:
    model = model_with(existing).models[0]
    assert storage.judge_claim("test", model, "x", found, set_bytes).level is level


# -- quota and limits ------------------------------------------------------------------------------------------------

POD = PodNeed({"cpu": "250m", "memory": "256Mi"}, {"cpu": "2", "memory": "512Mi"}, frozenset({False}))
PUSHED = PodNeed(POD.requests, POD.limits, frozenset({False, True}))
CLAIMS = [quota.ClaimNeed("one", "fast", 64 * MIB), quota.ClaimNeed("two", "fast", 100 * MIB)]


def quota_of(hard: dict[str, str], used: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "q"},
        "spec": {"hard": hard, **spec},
        "status": {"hard": hard, "used": used or {}},
    }


@pytest.mark.parametrize(
    ("hard", "used", "level"),
    [
        ({"requests.storage": "164Mi"}, {}, OK),
        ({"requests.storage": "163Mi"}, {}, FAIL),
        ({"requests.storage": "1Gi"}, {"requests.storage": "900Mi"}, FAIL),
        ({"fast.storageclass.storage.k8s.io/requests.storage": "100Mi"}, {}, FAIL),
        ({"slow.storageclass.storage.k8s.io/requests.storage": "0"}, {}, OK),
        ({"persistentvolumeclaims": "1"}, {}, FAIL),
        ({"count/persistentvolumeclaims": "2"}, {}, OK),
        ({"pods": "10"}, {"pods": "10"}, FAIL),
        ({"pods": "10"}, {"pods": "9"}, OK),
        ({"requests.cpu": "1"}, {"requests.cpu": "800m"}, FAIL),
        ({"cpu": "1"}, {"cpu": "750m"}, OK),
        ({"limits.memory": "511Mi"}, {}, FAIL),
        ({"limits.cpu": "1.5"}, {}, FAIL),
        ({"count/jobs.batch": "0"}, {}, FAIL),
        ({"limits.ephemeral-storage": "1Gi"}, {}, FAIL),
        ({"requests.nvidia.com/gpu": "0"}, {}, OK),
    ],
)
def test_quotas(hard: dict[str, str], used: dict[str, str], level: Level) -> None:
    [found] = quota.judge_quotas([quota_of(hard, used)], CLAIMS, POD)
    assert found.level is level
    assert level is OK or next(iter(hard)) in found.said


@pytest.mark.parametrize(
    ("hard", "at_once", "level"),
    [
        ({"pods": "4"}, 4, OK),
        ({"pods": "4"}, 5, FAIL),
        ({"requests.memory": "512Mi"}, 3, FAIL),
        ({"count/jobs.batch": "2"}, 3, FAIL),
        ({"configmaps": "5"}, 3, OK),
        ({"configmaps": "4"}, 3, FAIL),
        ({"requests.storage": "164Mi"}, 16, OK),
    ],
)
def test_quotas_hold_as_many_models_as_the_file_wants_at_once(
    hard: dict[str, str], at_once: int, level: Level
) -> None:
    [found] = quota.judge_quotas([quota_of(hard)], CLAIMS, POD, at_once)
    assert found.level is level


@pytest.mark.parametrize(
    ("spec", "pod", "level"),
    [
        ({"scopes": ["BestEffort"]}, POD, OK),
        ({"scopes": ["NotBestEffort"]}, POD, FAIL),
        ({"scopes": ["Terminating"]}, POD, OK),
        ({"scopes": ["Terminating"]}, PUSHED, FAIL),
        ({"scopes": ["NotTerminating"]}, POD, FAIL),
        ({"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]}}, POD, OK),
        ({"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "DoesNotExist"}]}}, POD, FAIL),
    ],
)  # fmt: skip
def test_a_quota_counts_only_the_pods_of_its_scopes(spec: dict[str, Any], pod: PodNeed, level: Level) -> None:
    [found] = quota.judge_quotas([quota_of({"pods": "0"}, **spec)], CLAIMS, pod)
    assert found.level is level


def test_a_quota_on_storage_cannot_be_judged_without_the_listing() -> None:
    unknown = [quota.ClaimNeed("one", "fast", None)]
    [found] = quota.judge_quotas([quota_of({"requests.storage": "1Ti"})], unknown, POD)
    assert "not looked at" in found.said


@pytest.mark.parametrize(
    ("limit", "level"),
    [
        ({"type": "Container", "max": {"cpu": "1"}}, FAIL),
        ({"type": "Container", "max": {"cpu": "2", "memory": "512Mi"}}, OK),
        ({"type": "Container", "min": {"memory": "300Mi"}}, FAIL),
        ({"type": "Container", "min": {"cpu": "0.25"}}, OK),
        ({"type": "Pod", "max": {"memory": "511Mi"}}, FAIL),
        ({"type": "Container", "maxLimitRequestRatio": {"cpu": "4"}}, FAIL),
        ({"type": "Container", "maxLimitRequestRatio": {"cpu": "8"}}, OK),
        ({"type": "PersistentVolumeClaim", "max": {"storage": "99Mi"}}, FAIL),
        ({"type": "PersistentVolumeClaim", "min": {"storage": "65Mi"}}, FAIL),
        ({"type": "PersistentVolumeClaim", "min": {"storage": "64Mi"}, "max": {"storage": "100Mi"}}, OK),
        ({"type": "openshift.io/Image", "max": {"storage": "1Mi"}}, OK),
    ],
)
def test_limit_ranges(limit: dict[str, Any], level: Level) -> None:
    item = {"metadata": {"name": "limits"}, "spec": {"limits": [limit]}}
    [found] = quota.judge_limit_ranges([item], CLAIMS, POD)
    assert found.level is level


# -- admission, the way to a source ----------------------------------------------------------------------------------

POD_SECURITY = 'cannot apply pods x: pods "x" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation'


@pytest.mark.parametrize(
    ("rehearsal", "level", "word"),
    [
        (Rehearsal(kind="Job", name="x"), OK, "would be admitted"),
        (Rehearsal(kind="Job", name="x", exists=True), OK, "there already"),
        (Rehearsal(kind="Pod", name="x", error=StepFailedError(POD_SECURITY)), FAIL, "violates PodSecurity"),
        (Rehearsal(kind="Job", name="x", error=ForbiddenError("may not")), WARN, "a permission is missing"),
        (Rehearsal(kind="Job", name="x", warnings=('299 - "would violate PodSecurity"',)), WARN, "would violate PodSecurity"),
    ],
)  # fmt: skip
def test_rehearsals(rehearsal: Rehearsal, level: Level, word: str) -> None:
    [found] = admission.judge_rehearsals([rehearsal])
    assert found.level is level
    assert word in found.said
    assert '299 - "' not in found.said


@pytest.mark.parametrize("from_pod", [False, True])
@pytest.mark.parametrize("code", [*reach._REMEDIES, *S3().remedies, "s3:SomethingNew"])
def test_every_way_to_fail_says_what_to_do(code: str, from_pod: bool) -> None:
    stage = {"stage": "login", "ok": False, "code": code, "said": "no"}
    [found] = reach.judge_stages("source", "s3.example.com", [stage], S3().remedies, from_pod=from_pod)
    assert found.level is FAIL
    assert found.remedy
    assert "{" not in found.remedy.replace("{ca_bundle: ca.pem}", "")


def test_what_lies_behind_a_failed_stage_is_said_not_to_be_looked_at() -> None:
    stages = [
        {"stage": "dns", "ok": True, "said": "x"},
        {"stage": "tcp", "ok": True, "said": "x"},
        {"stage": "proxy", "ok": False, "code": "proxy-refused", "said": "403"},
    ]
    found = reach.judge_stages("source", "s", stages, {}, from_pod=False)
    assert [(item.name, item.level) for item in found[2:]] == [
        ("s: proxy", FAIL),
        ("s: TLS, answer, clock", WARN),
    ]
