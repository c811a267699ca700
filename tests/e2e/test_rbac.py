"""Least privilege on a real API server: the login that `weighbridge rbac` makes can do its work, and nothing beside it.

That the main job works under it is shown by every test of an estate; here is what it may not do, and what a command says that
lacks one rule. Tests run in order on one estate.
"""

import copy
import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from lightkube import Client

from support.estate import Estate
from support.least_privilege import Document, soon, user
from weighbridge.domain.access import Access
from weighbridge.domain.naming import job_name
from weighbridge_sandbox.grants import allowed
from weighbridge_sandbox.kube import connect as administrator

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def admin(sandbox: object) -> Iterator[Client]:
    assert sandbox
    with administrator(field_manager="tests") as client:
        yield client


# -- what it may not do ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "resource", "name"),
    [
        ("list", "secrets", None),
        ("get", "secrets", "another"),
        ("create", "secrets", None),
        ("create", "pods", None),
        ("create", "pods", "another"),
        ("create", "pods/exec", "another"),
        ("create", "pods/portforward", "another"),
        ("create", "jobs.batch", None),
        ("delete", "persistentvolumeclaims", "team-a-models"),
        ("create", "persistentvolumeclaims", None),
        ("list", "configmaps", None),
        ("get", "configmaps", "another"),
        ("create", "serviceaccounts/token", "default"),
        ("create", "rolebindings.rbac.authorization.k8s.io", None),
        ("create", "watsonxaiifm.watsonxaiifm.cpd.ibm.com", None),
        ("delete", "watsonxaiifm.watsonxaiifm.cpd.ibm.com", "watsonxaiifm-cr"),
        ("update", "watsonxaiifm.watsonxaiifm.cpd.ibm.com", "watsonxaiifm-cr"),
    ],
)
def test_it_may_do_nothing_beside_its_work(
    estate: Estate, admin: Client, verb: str, resource: str, name: str | None
) -> None:
    estate.granted()
    path, _, group = resource.partition(".")
    kind, _, subresource = path.partition("/")
    asked = Access(
        verb=verb,
        group=group,
        resource=kind,
        subresource=subresource or None,
        name=name,
        namespace=estate.name,
    )
    assert not allowed(admin, user(estate), asked)


# -- what its pods, claims and Secrets may be ------------------------------------------------------------------------


