"""What the stack programs declare, seen by Pulumi's own mocks."""

import json
from typing import Any

import pytest

from support.stack_mocks import Declared
from support.stack_mocks import declared as seen_of
from weighbridge.domain.stacks import ClusterIdentity, Manifest, Stack, StackSpec
from weighbridge.engines.pulumi.stacks import program_of
from weighbridge.errors import DefectError
from weighbridge.steps.registration.stack import REGISTRATION
from weighbridge.steps.storage.stack import STORAGE

CLUSTER = ClusterIdentity(uid="uid-1", namespace="cpd-instance", context="stage-admin")


def claim(name: str, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "cpd-instance", **metadata},
        "spec": {"resources": {"requests": {"storage": "1Gi"}}},
    }


def declared(spec: StackSpec) -> Declared:
    return seen_of(lambda: program_of(spec.stack)(spec))


def storage_of(*claims: dict[str, Any]) -> StackSpec:
    return StackSpec(environment="stage", cluster=CLUSTER, stack=STORAGE, manifests=claims)


def test_each_claim_is_a_protected_resource_of_its_own_with_the_manifest_as_it_was_rendered() -> None:
    seen = declared(storage_of(claim("a", labels={"x": "y"}), claim("b")))
    for name in ("a", "b"):
        assert seen.requests[name].type == "kubernetes:core/v1:PersistentVolumeClaim"
        assert seen.requests[name].protect is True
        assert not seen.requests[name].retainOnDelete, "destroy --weights must be able to delete it"
    inputs = seen.inputs("a")
    assert inputs["metadata"]["labels"] == {"x": "y"}
    assert inputs["spec"] == {"resources": {"requests": {"storage": "1Gi"}}}


def test_a_claim_is_not_awaited_and_keeps_one_field_manager() -> None:
    seen = declared(storage_of(claim("a", annotations={"team": "models"})))
    assert seen.inputs("a")["metadata"]["annotations"] == {
        "pulumi.com/skipAwait": "true",
        "pulumi.com/patchFieldManager": "weighbridge",
        "pulumi.com/patchForce": "true",
        "team": "models",
    }


def test_nothing_of_this_machine_reaches_the_kubernetes_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/home/somebody/.kube/secret-place")
    seen = declared(storage_of(claim("a")))
    assert seen.inputs("cluster") == {
        "clusterIdentifier": "uid-1",
        "namespace": "cpd-instance",
        "enableServerSideApply": "true",
    }
    everything = json.dumps([seen.inputs(name) for name in seen.requests])
    assert "secret-place" not in everything
    assert "stage-admin" not in everything, "another machine may call the same context by another name"


def test_every_claim_goes_through_the_provider_of_the_cluster_that_is_meant() -> None:
    seen = declared(storage_of(claim("a")))
    assert "::cluster::" in seen.requests["a"].provider


def test_registrations_are_one_resource_that_names_the_cluster_by_uid_alone() -> None:
    entries: tuple[Manifest, ...] = (
        {"model_id": "m1", "location": {"pvc_name": "a"}},
        {"model_id": "m2", "location": {"pvc_name": "b"}},
    )
    settings: Manifest = {"custom_resource": "watsonxaiifm-cr", "adopt": ["m1"]}
    seen = declared(
        StackSpec(
            environment="stage", cluster=CLUSTER, stack=REGISTRATION, manifests=entries, settings=settings
        )
    )
    assert seen.requests["watsonxaiifm-cr"].type == "weighbridge:index:Registrations"
    assert seen.inputs("watsonxaiifm-cr") == {
        "namespace": "cpd-instance",
        "customResource": "watsonxaiifm-cr",
        "environment": "stage",
        "clusterUid": "uid-1",
        "entries": [dict(entry) for entry in entries],
        "adopt": ["m1"],
    }
    assert not seen.requests["watsonxaiifm-cr"].HasField("protect"), "a plain destroy takes entries out"


@pytest.mark.parametrize("named", ["nowhere:declare", "weighbridge_stacks.storage:nothing", "storage", ""])
def test_a_stack_without_a_program_is_our_defect(named: str) -> None:
    with pytest.raises(DefectError, match="stack `made-up` has no program"):
        program_of(Stack(name="made-up", plugin="kubernetes", declare=named))
