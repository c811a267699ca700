"""Step ``storage``: the volumes that hold the weights, as protected claims of a Pulumi stack."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Final

from weighbridge.core.declared import IDENTITY, PREVIEW, SPEC, make_so, planned_stack
from weighbridge.core.examination import Look, Phase
from weighbridge.core.outcome import Unchanged
from weighbridge.core.ports import STACKS
from weighbridge.core.step import (
    WARNINGS,
    Destroyed,
    Finished,
    ItemStatus,
    PlannedStep,
    Rendered,
    Request,
    Step,
    StepStatus,
    World,
)
from weighbridge.domain.claims import CLAIM, ClaimFacts, claim_of, own_claims
from weighbridge.domain.digest import Json
from weighbridge.domain.facts import Facts
from weighbridge.domain.human import size
from weighbridge.domain.naming import slug
from weighbridge.domain.sizing import needed_bytes
from weighbridge.domain.stacks import Manifest, Op, ResourceChange, StackPreview, StackSpec
from weighbridge.domain.weights import LISTING
from weighbridge.environment.types import Environment
from weighbridge.errors import InputError, PreconditionError, StepFailedError
from weighbridge.holdings import HOLDINGS, look_at_holdings
from weighbridge.manifests.render import render_claim, to_yaml
from weighbridge.steps.storage import areas
from weighbridge.steps.storage.needs import NEEDS
from weighbridge.steps.storage.stack import STORAGE


class StorageStep(Step):
    """Manage every PersistentVolumeClaim of the environment that is ours."""

    name: ClassVar = "storage"
    only: ClassVar = "weights"
    after: ClassVar = frozenset({"weights"})
    """Names of the steps that run first: the size of a claim depends on its source."""
    stack: ClassVar = STORAGE
    permissions: ClassVar = NEEDS
    areas: ClassVar = (areas.STORAGE, areas.QUOTA)

    def examine(self, look: Look, phase: Phase) -> None:
        from weighbridge.steps.storage.examine import examine  # noqa: PLC0415  only doctor needs it

        del phase
        examine(look)

    def observe(self, world: World, facts: Facts) -> None:
        holdings = world.port(HOLDINGS)
        first: dict[str, str] = {}
        for index, model in enumerate(world.environment.models):
            if (name := model.storage.storage_class) is not None:
                first.setdefault(name, f"models[{index}].storage.storage_class")
        unseen = [holdings.require_storage_class(name, key) for name, key in first.items()]
        look_at_holdings(world, facts)
        warnings = [*(text for text in unseen if text is not None), *_tight(world.environment, facts)]
        facts.put(WARNINGS, tuple(warnings), self.name)

    def declare(self, environment: Environment, request: Request, facts: Facts) -> StackSpec | None:
        del request
        claims = tuple(_claims(environment, facts).values())
        if not claims:
            return None
        return StackSpec(
            environment=environment.name,
            cluster=facts.known(IDENTITY, STORAGE.name),
            stack=STORAGE,
            manifests=claims,
        )

    def judge(self, environment: Environment, preview: StackPreview, facts: Facts) -> StackPreview:
        """Refuse a claim that has the name of ours but belongs to others. A claim with our label that is missing in
        the state is ours: the state was lost, and declaring the claim again takes it back in.
        """
        claims = [claim for claim in facts.all(CLAIM).values() if claim is not None]
        created = {change.name for change in preview.changes if change.op is Op.CREATE}
        for claim in claims:
            if claim.name in created and claim.owner != environment.name:
                owner = f"of environment {claim.owner}" if claim.owner else "that somebody else made"
                raise PreconditionError(
                    f"there is a PersistentVolumeClaim {claim.name} already, {owner}",
                    remedy="rename the environment or the model, or name the claim in storage.existing_pvc to use it as it is",
                    code="claim-foreign",
                )
        return preview.taking_back({claim.name for claim in claims})

    def plan(self, environment: Environment, request: Request, facts: Facts) -> tuple[PlannedStep, ...]:
        del environment, request
        spec = facts.one(SPEC, STORAGE.name)
        if spec is None:
            return ()
        asked = {str(dict[str, Any](claim)["metadata"]["name"]): _asked(claim) for claim in spec.manifests}

        def about(change: ResourceChange) -> str:
            return asked.get(change.name, "")

        return (planned_stack(self.name, facts, STORAGE, about=about),)

    def run(self, planned: PlannedStep, world: World, facts: Facts) -> Finished:
        if not planned.pending:
            return Finished(outcome=Unchanged(planned.reason))
        _, outcome = make_so(world, facts.known(SPEC, STORAGE.name), facts.known(PREVIEW, STORAGE.name))
        return Finished(outcome=outcome)

    def status(self, world: World, facts: Facts) -> StepStatus:
        del facts
        environment, holdings = world.environment, world.port(HOLDINGS)
        found = {model.id: holdings.claim(claim_of(environment, model)) for model in environment.models}
        return StepStatus(items={model_id: _status(claim) for model_id, claim in found.items()})

    def render(self, world: World, facts: Facts, out: Path) -> Rendered:
        del out
        claims = _claims(world.environment, facts)
        return Rendered(
            files={
                f"storage/{slug(model_id)}-pvc.yaml": to_yaml(dict(claim))
                for model_id, claim in claims.items()
            }
        )

    def would_destroy(self, environment: Environment, request: Request) -> str | None:
        del environment
        return f"delete {', '.join(sorted(request.typed))} with all weights" if request.typed else None

    def consent(self, world: World, facts: Facts) -> None:
        """Refuse unless every claim that would be deleted was typed. This includes claims of models that the file no
        longer declares but the state still holds.
        """
        typed, ours = world.request.typed, frozenset(own_claims(world.environment))
        if not typed:
            return
        if not ours <= typed:
            raise InputError(
                f"--weights names {', '.join(sorted(typed))}; the claims of this environment are {', '.join(sorted(ours))}",
                remedy="name every one of them, each with its own --weights, or none",
                code="claims-not-named",
            )
        held = ours | frozenset(world.port(STACKS).preview(_nothing(world, facts)).kept)
        if typed != held:
            raise PreconditionError(
                f"--weights names {', '.join(sorted(typed))}; what would be deleted is {', '.join(sorted(held))}",
                remedy="name exactly these (some may be of models that the file no longer declares), or none",
                code="claims-not-named",
            )

    def destroy(self, world: World, facts: Facts) -> Destroyed | None:
        """Delete the claims that were typed. If none was typed, keep all and name them."""
        typed = world.request.typed
        if not typed:
            return _kept(world, self._standing(world, frozenset(own_claims(world.environment))))
        result = world.port(STACKS).destroy(_nothing(world, facts), world.observer, unprotect=True)
        if standing := self._standing(world, typed):
            raise StepFailedError(
                f"{', '.join(standing)} still stands with its weights: "
                f"the state in {world.environment.state.backend} does not know of it",
                remedy="correct state.backend, or delete the claim yourself (kubectl delete pvc)",
                code="not-in-state",
            )
        world.port(HOLDINGS).forget(world.environment.name, typed)
        removed = [f"  - {change.type} {change.name}" for change in result.changes]
        return Destroyed(
            removed=result.changes,
            message={"kept_claims": []},
            lines=(*removed, "The volumes named are gone, with their weights."),
        )

    @staticmethod
    def _standing(world: World, names: frozenset[str]) -> tuple[str, ...]:
        """Return the claims that exist and are not being deleted."""
        found = {name: world.port(HOLDINGS).claim(name) for name in names}
        return tuple(sorted(name for name, claim in found.items() if claim and not claim.terminating))


STEP: Final = StorageStep()


def _claims(environment: Environment, facts: Facts) -> dict[str, Manifest]:
    """Return our claims as they should be, by model id."""
    found: dict[str, Manifest] = {}
    for model in environment.models:
        claim = facts.one(CLAIM, model.id)
        current = claim.requested_bytes if claim is not None else None
        wanted = render_claim(environment, model, facts.known(LISTING, model.id), current)
        if wanted is not None:
            found[model.id] = wanted
    return found


def _tight(environment: Environment, facts: Facts) -> Iterator[str]:
    """Name claims of others that have room for the coming set, but not also for all sets that are kept."""
    for model in environment.models:
        claim, listing = facts.one(CLAIM, model.id), facts.one(LISTING, model.id)
        if model.storage.existing_pvc is None or claim is None or listing is None:
            continue
        needed = needed_bytes(listing.total_bytes, model.storage.keep)
        if claim.room_bytes < needed:
            yield (
                f"claim {claim.name} has {size(claim.room_bytes)}; {1 + model.storage.keep} sets of {model.id} "
                f"(storage.keep: {model.storage.keep}) need {size(needed)}: a later version may not fit"
            )


def _asked(claim: Mapping[str, Any]) -> str:
    spec = claim["spec"]
    wanted = [spec["resources"]["requests"]["storage"], spec.get("storageClassName"), *spec["accessModes"]]
    return "  " + ", ".join(str(part) for part in wanted if part)


def _nothing(world: World, facts: Facts) -> StackSpec:
    return StackSpec(
        environment=world.environment.name,
        cluster=facts.known(IDENTITY, STORAGE.name),
        stack=STORAGE,
        manifests=(),
    )


def _kept(world: World, names: tuple[str, ...]) -> Destroyed:
    lines: list[str] = []
    if names:
        typed = " ".join(f"--weights {name}" for name in names)
        lines = [
            f"Kept, with their weights: {', '.join(names)}.",
            f"To delete them too: weighbridge destroy {world.request.named or world.environment.name} {typed}",
        ]
    kept: list[Json] = [*names]
    return Destroyed(message={"kept_claims": kept}, lines=tuple(lines))


def _status(claim: ClaimFacts | None) -> ItemStatus:
    if claim is None:
        return ItemStatus(row={"claim": None}, lines=("its volume does not exist",))
    lines = () if claim.phase == "Bound" else (f"volume {claim.name} is {claim.phase}",)
    return ItemStatus(row={"claim": asdict(claim)}, lines=lines)
