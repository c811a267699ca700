"""The IFM operator's stand-in on the running sandbox, seen as any client of the API server sees it."""

import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest
from lightkube import ApiError, Client
from lightkube.types import PatchType

from weighbridge_sandbox.kube import Watsonxaiifm, connect
from weighbridge_sandbox.layout import Layout
from weighbridge_sandbox.operator.settings import Settings
from weighbridge_sandbox.supervision import Supervision
from weighbridge_sandbox.tenancy import CR_CREATOR, CR_NAME, FOREIGN_MODELS, create_operands, delete_operands

pytestmark = pytest.mark.sandbox

LIST = "/spec/custom_foundation_models"
GOOD = {"model_id": "ours", "location": {"pvc_name": "team-a-models", "sub_path": "summarizer"}}


@pytest.fixture(scope="module")
def client(sandbox: Layout) -> Iterator[Client]:
    with connect(sandbox.home, field_manager="tests") as client:
        yield client


@pytest.fixture(scope="module")
def namespace(client: Client) -> Iterator[str]:  # noqa: ARG001 - the sandbox is up once there is a client
    name = f"operator-{uuid.uuid4().hex[:8]}"
    create_operands(name)
    yield name
    delete_operands(name)


class Resource:
    """The CR of one namespace."""

    def __init__(self, client: Client, namespace: str) -> None:
        self.client, self.namespace = client, namespace

    def get(self) -> dict[str, Any]:
        return dict(self.client.get(Watsonxaiifm, CR_NAME, namespace=self.namespace))

    @property
    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.get()["status"]
        return found

    @property
    def state(self) -> str:
        return str(self.status["watsonxaiifmStatus"])

    @property
    def completion(self) -> str:
        found = [
            one["ansibleResult"]["completion"] for one in self.status["conditions"] if "ansibleResult" in one
        ]
        return str(max(found, default=""))

    def patch(self, *operations: dict[str, Any]) -> None:
        self.client.patch(
            Watsonxaiifm, CR_NAME, list(operations), namespace=self.namespace, patch_type=PatchType.JSON
        )

    def settle(self, trigger: Callable[[], None]) -> list[str]:
        """Do ``trigger`` and return the states in the order they are seen, until a run later than it has ended."""
        before = self.completion
        trigger()
        seen = [self.state]
        deadline = time.monotonic() + 30
        while not (self.completion > before and self.state in {"Completed", "Failed"}):
            assert time.monotonic() < deadline, f"not reconciled within 30 s: {seen}"
            if (state := self.state) != seen[-1]:
                seen.append(state)
            time.sleep(0.05)
        return seen if seen[-1] == self.state else [*seen, self.state]


@pytest.fixture
def resource(client: Client, namespace: str) -> Iterator[Resource]:
    """The CR, put back to the two foreign entries after each test."""
    yield (one := Resource(client, namespace))
    original = [dict(model) for model in FOREIGN_MODELS]
    if one.get()["spec"]["custom_foundation_models"] != original:
        one.settle(lambda: one.patch({"op": "replace", "path": LIST, "value": original}))
        assert one.state == "Completed"


def test_the_resource_belongs_to_somebody_else_and_is_in_use(resource: Resource) -> None:
    found = resource.get()
    assert [entry["model_id"] for entry in found["spec"]["custom_foundation_models"]] == [
        "team-a-summarizer",
        "team-b-translator",
    ]
    assert (resource.state, resource.status["progress"]) == ("Completed", "100%")
    writers = {(entry["manager"], entry.get("subresource")) for entry in found["metadata"]["managedFields"]}
    assert (CR_CREATOR, None) in writers
    assert ("ibm-cpd-watsonx-ai-ifm-operator", "status") in writers


@pytest.fixture
def settings(sandbox: Layout) -> Settings:
    """Of the stand-in that runs, which somebody may have started with others than the usual ones."""
    running = psutil.Process(Supervision(sandbox).states()["operator"].pid)
    return Settings.from_environment(running.environ())


def test_status_stays_stale_then_in_progress_then_completed(resource: Resource, settings: Settings) -> None:
    started = time.monotonic()
    stale_for: list[float] = []

    def register() -> None:
        resource.patch({"op": "add", "path": f"{LIST}/-", "value": GOOD})
        assert resource.state == "Completed", "the edit is in, and the status does not know of it"
        while resource.state == "Completed":
            assert time.monotonic() - started < 30
            stale_for.append(time.monotonic() - started)
            time.sleep(0.05)

    assert resource.settle(register) == ["InProgress", "Completed"]
    assert max(stale_for) > settings.pickup_seconds * 2 / 3
    assert resource.status["progress"] == "100%"
    assert resource.status["versions"]["reconciled"] == resource.get()["spec"]["version"]


