"""A custom resource to try the registry on, in memory and in the sandbox, and things that happen to it meanwhile."""

import itertools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, cast

from lightkube import Client
from lightkube.types import PatchType

from support.api_server import FakeApiServer
from support.login import granted
from weighbridge.kubernetes.client import CONFIG_MAP, WATSONX_IFM, Kind, Kube, Object
from weighbridge.watsonx.entry import Entry
from weighbridge.watsonx.reconciled import Pace
from weighbridge.watsonx.reconciling import ReconcilingRegistry
from weighbridge.watsonx.registry import KubeApi, Limits
from weighbridge_sandbox.kube import Watsonxaiifm

THEIRS: list[Any] = [
    {"model_id": "theirs", "location": {"pvc_name": "team-b-models"}, "tags": ["b", "a"], "x": {"n": 0.5}},
    {"model_id": "others", "location": {"pvc_name": "team-b-models"}},
]
SPEC: dict[str, Any] = {
    "license": {"accept": True},
    "scaleConfig": "small",
    "install_model_list": ["m"],
    "version": "11.0.0",
}
INTENTS = "weighbridge-stage-intents"
LIMITS = Limits(write=20, quiet=6, stuck=30, reconcile=120)


def entry(model_id: str, **more: Any) -> Entry:
    location: Any = {"pvc_name": "team-a-models", "sub_path": "summarizer"}
    return Entry.of({"model_id": model_id, "location": location, **more})


class Place(Protocol):
    """A custom resource that a test may set up, and that others write to."""

    namespace: str
    name: str

    @property
    def api(self) -> KubeApi: ...

    @property
    def cr(self) -> Object: ...

    def api_of(self, custom_resource: str) -> KubeApi:
        """The API as environment ``elsewhere`` has it, which is about this resource."""
        ...

    def edit(self, operations: list[Object]) -> None:
        """Somebody else's JSON patch."""
        ...

    def touch_status(self) -> None:
        """The operator says something."""
        ...


@dataclass
class InMemory:
    server: FakeApiServer
    namespace: str = "ns"
    name: str = "cr"
    said: int = 0

    @property
    def api(self) -> KubeApi:
        return self.server

    @property
    def cr(self) -> Object:
        return self.server.cr

    def api_of(self, custom_resource: str) -> KubeApi:
        del custom_resource
        return self.server

    def edit(self, operations: list[Object]) -> None:
        self.server.tick()
        self.server.edit(operations, manager="team-a")

    def touch_status(self) -> None:
        self.said += 1
        self.server.put_status("Completed", note=str(self.said), versions={"reconciled": "11.0.0"})


@dataclass
class Real:
    """In the sandbox: ``api`` may do what `weighbridge rbac` grants environment ``stage``."""

    api: Kube
    admin: Kube
    other: Client
    namespace: str
    name: str = "watsonxaiifm-cr"
    further: list[Kube] = field(default_factory=list)
    said: "itertools.count[int]" = field(default_factory=itertools.count)

    @property
    def cr(self) -> Object:
        found = self.admin.get(WATSONX_IFM, self.name, self.namespace)
        assert found is not None
        return found

    def api_of(self, custom_resource: str) -> KubeApi:
        self.further.append(granted("elsewhere", self.namespace, custom_resource=custom_resource))
        return self.further[-1]

    def close(self) -> None:
        for kube in (self.api, self.admin, *self.further):
            kube.close()

    def forget(self) -> None:
        """No write of ours was ever recorded."""
        self.admin.delete(CONFIG_MAP, INTENTS, self.namespace)

    def edit(self, operations: list[Object]) -> None:
        self.other.patch(
            Watsonxaiifm, self.name, operations, patch_type=PatchType.JSON, namespace=self.namespace
        )

    def touch_status(self) -> None:
        body = {"status": {"note": str(next(self.said))}}
        self.other.patch(
            Watsonxaiifm.Status, self.name, body, patch_type=PatchType.MERGE, namespace=self.namespace
        )


class QuickClock:
    """Real waiting, shortened in memory, where nothing happens meanwhile."""

    def __init__(self, place: Place) -> None:
        self.now = 0.0
        self.place = place
        self.cancelled = threading.Event()

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 0.001)
        if isinstance(self.place, Real):
            self.cancelled.wait(seconds)


def registry(place: Place, api: KubeApi | None = None, pace: Pace | None = None) -> ReconcilingRegistry:
    return ReconcilingRegistry(
        api or place.api,
        place.namespace,
        place.name,
        "stage",
        limits=LIMITS,
        pace=pace or Pace(),
        clock=QuickClock(place),
    )


@dataclass
class Meddled:
    """The API as ``place`` gives it, with something happening right before or instead of chosen calls."""

    inner: KubeApi
    before_patch: Callable[[], None] = lambda: None
    instead: dict[str, list[Exception | None]] = field(default_factory=dict)
    """Method name → what each call raises; None lets it through."""

    @property
    def where(self) -> str:
        return self.inner.where

    def _meddle(self, method: str) -> None:
        waiting = self.instead.get(method, [])
        if waiting and (error := waiting.pop(0)) is not None:
            raise error

    def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object | None:
        self._meddle("get")
        return self.inner.get(kind, name, namespace)

    def create(self, kind: Kind, body: Object) -> Object:
        self._meddle("create")
        return self.inner.create(kind, body)

    def merge(self, kind: Kind, name: str, namespace: str | None, patch: Object) -> Object:
        self._meddle("merge")
        return self.inner.merge(kind, name, namespace, patch)

    def json_patch(
        self, kind: Kind, name: str, namespace: str | None, operations: Sequence[Object]
    ) -> Object:
        self.before_patch()
        self._meddle("json_patch")
        return self.inner.json_patch(kind, name, namespace, operations)

    def delete(self, kind: Kind, name: str, namespace: str | None = None) -> bool:
        return self.inner.delete(kind, name, namespace)


def models(place: Place) -> list[Any]:
    return cast("list[Any]", place.cr["spec"]["custom_foundation_models"])


def intents(place: Place) -> dict[str, str] | None:
    found = place.api.get(CONFIG_MAP, INTENTS, place.namespace)
    return None if found is None else cast("dict[str, str]", found["data"])


def operator_answers(place: Place) -> None:
    """The real one does so by itself."""
    if isinstance(place, InMemory):
        place.server.tick()
        place.touch_status()


def memory() -> tuple[InMemory, ReconcilingRegistry]:
    """The custom resource in memory, its operator at rest, and our registry, which does not wait for long."""
    server = FakeApiServer()
    server.put_cr({**SPEC, "custom_foundation_models": THEIRS})
    server.put_status("Completed", completion="t0", versions={"reconciled": "11.0.0"})
    server.tick(10)
    place = InMemory(server)
    return place, replace(registry(place), limits=replace(LIMITS, reconcile=30))


def iter_once(action: Callable[[], None], times: int = 1) -> Callable[[], None]:
    """``action`` at the first calls only."""
    left = [times]

    def act() -> None:
        if left[0]:
            left[0] -= 1
            action()

    return act
