"""Look before planning: sources, volumes, receipts, the custom resource and what Pulumi would do. Reads only."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Protocol

from weighbridge.core.plan import claim_of
from weighbridge.core.run import SpecOf
from weighbridge.domain.digest import Json
from weighbridge.domain.facts import ClaimFacts, Facts, ModelFacts
from weighbridge.domain.stacks import ClusterIdentity, Op, StackPreview, StackSpec
from weighbridge.domain.weights import Receipt, SourceListing, sub_path_of
from weighbridge.environment.types import Environment, Model
from weighbridge.errors import DefectError, Place, PreconditionError
from weighbridge.ports import Cluster, Lock, Playbooks, Registry, Stacks, Weights
from weighbridge.steps.registration.stack import REGISTRATION
from weighbridge.steps.storage.stack import STORAGE

Location = tuple[str, str]
"""(claim, sub_path) of a published set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifests:
    """The two renderings that stacks are made of."""

    claim: Callable[[Model, SourceListing, int | None], Mapping[str, Json]]
    entries: Callable[[Mapping[str, Location]], tuple[Mapping[str, Json], ...]]


class Eyes(Protocol):
    """The world, each part made when first asked for: ``status`` needs no passphrase, ``render`` no cluster."""

    @property
    def cluster(self) -> Cluster: ...

    @property
    def weights(self) -> Weights: ...

    @property
    def stacks(self) -> Stacks: ...

    @property
    def playbooks(self) -> Playbooks: ...

    @property
    def lock(self) -> Lock: ...

    @property
    def registry(self) -> Registry: ...

    @property
    def manifests(self) -> Manifests: ...


def look(environment: Environment, eyes: Eyes, adopt: frozenset[str]) -> Facts:
    """Everything the plan depends on. ``PreconditionError`` (exit 3) for whatever would stop an apply."""
    identity = identity_of(environment, eyes)
    unseen = [eyes.cluster.require_namespace()]
    eyes.registry.look((), frozenset())
    unseen += _storage_classes(environment, eyes)
    models = _models(environment, eyes)
    claims = storage_spec(environment, identity, eyes, models)
    locations = {
        model.id: (claim_of(environment, model), sub_path_of(model.id, models[model.id].listing.fingerprint))
        for model in environment.models
    }
    wanted = eyes.manifests.entries(locations)
    state = eyes.registry.look(wanted, adopt)
    registration = registration_spec(environment, identity, wanted, adopt)
    with ThreadPoolExecutor(max_workers=2) as pool:  # each preview mostly waits for an engine to start
        storage = pool.submit(eyes.stacks.preview, claims) if claims is not None else None
        registered = pool.submit(eyes.stacks.preview, registration)
        try:
            wait([found for found in (storage, registered) if found is not None])
        except BaseException:  # an interruption, which the pool's threads do not hear of
            eyes.stacks.cancel()
            raise
    found = [facts.claim for facts in models.values() if facts.claim is not None]
    if storage is not None:
        _require_ours(environment, storage.result(), found)
    registered_already = {environment.cluster.custom_resource} if state.ours else set()
    return Facts(
        claims=claims.manifests if claims is not None else (),
        cluster=identity,
        where=eyes.cluster.where,
        models=models,
        storage=storage.result().taking_back({claim.name for claim in found})
        if storage is not None
        else None,
        registration=registered.result().taking_back(registered_already),
        entries=state.entries,
        wanted_entries=wanted,
        unreconciled=state.unreconciled,
        warnings=(*state.warnings, *dict.fromkeys(filter(None, unseen))),
    )


def identity_of(environment: Environment, eyes: Eyes) -> ClusterIdentity:
    """The cluster in reach, and how it is reached."""
    cluster = environment.cluster
    return ClusterIdentity(
        uid=eyes.cluster.uid(),
        namespace=cluster.namespace,
        context=cluster.context,
        in_cluster=cluster.in_cluster,
    )


def _storage_classes(environment: Environment, eyes: Eyes) -> list[str | None]:
    """Refuse absent ones; what could not be looked at."""
    return [
        eyes.cluster.require_storage_class(name, f"models[{index}].storage.storage_class")
        for index, model in enumerate(environment.models)
        if (name := model.storage.storage_class) is not None
    ]


def _models(environment: Environment, eyes: Eyes) -> dict[str, ModelFacts]:
    receipts = eyes.cluster.receipts(environment.name)
    with ThreadPoolExecutor(max_workers=min(8, len(environment.models))) as pool:
        listings = list(pool.map(eyes.weights.list, environment.models))
    facts: dict[str, ModelFacts] = {}
    for index, (model, listing) in enumerate(zip(environment.models, listings, strict=True)):
        claim = eyes.cluster.claim(claim_of(environment, model))
        _require_usable(environment, model, index, claim)
        facts[model.id] = ModelFacts(listing=listing, claim=claim, receipt=receipts.get(model.id))
    return facts


