"""What the stack programs declare, seen by Pulumi's own mocks."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from support.stack_mocks import Declared, declared
from weighbridge.domain.stacks import ClusterIdentity, Manifest, RegistrationInputs, StackSpec, StorageInputs
from weighbridge_stacks import registration, storage

CLUSTER = ClusterIdentity(uid="uid-1", namespace="cpd-instance", context="stage-admin")


def claim(name: str, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "cpd-instance", **metadata},
        "spec": {"resources": {"requests": {"storage": "1Gi"}}},
    }


def seen_of(program: Callable[[StackSpec], None], spec: StackSpec) -> Declared:
    return declared(lambda: program(spec))


def storage_of(*claims: dict[str, Any]) -> StackSpec:
    return StackSpec(environment="stage", cluster=CLUSTER, inputs=StorageInputs(claims=claims))


def test_each_claim_is_a_protected_resource_of_its_own_with_the_manifest_as_it_was_rendered() -> None:
    seen = seen_of(storage.declare, storage_of(claim("a", labels={"x": "y"}), claim("b")))
    for name in ("a", "b"):
        assert seen.requests[name].type == "kubernetes:core/v1:PersistentVolumeClaim"
        assert seen.requests[name].protect is True
        assert not seen.requests[name].retainOnDelete, "destroy --weights must be able to delete it"
    inputs = seen.inputs("a")
    assert inputs["metadata"]["labels"] == {"x": "y"}
    assert inputs["spec"] == {"resources": {"requests": {"storage": "1Gi"}}}


def test_a_claim_is_not_awaited_and_keeps_one_field_manager() -> None:
    seen = seen_of(storage.declare, storage_of(claim("a", annotations={"team": "models"})))
    assert seen.inputs("a")["metadata"]["annotations"] == {
        "pulumi.com/skipAwait": "true",
        "pulumi.com/patchFieldManager": "weighbridge",
        "pulumi.com/patchForce": "true",
        "team": "models",
    }


def test_nothing_of_this_machine_reaches_the_kubernetes_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/home/somebody/.kube/secret-place")
    seen = seen_of(storage.declare, storage_of(claim("a")))
    assert seen.inputs("cluster") == {
        "clusterIdentifier": "uid-1",
        "namespace": "cpd-instance",
        "enableServerSideApply": "true",
    }
    everything = json.dumps([seen.inputs(name) for name in seen.requests])
    assert "secret-place" not in everything
    assert "stage-admin" not in everything, "another machine may call the same context by another name"


def test_every_claim_goes_through_the_provider_of_the_cluster_that_is_meant() -> None:
    seen = seen_of(storage.declare, storage_of(claim("a")))
    assert "::cluster::" in seen.requests["a"].provider


def test_registrations_are_one_resource_that_names_the_cluster_by_uid_alone() -> None:
    entries: tuple[Manifest, ...] = (
        {"model_id": "m1", "location": {"pvc_name": "a"}},
        {"model_id": "m2", "location": {"pvc_name": "b"}},
    )
    inputs = RegistrationInputs(custom_resource="watsonxaiifm-cr", entries=entries, adopt=("m1",))
    seen = seen_of(registration.declare, StackSpec(environment="stage", cluster=CLUSTER, inputs=inputs))
    assert seen.requests["watsonxaiifm-cr"].type == "weighbridge:index:Registrations"
    assert seen.inputs("watsonxaiifm-cr") == {
        "namespace": "cpd-instance",
        "customResource": "watsonxaiifm-cr",
        "environment": "stage",
        "clusterUid": "uid-1",
        "entries": [dict(entry) for entry in entries],
        "adopt": ["m1"],
    }


@pytest.mark.parametrize("program", [storage.declare, registration.declare], ids=["storage", "registration"])
def test_a_program_refuses_the_other_stacks_inputs(program: Callable[[StackSpec], None]) -> None:
    wrong = (
        StorageInputs(claims=())
        if program is registration.declare
        else RegistrationInputs(custom_resource="x", entries=())
    )
    with pytest.raises(TypeError, match="is not the"):
        program(StackSpec(environment="stage", cluster=CLUSTER, inputs=wrong))
