"""What the stack programs declare, seen by Pulumi's own mocks."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi.runtime
import pytest
from pulumi.runtime.mocks import MockCallArgs, MockResourceArgs, Mocks

from weighbridge.domain.stacks import ClusterIdentity, RegistrationInputs, StackSpec, StorageInputs
from weighbridge_stacks import registration, storage

CLUSTER = ClusterIdentity(uid="uid-1", namespace="cpd-instance", context="stage-admin")


def claim(name: str, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "cpd-instance", **metadata},
        "spec": {"resources": {"requests": {"storage": "1Gi"}}},
    }


@dataclass
class Declared(Mocks):
    """Everything that a program registered."""

    resources: dict[str, MockResourceArgs] = field(default_factory=dict)
    options: dict[str, pulumi.ResourceOptions] = field(default_factory=dict)

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        self.resources[args.name] = args
        return f"{args.name}-id", args.inputs

    def call(self, args: MockCallArgs) -> dict[Any, Any]:
        raise AssertionError(f"a program of ours calls nothing: {args.token}")

    def note(self, args: pulumi.ResourceTransformationArgs) -> None:
        self.options[args.name] = args.opts


def declared(program: Callable[[StackSpec], None], spec: StackSpec) -> Declared:
    seen = Declared()
    pulumi.runtime.set_mocks(seen)

    def main() -> None:
        pulumi.runtime.register_stack_transformation(lambda args: seen.note(args))
        program(spec)

    asyncio.run(pulumi.runtime.run_in_stack(main))
    return seen


def storage_of(*claims: dict[str, Any]) -> StackSpec:
    return StackSpec(environment="stage", cluster=CLUSTER, inputs=StorageInputs(claims=claims))


def test_each_claim_is_a_protected_resource_of_its_own_with_the_manifest_as_it_was_rendered() -> None:
    seen = declared(storage.declare, storage_of(claim("a", labels={"x": "y"}), claim("b")))
    for name in ("a", "b"):
        assert seen.resources[name].typ == "kubernetes:core/v1:PersistentVolumeClaim"
        assert seen.options[name].protect is True
        assert seen.options[name].retain_on_delete is None, "destroy --weights must be able to delete it"
    inputs = seen.resources["a"].inputs
    assert inputs["metadata"]["labels"] == {"x": "y"}
    assert inputs["spec"] == {"resources": {"requests": {"storage": "1Gi"}}}


def test_a_claim_is_not_awaited_and_keeps_one_field_manager() -> None:
    seen = declared(storage.declare, storage_of(claim("a", annotations={"team": "models"})))
    assert seen.resources["a"].inputs["metadata"]["annotations"] == {
        "pulumi.com/skipAwait": "true",
        "pulumi.com/patchFieldManager": "weighbridge",
        "pulumi.com/patchForce": "true",
        "team": "models",
    }


def test_nothing_of_this_machine_reaches_the_kubernetes_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/home/somebody/.kube/secret-place")
    seen = declared(storage.declare, storage_of(claim("a")))
    assert seen.resources["cluster"].inputs == {
        "clusterIdentifier": "uid-1",
        "namespace": "cpd-instance",
        "enableServerSideApply": "true",
    }
    everything = json.dumps([row.inputs for row in seen.resources.values()])
    assert "secret-place" not in everything
    assert "stage-admin" not in everything, "another machine may call the same context by another name"


def test_every_claim_goes_through_the_provider_of_the_cluster_that_is_meant() -> None:
    seen = declared(storage.declare, storage_of(claim("a")))
    assert "::cluster::" in (seen.resources["a"].provider or "")


def test_registrations_are_one_resource_that_names_the_cluster_by_uid_alone() -> None:
    entries = ({"model_id": "m1", "location": {"pvc_name": "a"}}, {"model_id": "m2", "location": {"pvc_name": "b"}})
    inputs = RegistrationInputs(custom_resource="watsonxaiifm-cr", entries=entries, adopt=("m1",))
    seen = declared(registration.declare, StackSpec(environment="stage", cluster=CLUSTER, inputs=inputs))
    resource = seen.resources["watsonxaiifm-cr"]
    assert resource.typ == "weighbridge:index:Registrations"
    assert resource.inputs == {
        "namespace": "cpd-instance",
        "customResource": "watsonxaiifm-cr",
        "environment": "stage",
        "clusterUid": "uid-1",
        "entries": [dict(entry) for entry in entries],
        "adopt": ["m1"],
    }


@pytest.mark.parametrize("program", [storage.declare, registration.declare], ids=["storage", "registration"])
def test_a_program_refuses_the_other_stacks_inputs(program: Callable[[StackSpec], None]) -> None:
    wrong = StorageInputs(claims=()) if program is registration.declare else RegistrationInputs(custom_resource="x", entries=())
    with pytest.raises(TypeError, match="is not the"):
        program(StackSpec(environment="stage", cluster=CLUSTER, inputs=wrong))