def test_nothing_is_ever_kept_on_the_resource_but_status(resource: Resource) -> None:
    resource.settle(lambda: resource.patch({"op": "add", "path": f"{LIST}/-", "value": GOOD}))
    metadata = resource.get()["metadata"]
    assert "finalizers" not in metadata
    assert "annotations" not in metadata


@pytest.mark.parametrize(
    ("location", "missing"),
    [
        ({"pvc_name": "nowhere", "sub_path": "x"}, "PersistentVolumeClaim nowhere does not exist"),
        ({"pvc_name": "team-a-models", "sub_path": "other"}, "sub_path 'other' does not exist"),
        ({"pvc_name": "team-a-models"}, "config.json, tokenizer.json, *.safetensors missing"),
    ],
)
def test_a_registration_without_its_files_fails_by_name_and_is_not_tried_again(
    resource: Resource, location: dict[str, str], missing: str
) -> None:
    wrong = {"model_id": "ours", "location": location}
    states = resource.settle(lambda: resource.patch({"op": "add", "path": f"{LIST}/-", "value": wrong}))
    assert states == ["Completed", "InProgress", "Failed"]
    conditions = {one["type"]: one for one in resource.status["conditions"]}
    assert conditions["Failure"]["status"] == "True"
    assert conditions["Successful"]["status"] == "False"
    for said in (conditions["Failure"]["message"], resource.status["progressMessage"]):
        assert "'ours'" in said
        assert missing in said
        assert "team-b" not in said
    version = resource.get()["metadata"]["resourceVersion"]
    time.sleep(3)
    assert resource.get()["metadata"]["resourceVersion"] == version, "nothing retries until the spec changes"
    assert resource.settle(lambda: resource.patch({"op": "remove", "path": f"{LIST}/2"})) == [
        "Failed",
        "InProgress",
        "Completed",
    ]


def test_any_shape_is_stored_and_a_list_that_is_none_fails(resource: Resource) -> None:
    def nonsense() -> None:
        resource.patch({"op": "replace", "path": LIST, "value": {"not": "a list"}})
        resource.patch({"op": "add", "path": "/spec/custom_foundation_modles", "value": ["a typo"]})

    assert resource.settle(nonsense)[-1] == "Failed"
    assert "must be a list" in resource.status["progressMessage"]
    resource.patch({"op": "remove", "path": "/spec/custom_foundation_modles"})


def test_the_few_things_the_schema_does_check(resource: Resource) -> None:
    for key, value in [
        ("shutdown", True),
        ("version", 13),
        ("storageVendor", "odf"),
        ("scaleConfig", "huge"),
    ]:
        with pytest.raises(ApiError) as refused:
            resource.patch({"op": "add", "path": f"/spec/{key}", "value": value})
        assert refused.value.response.status_code == 422
        assert f"spec.{key}" in str(refused.value)


def test_labels_and_others_status_start_nothing(resource: Resource) -> None:
    completion = resource.completion
    resource.patch({"op": "add", "path": "/metadata/labels/touched", "value": "yes"})
    time.sleep(3)
    assert resource.completion == completion
    resource.patch({"op": "remove", "path": "/metadata/labels/touched"})


def test_an_edit_during_a_run_gets_a_run_of_its_own(resource: Resource) -> None:
    def twice() -> None:
        resource.patch({"op": "add", "path": f"{LIST}/-", "value": {**GOOD, "model_id": "first"}})
        deadline = time.monotonic() + 30
        while resource.state != "InProgress":
            assert time.monotonic() < deadline
            time.sleep(0.02)
        resource.patch(
            {
                "op": "add",
                "path": f"{LIST}/-",
                "value": {"model_id": "second", "location": {"pvc_name": "no"}},
            }
        )

    assert resource.settle(twice) == ["InProgress", "Completed"]
    deadline = time.monotonic() + 30
    while resource.state != "Failed":
        assert time.monotonic() < deadline, "the second edit was lost"
        time.sleep(0.05)
    assert "'second'" in resource.status["progressMessage"]


def test_two_resources_are_reconciled_one_after_the_other(client: Client, resource: Resource) -> None:
    other = f"operator-{uuid.uuid4().hex[:8]}"
    create_operands(other)
    try:
        both = {resource.namespace: resource, other: Resource(client, other)}
        before = {name: one.completion for name, one in both.items()}
        for one in both.values():
            one.patch({"op": "add", "path": f"{LIST}/-", "value": GOOD})
        worked: set[str] = set()
        deadline = time.monotonic() + 30
        while any(one.completion <= before[name] for name, one in both.items()):
            assert time.monotonic() < deadline
            now = {  # one list is one moment
                one["metadata"]["namespace"]
                for one in client.list(Watsonxaiifm, namespace="*")
                if one.get("status", {}).get("watsonxaiifmStatus") == "InProgress"
            }
            assert len(now) <= 1
            worked |= now
        assert worked >= set(both)
    finally:
        delete_operands(other)
