"""A small world of the ports in memory: sources, a cluster with receipts, two stacks, a custom resource."""

import json
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

from weighbridge.core.events import Event, Observer, Warned
from weighbridge.core.outcome import Declined, Done, Failed
from weighbridge.core.port import Port
from weighbridge.core.ports import Cluster, Lock, Stacks, Tenure
from weighbridge.core.session import Session
from weighbridge.core.step import Step
from weighbridge.domain.claims import ClaimFacts, claim_of
from weighbridge.domain.digest import Json, digest
from weighbridge.domain.lease import LockRequest
from weighbridge.domain.quantity import parse_bytes
from weighbridge.domain.quotas import Object
from weighbridge.domain.stacks import (
    Op,
    ResourceChange,
    StackPreview,
    StackResult,
    StackSpec,
    manifest_name,
)
from weighbridge.domain.weights import Receipt, SourceFile, SourceListing, sub_path_of
from weighbridge.environment.sections import environment_type
from weighbridge.environment.types import Environment, Model, Route
from weighbridge.errors import (
    ForbiddenError,
    InterruptedByUserError,
    PreconditionError,
    StepFailedError,
    VerificationError,
    WeighbridgeError,
)
from weighbridge.holdings import Holdings
from weighbridge.manifests.surroundings import Surroundings
from weighbridge.steps import SECTIONS, STEPS
from weighbridge.steps.registration.ports import Registry
from weighbridge.steps.registration.stack import REGISTRATION
from weighbridge.steps.storage.stack import STORAGE
from weighbridge.steps.weights.ports import Playbooks, TransferReport, Weights
from weighbridge.transfers import Quotas
from weighbridge.watsonx.entries import EntryOwner, RegistrationState, StandingEntry
from weighbridge.watsonx.entry import Entry
from weighbridge.watsonx.merge import three_way
from weighbridge.watsonx.refusals import Refused
from weighbridge.watsonx.view import planned_entries, seen_by_looking

T = TypeVar("T")
NOW = "2026-01-02T03:04:05Z"


def environment(*model_ids: str, routes: tuple[str, ...] = ("fetch",), **sections: Json) -> Environment:
    """An environment with one S3 model for each id. ``sections``: keys of the file that steps bring."""
    keys = {"access_key": {"env": "KEY"}, "secret_key": {"env": "SECRET"}}
    return environment_type(SECTIONS).model_validate_json(
        json.dumps(
            {
                **sections,
                "name": "test",
                "cluster": {"context": "here", "namespace": "cpd-instance"},
                "platform": {"version": "5.2"},
                "state": {"backend": "file://state", "passphrase": {"env": "PASS"}},
                "pods": {"image": "registry.example.com/python@sha256:" + "0" * 64},
                "models": [
                    {
                        "id": model_id,
                        "source": {
                            "s3": {
                                "bucket": "models",
                                "prefix": f"{model_id}/",
                                "endpoint": "https://s3.example.com",
                                "credentials": keys,
                            }
                        },
                        "storage": {"storage_class": "fast"},
                        "routes": list(routes),
                    }
                    for model_id in model_ids
                ],
            }
        )
    )


def listing(tag: str = "1") -> SourceListing:
    """A listing that differs by ``tag``."""
    return SourceListing(
        files=(
            SourceFile("config.json", 10, f"c{tag}"),
            SourceFile("model.safetensors", 1000, f"m{tag}"),
            SourceFile("tokenizer.json", 20, f"t{tag}"),
        )
    )