def _require_usable(environment: Environment, model: Model, index: int, claim: ClaimFacts | None) -> None:
    key = f"models[{index}].storage.existing_pvc"
    if claim is None:
        if model.storage.existing_pvc is None:
            return
        raise PreconditionError(
            f"namespace {environment.cluster.namespace} has no PersistentVolumeClaim {model.storage.existing_pvc}",
            remedy="make it, or leave existing_pvc out and give a storage_class: then weighbridge declares the claim",
            place=Place(key=key),
            code="claim-absent",
        )
    if claim.terminating or claim.phase == "Lost":
        word = "is being deleted" if claim.terminating else "has lost its volume"
        raise PreconditionError(
            f"PersistentVolumeClaim {claim.name} {word}",
            remedy="wait until it is gone, or restore the volume; weighbridge neither deletes nor recreates it",
            code="claim-unusable",
        )


def _require_ours(environment: Environment, preview: StackPreview, claims: list[ClaimFacts]) -> None:
    """Refuse to take over a claim that only happens to have the name of ours. One that carries our label and is not in
    the state is ours all the same: the state was lost, and declaring it again takes it back in.
    """
    created = {change.name for change in preview.changes if change.op is Op.CREATE}
    for claim in claims:
        if claim.name in created and claim.owner != environment.name:
            owner = f"of environment {claim.owner}" if claim.owner else "that somebody else made"
            raise PreconditionError(
                f"there is a PersistentVolumeClaim {claim.name} already, {owner}",
                remedy="rename the environment or the model, or name the claim in storage.existing_pvc to use it as it is",
                code="claim-foreign",
            )


def storage_spec(
    environment: Environment, identity: ClusterIdentity, eyes: Eyes, models: Mapping[str, ModelFacts]
) -> StackSpec | None:
    """The claims of ours, or ``None`` where every model names an existing one."""
    claims = tuple(
        eyes.manifests.claim(model, models[model.id].listing, _requested(models[model.id].claim))
        for model in environment.models
        if model.storage.existing_pvc is None
    )
    if not claims:
        return None
    return claims_spec(environment, identity, claims)


def claims_spec(
    environment: Environment, identity: ClusterIdentity, claims: tuple[Mapping[str, Json], ...]
) -> StackSpec:
    """These claims; with none, what the state holds of them."""
    return StackSpec(environment=environment.name, cluster=identity, stack=STORAGE, manifests=claims)


def registration_spec(
    environment: Environment,
    identity: ClusterIdentity,
    entries: tuple[Mapping[str, Json], ...],
    adopt: frozenset[str],
) -> StackSpec:
    """Our entries of the custom resource."""
    return StackSpec(
        environment=environment.name,
        cluster=identity,
        stack=REGISTRATION,
        manifests=entries,
        settings={"custom_resource": environment.cluster.custom_resource, "adopt": [*sorted(adopt)]},
    )


def entries_that_hold(
    environment: Environment, eyes: Eyes, receipts: Mapping[str, Receipt], adopt: frozenset[str]
) -> tuple[Mapping[str, Json], ...]:
    """What may be registered now: verified models as planned; one that did not arrive keeps the entry it has (as we wrote
    it, where somebody has edited it since), or has none. Nothing is registered before its bytes were verified.
    """
    arrived = eyes.manifests.entries(
        {key: (receipt.claim, receipt.sub_path) for key, receipt in receipts.items()}
    )
    by_id = {str(entry["model_id"]): entry for entry in arrived}
    ours = eyes.registry.look((), adopt).ours
    standing = {key: entry.written for key, entry in ours.items()}
    ordered = [by_id.get(model.id) or standing.get(model.id) for model in environment.models]
    return tuple(entry for entry in ordered if entry is not None)


def spec_maker(environment: Environment, eyes: Eyes, facts: Facts, adopt: frozenset[str]) -> SpecOf:
    """What ``run.execute`` declares: stacks by name, given the receipts that hold at that moment."""

    def spec_of(stack: str, receipts: Mapping[str, Receipt]) -> StackSpec:
        if stack == REGISTRATION.name:
            entries = entries_that_hold(environment, eyes, receipts, adopt)
            return registration_spec(environment, facts.cluster, entries, adopt)
        if stack != STORAGE.name:
            raise DefectError(f"nobody declares stack `{stack}`")
        spec = storage_spec(environment, facts.cluster, eyes, facts.models)
        if spec is None:
            raise DefectError("a storage step without claims of ours")
        return spec

    return spec_of


def _requested(claim: ClaimFacts | None) -> int | None:
    return claim.requested_bytes if claim is not None else None
