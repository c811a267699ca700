"""What `weighbridge rbac` writes: golden files, and that Roles and policy speak of the same names as the pods do. Renew the
golden files with WEIGHBRIDGE_RENEW_GOLDEN=1 and read the difference."""

import os
import re
import shutil
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from weighbridge.domain.access import Role
from weighbridge.domain.naming import job_name
from weighbridge.domain.weights import SourceListing
from weighbridge.environment.types import Environment
from weighbridge.grants import Subject, render_grants, write_grants
from weighbridge.manifests.surroundings import Surroundings
from weighbridge.steps.weights.bundle import render_weights

GOLDEN = Path(__file__).parents[2] / "golden" / "rbac"


def test_written_files_are_the_golden_ones(tmp_path: Path, environment: Environment) -> None:
    files = write_grants(tmp_path, render_grants(environment))
    found = {path.name: path.read_text() for path in files}
    if os.environ.get("WEIGHBRIDGE_RENEW_GOLDEN"):
        shutil.rmtree(GOLDEN, ignore_errors=True)
        GOLDEN.mkdir()
        for name, text in found.items():
            (GOLDEN / name).write_text(text)
    assert found == {path.name: path.read_text() for path in GOLDEN.iterdir()}


def of_kind(environment: Environment, kind: str, subject: Subject | None = None) -> list[dict[str, Any]]:
    documents = render_grants(environment, subject).documents
    return [cast("dict[str, Any]", item) for item in documents if item["kind"] == kind]


def variables(environment: Environment) -> dict[str, list[str]]:
    """The policy's lists of names."""
    (policy,) = of_kind(environment, "ValidatingAdmissionPolicy")
    rows = {row["name"]: row["expression"] for row in policy["spec"]["variables"]}
    return {name: yaml.safe_load(rows[name]) for name in ("images", "claims", "secrets", "configMaps")}


def test_the_policy_allows_exactly_what_our_pods_name(
    environment: Environment, listing: SourceListing, around: Surroundings
) -> None:
    """Every pod and Job that is rendered passes it, and no name is allowed that none of them uses."""
    allowed = variables(environment)
    used: dict[str, set[str]] = {name: set() for name in allowed}
    for model in environment.models:
        for name, documents in render_weights(environment, model, listing, around).files.items():
            if name in {"push.yaml", "publish.yaml"} and "push" not in [
                route.value for route in model.routes
            ]:
                continue  # rendered for every model, used by those that are pushed
            for document in cast("list[dict[str, Any]]", [*documents]):
                if document["kind"] not in {"Pod", "Job"}:
                    continue
                spec = document["spec"]["template"]["spec"] if document["kind"] == "Job" else document["spec"]
                assert spec["serviceAccountName"] == "weighbridge"
                assert spec["automountServiceAccountToken"] is False
                used["images"] |= {row["image"] for row in spec["containers"]}
                for volume in spec["volumes"]:
                    if "persistentVolumeClaim" in volume:
                        used["claims"].add(volume["persistentVolumeClaim"]["claimName"])
                    if "secret" in volume:
                        used["secrets"].add(volume["secret"]["secretName"])
                    if "configMap" in volume:
                        used["configMaps"].add(volume["configMap"]["name"])
    spare = {
        job_name("stage", "plain", "publish")
    }  # the order of a model that is not pushed: harmless, and simpler to say
    assert {name: set(names) - spare for name, names in allowed.items()} == used


def test_every_role_is_bound_to_the_one_subject(environment: Environment) -> None:
    stranger = Subject(account=("tools", "pipeline"))
    for subject, expected in (
        (None, {"kind": "ServiceAccount", "name": "weighbridge-stage", "namespace": "cpd-instance"}),
        (stranger, {"kind": "ServiceAccount", "name": "pipeline", "namespace": "tools"}),
        (
            Subject(group="model-team"),
            {"kind": "Group", "name": "model-team", "apiGroup": "rbac.authorization.k8s.io"},
        ),
    ):
        bindings = of_kind(environment, "RoleBinding", subject)
        assert [item["roleRef"]["name"] for item in bindings] == [
            f"weighbridge-stage-{role.value}" for role in Role
        ]
        wide = of_kind(environment, "ClusterRoleBinding", subject)
        assert [item["subjects"] for item in (*bindings, *wide)] == [[expected]] * 4
        assert bool(of_kind(environment, "ServiceAccount", subject)) == (subject is None)


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        (None, 'request.userInfo.username == "system:serviceaccount:cpd-instance:weighbridge-stage"'),
        (Subject(group='odd "group"'), r'"odd \"group\"" in request.userInfo.groups'),
    ],
)
def test_the_policy_is_for_that_subject_alone(
    environment: Environment, subject: Subject | None, expected: str
) -> None:
    (policy,) = of_kind(environment, "ValidatingAdmissionPolicy", subject)
    assert [row["expression"] for row in policy["spec"]["matchConditions"]] == [expected]