@dataclass
class World:
    """The state that the fakes share. Tests change it as other people would."""

    environment: Environment
    sources: dict[str, SourceListing] = field(default_factory=dict)
    """With what a look at their files finds wrong."""
    looks: list[tuple[str, str]] = field(default_factory=list)
    """Model and ``list``, ``look`` or ``look at one in place``: what its source was asked for."""
    claims: dict[str, ClaimFacts] = field(default_factory=dict)
    receipts: dict[str, Receipt] = field(default_factory=dict)
    declared: dict[str, str] = field(default_factory=dict)
    entries: list[dict[str, Json]] = field(default_factory=list)
    ours: dict[str, Mapping[str, Json]] = field(default_factory=dict)
    reconciled: bool = True
    interrupting: bool = False
    """Whether the next wait for the operator is interrupted."""
    warnings: tuple[str, ...] = ()
    broken: dict[str, WeighbridgeError] = field(default_factory=dict)
    """What a sync of this model raises or reports as failed."""
    refused: dict[str, PreconditionError] = field(default_factory=dict)
    """What keeps a sync of this model from starting."""
    unreadable: dict[str, StepFailedError] = field(default_factory=dict)
    """What a verification of this model raises."""
    slow_seconds: float = 0.0
    """How long a preview takes, unless it is cancelled."""
    cancelled: threading.Event = field(default_factory=threading.Event)
    refusing_registry: PreconditionError | None = None
    """What every look at the custom resource meets."""
    previews: dict[str, StackPreview] = field(default_factory=dict)
    """By stack's name: what a preview says, whatever the world."""
    failing: set[str] = field(default_factory=set)
    """Stacks whose update fails."""
    declining: dict[Route, str] = field(default_factory=dict)
    flipped: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Files of a model whose bytes differ on the volume."""
    calls: list[str] = field(default_factory=list)
    """Every write, in order."""
    on_lost: Callable[[], None] = lambda: None
    other_run: str | None = None
    """Whose run holds the environment, in words."""
    loses_during: str | None = None
    """The write (as in ``calls``) during which this run loses the environment."""
    lost: bool = False
    held_for: list[str] = field(default_factory=list)
    """Verbs that held the environment and gave it back."""
    unfinished: frozenset[str] = frozenset()
    """Models of which a dead run left Jobs, pods and keys in the cluster."""
    unsettled: PreconditionError | None = None
    """What keeps the leftovers of a dead run from being cleared."""
    steps: tuple[Step, ...] = STEPS
    ports: dict[str, object] = field(default_factory=dict)
    """What further steps work with, by the port's name."""
    elsewhere: dict[str, str] = field(default_factory=dict)
    """Contexts that lead to another cluster, and its UID."""
    quotas: Sequence[Object] | None = None
    """ResourceQuotas of the namespace; ``None``: they may not be read."""
    meanwhile: Callable[[str], None] = lambda _: None
    """Called during each sync and verification, with ``sync one``: what happens while it is under way. May raise."""
    interrupted: threading.Event = field(default_factory=threading.Event)
    """Set where playbooks were told to end."""
    events: list[Event] = field(default_factory=list)
    journal: list[tuple[str, dict[str, Json]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for model in self.environment.models:
            self.sources.setdefault(model.id, listing())
        self.entries = self.entries or [{"model_id": "theirs", "location": {"pvc_name": "theirs"}}]

    def wrote(self, call: str) -> None:
        """Remember a write."""
        self.calls.append(call)
        if call == self.loses_during:
            self.lost = True
            self.on_lost()

    def session(self) -> Session:
        return Session(
            environment=self.environment,
            steps=self.steps,
            ports=FakePorts(self),
            observer=self.events.append,
            open_journal=lambda _verb: FakeJournal(self),
        )


class FakePorts:
    """Each port by its name, or the one that a test gave."""

    def __init__(self, world: World) -> None:
        self._ports: dict[str, object] = {
            "cluster": FakeCluster(world),
            "holdings": FakeCluster(world),
            "quotas": FakeCluster(world),
            "weights": FakeWeights(world),
            "stacks": FakeStacks(world),
            "playbooks": FakePlaybooks(world),
            "registry": FakeRegistry(world),
            "lock": FakeLock(world),
            "surroundings": Surroundings(),
            **world.ports,
        }

    def __call__(self, port: Port[T]) -> T:
        return cast("T", self._ports[port.name])


def _are_what_they_stand_in_for(world: World) -> tuple[object, ...]:
    """For mypy: every fake has its port's protocol."""
    cluster: Cluster = FakeCluster(world)
    holdings: Holdings = FakeCluster(world)
    quotas: Quotas = FakeCluster(world)
    weights: Weights = FakeWeights(world)
    stacks: Stacks = FakeStacks(world)
    playbooks: Playbooks = FakePlaybooks(world)
    registry: Registry = FakeRegistry(world)
    lock: Lock = FakeLock(world)
    return cluster, holdings, quotas, weights, stacks, playbooks, registry, lock


@dataclass
class FakeLock:
    """Also the ``Tenure`` that it gives: there is one hold at a time."""

    world: World

    @contextmanager
    def hold(
        self, verb: str, lock_request: LockRequest, observer: Observer, on_lost: Callable[[], None]
    ) -> Iterator[Tenure]:
        world = self.world
        if world.other_run is not None and not lock_request.take_over:
            raise PreconditionError(f"another run is under way: {world.other_run}", code="run-under-way")
        if world.other_run is not None:
            observer(Warned(f"taken over, as asked, from {world.other_run}"))
            world.other_run = None
        world.on_lost = on_lost
        try:
            yield self
        except BaseException as error:
            if world.lost:
                raise self._loss() from error
            raise
        finally:
            world.held_for.append(verb)

    @property
    def unfinished(self) -> frozenset[str]:
        return self.world.unfinished

    def require(self) -> None:
        if self.world.lost:
            raise self._loss()

    def under_way(self) -> str | None:
        return None if self.world.other_run is None else f"a run is under way: {self.world.other_run}"

    @staticmethod
    def _loss() -> StepFailedError:
        return StepFailedError("this run has lost environment `test` and stopped", code="lease-lost")


@dataclass
class FakeCluster:
    world: World
    where: str = "a test cluster"

    def uid(self, context: str | None = None) -> str:
        return self.world.elsewhere.get(context or "", "uid-1")

    def require_namespace(self) -> None: ...

    def require_storage_class(self, name: str, key: str) -> None:
        if name != "fast":
            raise PreconditionError(f"no storage class {name} ({key})")

    def claim(self, name: str) -> ClaimFacts | None:
        return self.world.claims.get(name)

    def quotas(self) -> Sequence[Object]:
        if self.world.quotas is None:
            raise ForbiddenError("resourcequotas is forbidden")
        return self.world.quotas

    def receipts(self, environment: str) -> dict[str, Receipt]:
        assert environment == self.world.environment.name
        return dict(self.world.receipts)

    def forget(self, environment: str, claims: Collection[str]) -> None:
        self.world.wrote(f"forget {environment}")
        for key in [key for key, receipt in self.world.receipts.items() if receipt.claim in claims]:
            del self.world.receipts[key]


@dataclass
class FakeWeights:
    world: World

    def list(self, model: Model) -> SourceListing:
        self.world.looks.append((model.id, "list"))
        return replace(self.world.sources[model.id], flaws=())

    def look(self, model: Model, listing: SourceListing, *, in_place: bool) -> SourceListing:
        self.world.looks.append((model.id, "look at one in place" if in_place else "look"))
        found = self.world.sources[model.id]
        assert listing == found, "what was listed is what is looked at"
        return found


@dataclass
class FakeStacks:
    world: World

    def cancel(self) -> None:
        self.world.cancelled.set()

    def settle(self, observer: Observer) -> None:
        del observer
        if self.world.unsettled is not None:
            raise self.world.unsettled

    def preview(self, spec: StackSpec) -> StackPreview:
        if self.world.slow_seconds and self.world.cancelled.wait(self.world.slow_seconds):
            raise InterruptedByUserError("cancelled")
        if spec.name in self.world.previews:
            return self.world.previews[spec.name]
        if spec.name == STORAGE.name and spec.name in self.world.declared:
            declared = {manifest_name(claim) for claim in spec.manifests}
            kept = tuple(sorted(self.world.claims.keys() - declared))
        else:
            kept = ()
        same = self._live(spec) == self._digest(spec)
        exists = spec.name in self.world.declared
        op = Op.UPDATE if exists else Op.CREATE
        names = (
            [manifest_name(claim) for claim in spec.manifests]
            if spec.name == STORAGE.name
            else [str(spec.settings["custom_resource"])]
        )
        changes = (
            ()
            if same
            else tuple(ResourceChange(type="t", name=name, op=op, drifted=exists) for name in names)
        )
        unchanged = 0 if changes else 1
        return StackPreview(stack=spec.name, exists=exists, changes=changes, unchanged=unchanged, kept=kept)

    def up(self, spec: StackSpec, observer: Observer) -> StackResult:
        del observer
        if spec.name in self.world.failing:
            raise StepFailedError(f"stack {spec.name} failed")
        preview = self.preview(spec)
        self.world.wrote(f"up {spec.name}")
        self.world.declared[spec.name] = self._digest(spec)
        if spec.name == STORAGE.name:
            for claim in spec.manifests:
                name = manifest_name(claim)
                self.world.claims.setdefault(
                    name,
                    ClaimFacts(
                        name=name,
                        uid=f"uid-{name}",
                        phase="Bound",
                        requested_bytes=parse_bytes(_requested(claim)),
                        storage_class="fast",
                        owner=spec.environment,
                    ),
                )
        elif spec.name == REGISTRATION.name:
            self._register(spec.manifests)
        return StackResult(stack=spec.name, changes=preview.changes, unchanged=preview.unchanged)

    def destroy(self, spec: StackSpec, observer: Observer, *, unprotect: bool = False) -> StackResult:
        del observer
        self.world.wrote(f"destroy {spec.name}{' unprotected' if unprotect else ''}")
        had = self.world.declared.pop(spec.name, None) is not None
        if had and spec.name == STORAGE.name:
            self.world.claims.clear()
        elif had and spec.name == REGISTRATION.name:
            self._register(())
        changes = (ResourceChange(type="t", name=spec.name, op=Op.DELETE),) if had else ()
        return StackResult(stack=spec.name, changes=changes, unchanged=0)

    def _register(self, entries: tuple[Mapping[str, Json], ...]) -> None:
        theirs = [entry for entry in self.world.entries if entry["model_id"] not in self.world.ours]
        self.world.entries = [*theirs, *(dict(entry) for entry in entries)]
        self.world.ours = {str(entry["model_id"]): entry for entry in entries}
        self.world.reconciled = False

    def _digest(self, spec: StackSpec) -> str:
        return digest([dict(item) for item in spec.manifests])

    def _live(self, spec: StackSpec) -> str | None:
        if spec.name == REGISTRATION.name and spec.name in self.world.declared:
            ours = [entry for entry in self.world.entries if entry["model_id"] in self.world.ours]
            return digest(list(ours))
        return self.world.declared.get(spec.name)


@dataclass
class FakeRegistry:
    world: World

    def look(self, wanted: tuple[Mapping[str, Json], ...], adopt: frozenset[str]) -> RegistrationState:
        if self.world.refusing_registry is not None:
            raise self.world.refusing_registry
        live, ours = cast("Json", self.world.entries), self.world.ours
        known = (*(Entry.of(dict(entry)) for entry in ours.values()), *seen_by_looking(live, ours))
        merge = three_way(
            known if wanted else (), live, tuple(Entry.of(dict(entry)) for entry in wanted), adopt
        )
        if isinstance(merge, Refused):
            raise merge.error("the test's resource")
        return RegistrationState(
            entries=planned_entries(merge, ours),
            standing={str(entry["model_id"]): self._standing(entry) for entry in self.world.entries},
            status="Completed 100%",
            unreconciled=None
            if self.world.reconciled
            else "the operator has not taken in the last change yet",
            warnings=self.world.warnings,
        )

    def _standing(self, entry: dict[str, Json]) -> StandingEntry:
        written = self.world.ours.get(str(entry["model_id"]))
        if written is None:
            return StandingEntry(value=entry, owner="foreign")
        owner: EntryOwner = "ours" if entry == dict(written) else "edited"
        return StandingEntry(value=entry, owner=owner, written=written)

    def unconfirmed(self) -> bool:
        return not self.world.reconciled

    def await_reconciled(self, observer: Observer) -> str:
        del observer
        self.world.wrote("await")
        if self.world.interrupting:
            self.world.interrupting = False
            raise KeyboardInterrupt
        self.world.reconciled = True
        return "Completed, 100 %"


@dataclass
class FakePlaybooks:
    world: World

    def sync(self, model: Model, listing: SourceListing, route: Route, observer: Observer) -> TransferReport:
        del observer
        if route in self.world.declining:
            return TransferReport(outcome=Declined(self.world.declining[route]))
        self.world.wrote(f"sync {model.id} {route.value}")
        self.world.meanwhile(f"sync {model.id}")
        if model.id in self.world.refused:
            raise self.world.refused[model.id]
        if model.id in self.world.broken:
            error = self.world.broken[model.id]
            failure = error if isinstance(error, StepFailedError) else StepFailedError(error.what)
            return TransferReport(outcome=Failed(failure))
        receipt = self.receipt(model, listing, route)
        self.world.receipts[model.id] = receipt
        self.world.flipped.pop(model.id, None)
        return TransferReport(outcome=Done("published"), receipt=receipt, bytes_moved=listing.total_bytes)

    def verify(self, model: Model, receipt: Receipt, observer: Observer) -> TransferReport:
        del observer
        self.world.meanwhile(f"verify {model.id}")
        if model.id in self.world.unreadable:
            raise self.world.unreadable[model.id]
        damaged = self.world.flipped.get(model.id, ())
        found = replace(receipt, verdict="damaged" if damaged else "verified", damaged=damaged)
        self.world.receipts[model.id] = found
        outcome = Failed(VerificationError(f"{len(damaged)} files differ")) if damaged else Done("verified")
        return TransferReport(outcome=outcome, receipt=found)

    def cancel(self) -> None:
        self.world.interrupted.set()

    def tidy(self, model_id: str, observer: Observer) -> None:
        del observer
        self.world.wrote(f"tidy {model_id}")
        self.world.unfinished -= {model_id}

    def receipt(self, model: Model, found: SourceListing, route: Route) -> Receipt:
        name = claim_of(self.world.environment, model)
        return Receipt(
            model_id=model.id,
            fingerprint=found.fingerprint,
            set_digest="sha256:" + "a" * 64,
            claim=name,
            claim_uid=self.world.claims[name].uid,
            sub_path=sub_path_of(model.id, found.fingerprint),
            files=len(found.files),
            total_bytes=found.total_bytes,
            route=route.value,
            published_at=NOW,
            verified_at=NOW,
            verdict="verified",
        )


@dataclass
class FakeJournal:
    world: World

    def record(self, event: str, **facts: Json) -> None:
        self.world.journal.append((event, facts))


def _requested(claim: Mapping[str, Json]) -> str:
    spec = cast("dict[str, Any]", claim["spec"])
    return str(spec["resources"]["requests"]["storage"])
