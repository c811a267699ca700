"""A healthy world for the doctor, whose parts tests make ill."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

from support.world import listing
from weighbridge.core.port import Port
from weighbridge.domain.access import Access
from weighbridge.domain.model.flaws import Flaw
from weighbridge.domain.weights import SourceListing
from weighbridge.environment.types import Environment, Model
from weighbridge.errors import WeighbridgeError
from weighbridge.manifests.surroundings import Surroundings
from weighbridge.probing.probes import (
    Document,
    Object,
    Operator,
    PodReport,
    RecordedState,
    Rehearsal,
    Server,
    Stage,
    Tool,
)
from weighbridge.watsonx.custom_resource import LiveCustomResource, parse_custom_resource

T = TypeVar("T")

UID = "uid-of-kube-system"
WAY: tuple[Stage, ...] = (
    {"stage": "dns", "ok": True, "said": "resolves", "addresses": ["192.0.2.7"]},
    {"stage": "tcp", "ok": True, "said": "answers"},
    {"stage": "tls", "ok": True, "said": "trusted"},
    {"stage": "http", "ok": True, "said": "HTTP 403", "skew": 0.3},
)


def custom_resource(**changes: Any) -> dict[str, Any]:
    """As a healthy operator leaves it; ``spec``, ``status`` and ``metadata`` are merged."""
    raw: dict[str, Any] = {
        "metadata": {"namespace": "cpd-instance", "name": "watsonxaiifm-cr", "uid": "u", "resourceVersion": "1", "generation": 2},
        "spec": {"version": "11.0.0", "custom_foundation_models": [{"model_id": "theirs"}]},
        "status": {
            "watsonxaiifmStatus": "Completed",
            "progress": "100%",
            "progressMessage": "The Current Operation Is Completed",
            "versions": {"reconciled": "11.0.0"},
            "conditions": [
                {"type": "Successful", "status": "True", "reason": "Successful"},
                {"type": "Failure", "status": "False"},
            ],
        },
    }  # fmt: skip
    return {key: {**value, **changes.get(key, {})} for key, value in raw.items()}


@dataclass
class FakeProbes:
    """Implements ``probing.probes.Probes``. ``broken``: the name of a probe → what it raises."""

    broken: dict[str, WeighbridgeError] = field(default_factory=dict)
    denied: Callable[[Access], bool] = lambda _: False
    asked: list[str] = field(default_factory=list)
    """Names of the probes that were used."""
    live: LiveCustomResource | None = field(default_factory=lambda: parse_custom_resource(custom_resource()))
    claims: dict[str, dict[str, Any]] = field(default_factory=dict)
    quota: list[dict[str, Any]] = field(default_factory=list)
    ranges: list[dict[str, Any]] = field(default_factory=list)
    policies: list[dict[str, Any]] = field(default_factory=list)
    way: tuple[Stage, ...] = WAY
    pods: dict[str, PodReport] = field(default_factory=dict)
    mounted: list[tuple[str, bool]] = field(default_factory=list)
    flaws: tuple[Flaw, ...] = ()
    """Of every model that is listed."""
    hang: Callable[[], None] = lambda: None
    """What ``served_versions`` does first."""

    def _use(self, name: str) -> None:
        self.asked.append(name)
        if name in self.broken:
            raise self.broken[name]

    @property
    def where(self) -> str:
        self._use("where")
        return "a test cluster"

    def tools(self) -> Sequence[Tool]:
        self._use("tools")
        return [Tool(name="pulumi", version="3.255.0")]

    def server(self) -> Server:
        self._use("server")
        return Server(where="a test cluster", version="v1.34.4", user="someone", skew_seconds=0.4)

    def uid(self) -> str:
        self._use("uid")
        return UID

    def allowed(self, asked: Iterable[Access]) -> Mapping[Access, bool]:
        self._use("allowed")
        return {access: not self.denied(access) for access in asked}

    def namespace(self) -> Object | None:
        self._use("namespace")
        return {
            "metadata": {
                "name": "cpd-instance",
                "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
            }
        }

    def served_versions(self) -> tuple[str, ...]:
        self._use("served_versions")
        self.hang()
        return ("v1beta1",)

    def custom_resource(self) -> LiveCustomResource | None:
        self._use("custom_resource")
        return self.live

    def operators(self) -> Sequence[Operator] | None:
        self._use("operators")
        return [
            Operator(namespace="cpd-operators", name="ibm-cpd-watsonx-ai-ifm-operator", ready=1, wanted=1)
        ]

    def storage_class(self, name: str) -> Object | None:
        self._use("storage_class")
        if name != "fast":
            return None
        return {"provisioner": "openshift-storage.cephfs.csi.ceph.com", "allowVolumeExpansion": True}

    def csi_driver(self, name: str) -> Object | None:
        self._use("csi_driver")
        return {"metadata": {"name": name}, "spec": {"fsGroupPolicy": "File"}}

    def claim(self, name: str) -> Object | None:
        self._use("claim")
        return self.claims.get(name)

    def quotas(self) -> Sequence[Object]:
        self._use("quotas")
        return self.quota

    def limit_ranges(self) -> Sequence[Object]:
        self._use("limit_ranges")
        return self.ranges

    def network_policies(self) -> Sequence[Object]:
        self._use("network_policies")
        return self.policies

    def rehearse(self, documents: Sequence[Document]) -> Sequence[Rehearsal]:
        self._use("rehearse")
        return [Rehearsal(kind=str(item.body["kind"]), name="x") for item in documents if not item.optional]

    def under_way(self) -> str | None:
        self._use("under_way")
        return None

    def references(self, environment: Environment) -> Sequence[tuple[str, WeighbridgeError | None]]:
        del environment
        self._use("references")
        return [("env:KEY", self.broken.get("env:KEY"))]

    def reach(self, server: str) -> Sequence[Stage]:
        del server
        self._use("reach")
        return self.way

    def listing(self, model: Model) -> SourceListing:
        self._use(f"listing {model.id}")
        return replace(listing(), flaws=self.flaws)

    def states(self) -> Sequence[RecordedState]:
        self._use("states")
        return [RecordedState(stack="storage", exists=True, cluster_uid=UID)]

    def pod(self, model: Model, *, volume: bool) -> PodReport:
        self._use("pod")
        self.mounted.append((model.id, volume))
        return self.pods.get(model.id, PodReport(stages=WAY, volume=volume))


class ProbePorts:
    """The ports that an examination asks for; ``more``, by name, for steps that a test made up."""

    def __init__(self, probes: FakeProbes, **more: object) -> None:
        self._ports: dict[str, object] = {"probes": probes, "surroundings": Surroundings(), **more}

    def __call__(self, port: Port[T]) -> T:
        return cast("T", self._ports[port.name])