def test_names_of_two_environments_never_meet(environment: Environment) -> None:
    """`a-b` in namespace `c` and `b` in namespace `c-a` would, were they joined by a dash."""
    cluster = environment.cluster
    one = environment.model_copy(
        update={"name": "b", "cluster": cluster.model_copy(update={"namespace": "c-a"})}
    )
    two = environment.model_copy(
        update={"name": "a-b", "cluster": cluster.model_copy(update={"namespace": "c"})}
    )
    for kind in ("ClusterRole", "ValidatingAdmissionPolicy"):
        assert of_kind(one, kind)[0]["metadata"]["name"] != of_kind(two, kind)[0]["metadata"]["name"]


def test_an_image_without_a_digest_is_warned_of(environment: Environment) -> None:
    assert render_grants(environment).warnings == ()
    pods = environment.pods.model_copy(update={"image": "registry.example.com/python:3.11"})
    (warning,) = render_grants(environment.model_copy(update={"pods": pods})).warnings
    assert "registry.example.com/python:3.11 is not pinned by a digest" in warning


FORBIDDEN = {
    "persistentvolumeclaims": (
        "dataSource", "dataSourceRef", "volumeName", "selector", "volumeAttributesClassName", "storageClassName",
    ),
    "jobs": ("managedBy", "imagePullSecrets", "template.metadata.finalizers"),
    "work": (
        "nodeName", "schedulerName", "priorityClassName", "runtimeClassName", "resourceClaims", "hostAliases", "hostname",
        "subdomain", "dnsConfig", "dnsPolicy", "shareProcessNamespace", "affinity", "topologySpreadConstraints", "sysctls",
        "ports", "volumeDevices", "capabilities.add", "procMount", "runAsUser", "runAsNonRoot", "hostNetwork", "hostPID",
        "hostIPC", "privileged", "envFrom", "valueFrom",
    ),
    "DELETE": ("finalizers", "owners"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("what", "field"), [(what, field) for what, row in FORBIDDEN.items() for field in row]
)
def test_what_belongs_to_others_cannot_be_borrowed(environment: Environment, what: str, field: str) -> None:
    """What the expressions come to, the tests on the sandbox ask the API server (tests/e2e/test_rbac.py)."""
    (policy,) = of_kind(environment, "ValidatingAdmissionPolicy")
    about = [row for row in policy["spec"]["validations"] if what in row["expression"]]
    speaking = [row for row in about if re.search(rf"[.]{re.escape(field)}\b", row["expression"])]
    assert speaking, field
    assert all(row.get("message") or row.get("messageExpression") for row in speaking)


def test_expressions_are_whole(environment: Environment) -> None:
    (policy,) = of_kind(environment, "ValidatingAdmissionPolicy")
    rows = [row["expression"] for part in ("variables", "validations") for row in policy["spec"][part]]
    rows += [row["messageExpression"] for row in policy["spec"]["validations"] if "messageExpression" in row]
    names = {row["name"] for row in policy["spec"]["variables"]}
    for text in rows:
        bare = re.sub(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", "''", text)
        for opening, closing in ("()", "[]", "{}"):
            assert bare.count(opening) == bare.count(closing), text
        assert "'" not in bare.replace("''", ""), text
        assert set(re.findall(r"variables\.(\w+)", bare)) <= names, text


def test_our_own_objects_use_nothing_that_is_forbidden(
    environment: Environment, listing: SourceListing, around: Surroundings
) -> None:
    for model in environment.models:
        for documents in render_weights(environment, model, listing, around).files.values():
            for document in cast("list[dict[str, Any]]", [*documents]):
                assert not {"finalizers", "ownerReferences"} & document["metadata"].keys()
                if document["kind"] not in {"Pod", "Job"}:
                    continue
                job = document["kind"] == "Job"
                spec = document["spec"]["template"]["spec"] if job else document["spec"]
                assert not {*FORBIDDEN["work"]} & spec.keys()
                assert spec["securityContext"]["runAsNonRoot"] is True
                for container in spec["containers"]:
                    assert not {"ports", "volumeDevices", "envFrom"} & container.keys()
                    assert not {"runAsUser", "procMount"} & container["securityContext"].keys()
                    assert "add" not in container["securityContext"]["capabilities"]


def test_pull_secrets_and_storage_classes_are_those_of_the_file(environment: Environment) -> None:
    (policy,) = of_kind(environment, "ValidatingAdmissionPolicy")
    rows = {row["name"]: row["expression"] for row in policy["spec"]["variables"]}
    expected = [environment.pods.pull_secret] if environment.pods.pull_secret else []
    assert yaml.safe_load(rows["pullSecrets"]) == expected
    classes = {model.storage.storage_class for model in environment.models if not model.storage.existing_pvc}
    assert set(yaml.safe_load(rows["classes"])) == classes