def dry_run(estate: Estate, *documents: Document) -> tuple[int, str]:
    """What the API server would answer our login."""
    context = estate.context(estate.name)
    done = subprocess.run(
        [
            "kubectl",
            f"--context={context}",
            "apply",
            "--server-side",
            "--dry-run=server",
            "--field-manager=weighbridge",
            "--force-conflicts",
            "--filename=-",
        ],
        input="---\n".join(json.dumps(document) + "\n" for document in documents),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def work(estate: Estate, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Document]:
    """The fetching Job and the rsync pod as they are rendered; the policy is in force once it refuses a stranger."""
    out = tmp_path_factory.mktemp("rendered")
    ran = estate.run("render", "--out", str(out))
    assert ran.code == 0, ran.said

    def one(model_id: str, file: str, kind: str) -> Document:
        documents = yaml.safe_load_all((out / "weights" / model_id / file).read_text())
        return next(document for document in documents if document["kind"] == kind)

    found = {"job": one("llama-fetch", "fetch.yaml", "Job"), "pod": one("llama-push", "push.yaml", "Pod")}
    soon(lambda: dry_run(estate, changed(found["job"], image="stranger"))[0] != 0, "the policy in force")
    return found


def spec_of(document: Document) -> Document:
    found: Document = document["spec"]["template"]["spec"] if document["kind"] == "Job" else document["spec"]
    return found


def changed(document: Document, **changes: Any) -> Document:
    """A copy; ``image`` is the container's, ``volume`` one more volume, others are keys of the pod's spec or its container."""
    made = copy.deepcopy(document)
    spec = spec_of(made)
    (container,) = spec["containers"]
    for key, value in changes.items():
        if key == "volume":
            spec["volumes"].append({"name": "more", **value})
        elif key in {"image", "env", "envFrom", "securityContext", "lifecycle", "livenessProbe"}:
            container[key] = value
        else:
            spec[key] = value
    return made


STRANGERS: dict[str, tuple[Document, str]] = {
    "image": ({"image": "weighbridge.local/pause:sandbox"}, "weighbridge.local/pause:sandbox is not this environment's"),
    "claim": ({"volume": {"persistentVolumeClaim": {"claimName": "team-a-models"}}}, "a claim is not this environment's"),
    "secret": ({"volume": {"secret": {"secretName": "another"}}}, "a Secret is not this environment's"),
    "secret by environment": (
        {"env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "another", "key": "x"}}}]},
        "must not be taken from Secrets",
    ),
    "secrets by environment": ({"envFrom": [{"secretRef": {"name": "another"}}]}, "must not be taken from Secrets"),
    "config map": ({"volume": {"configMap": {"name": "another"}}}, "none of this environment's orders"),
    "service account": ({"serviceAccountName": "operator"}, "service account operator is not this environment's"),
    "token": ({"automountServiceAccountToken": True}, "must not carry a service account's token"),
    "projected token": (
        {"volume": {"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}},
        "and nothing else (no hostPath)",
    ),
    "host path": ({"volume": {"hostPath": {"path": "/"}}}, "no hostPath"),
    "privileged": ({"securityContext": {"privileged": True}}, "must not be privileged"),
    "host network": ({"hostNetwork": True}, "must not share the node's network"),
    "node": ({"nodeName": "node"}, "must not choose its node"),
    "scheduler": ({"schedulerName": "another"}, "the default scheduler"),
    "priority": ({"priorityClassName": "system-cluster-critical"}, "must not rank before"),
    "name": ({"hostname": "db", "subdomain": "team-a"}, "must not choose names"),
    "resolution": ({"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["s3"]}]}, "must not choose names"),
    "shared processes": ({"shareProcessNamespace": True}, "must not share their processes"),
    "affinity": ({"affinity": {"nodeAffinity": {}}}, "must not be drawn"),
    "root": ({"securityContext": {"allowPrivilegeEscalation": False, "runAsUser": 0}}, "must not gain"),
    "capability": (
        {"securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"add": ["NET_ADMIN"]}}},
        "must not gain capabilities",
    ),
    "hook": (
        {"lifecycle": {"preStop": {"httpGet": {"host": "10.0.0.1", "port": 80}}}},
        "the kubelet must not be made to dial others",
    ),
    "probe": (
        {"livenessProbe": {"tcpSocket": {"host": "10.0.0.1", "port": 6443}}},
        "the kubelet must not be made to dial others",
    ),
    "csi volume": ({"volume": {"csi": {"driver": "secrets-store.csi.k8s.io"}}}, "and nothing else"),
    "ephemeral volume": (
        {"volume": {"ephemeral": {"volumeClaimTemplate": {"spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}}}}},
        "and nothing else",
    ),
    "init container": (
        {"initContainers": [{"name": "i", "image": "weighbridge.local/pause:sandbox"}]},
        "weighbridge.local/pause:sandbox is not this environment's",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["job", "pod"])
def test_the_policy_lets_our_own_work_pass(estate: Estate, work: dict[str, Document], kind: str) -> None:
    code, said = dry_run(estate, work[kind])
    assert code == 0, said


@pytest.mark.parametrize("stranger", STRANGERS)
def test_the_policy_refuses_what_is_not_our_work(
    estate: Estate, work: dict[str, Document], stranger: str
) -> None:
    """For Jobs; and for bare pods, where admission of service accounts does not speak first."""
    changes, words = STRANGERS[stranger]
    for kind in ("job",) if stranger in {"service account", "token"} else ("job", "pod"):
        code, said = dry_run(estate, changed(work[kind], **changes))
        assert code != 0, kind
        if "PodSecurity" not in said:  # it looks at bare pods first, and has the same opinion
            assert words in said, kind


def test_a_claim_of_ours_must_carry_our_label(estate: Estate) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": f"{estate.name}-llama-fetch-weights", "namespace": estate.name},
        "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Mi"}}},
    }
    code, said = dry_run(estate, claim)
    assert code != 0
    assert f"a claim must carry the label weighbridge.dev/environment={estate.name}" in said
    claim["metadata"]["labels"] = {"weighbridge.dev/environment": estate.name}  # type: ignore[index]
    code, said = dry_run(estate, claim)
    assert code == 0, said


BORROWED: dict[str, tuple[Document, str]] = {
    "a claim": ({"dataSource": {"kind": "PersistentVolumeClaim", "name": "team-a-models"}}, "must not be made from another claim"),
    "a claim, by reference": (
        {"dataSourceRef": {"kind": "PersistentVolumeClaim", "name": "team-a-models"}}, "must not be made from another claim",
    ),
    "a snapshot": (
        {"dataSource": {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "s"}},
        "must not be made from another claim",
    ),
    "a volume": ({"volumeName": "pv-of-team-a"}, "must not choose its volume"),
    "a volume by label": ({"selector": {"matchLabels": {"team": "a"}}}, "must not choose among volumes"),
    "any volume": ({"storageClassName": ""}, "must not choose among volumes"),
    "another class": ({"storageClassName": "team-a-fast"}, "a storage class is not this environment's"),
}  # fmt: skip


@pytest.mark.parametrize("borrowed", BORROWED)
def test_a_claim_of_ours_borrows_nothing(estate: Estate, borrowed: str) -> None:
    changes, words = BORROWED[borrowed]
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": f"{estate.name}-llama-fetch-weights",
            "namespace": estate.name,
            "labels": {"weighbridge.dev/environment": estate.name},
        },
        "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Mi"}}, **changes},
    }
    code, said = dry_run(estate, claim)
    assert code != 0
    assert words in said


@pytest.mark.parametrize("kind", ["job", "pod"])
@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"finalizers": ["example.com/never"]}, "finalizers must not be added"),
        (
            {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "theirs", "uid": "1"}]},
            "nothing but a Job or a pod may be an owner",
        ),
    ],
    ids=["finalizer", "owner"],
)
def test_no_object_of_ours_binds_the_life_of_others(
    estate: Estate, work: dict[str, Document], kind: str, metadata: Document, words: str
) -> None:
    made = copy.deepcopy(work[kind])
    made["metadata"] |= metadata
    code, said = dry_run(estate, made)
    assert code != 0
    assert words in said


def test_a_secret_cannot_be_made_to_fetch_another_accounts_token(estate: Estate) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": job_name(estate.name, "llama-fetch", "credentials"),
            "namespace": estate.name,
            "annotations": {"kubernetes.io/service-account.name": "default"},
        },
        "type": "kubernetes.io/service-account-token",
    }
    code, said = dry_run(estate, secret)
    assert code != 0
    assert "a Secret must be of type Opaque" in said
