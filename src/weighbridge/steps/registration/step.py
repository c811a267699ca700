"""Step ``registration``: our entries of the ``Watsonxaiifm`` resource, and the wait until its operator has taken them in."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from weighbridge.core.declared import IDENTITY, PREVIEW, SPEC, DeclareStack, make_so, planned_stack
from weighbridge.core.examination import Look, Phase
from weighbridge.core.outcome import Done, Unchanged
from weighbridge.core.ports import STACKS
from weighbridge.core.step import (
    WARNINGS,
    Destroyed,
    Finished,
    PlannedStep,
    Rendered,
    Request,
    Step,
    StepStatus,
    World,
    keys_of,
)
from weighbridge.domain.claims import claim_of
from weighbridge.domain.digest import Json, digest
from weighbridge.domain.facts import Facts, Key
from weighbridge.domain.stacks import Manifest, Op, StackPreview, StackSpec
from weighbridge.domain.weights import ARRIVED, LISTING, Receipt, sub_path_of
from weighbridge.environment.types import Environment
from weighbridge.errors import PreconditionError
from weighbridge.holdings import holds, look_at_holdings
from weighbridge.manifests.render import render_entries, render_registration, to_yaml
from weighbridge.steps.registration import areas
from weighbridge.steps.registration.made import REGISTRY
from weighbridge.steps.registration.needs import NEEDS
from weighbridge.steps.registration.shown import entry_lines, review_rows, status_parts
from weighbridge.steps.registration.stack import REGISTRATION
from weighbridge.watsonx.entries import RegistrationState

STATE: Final[Key[RegistrationState]] = Key("registration")
"""The custom resource, with the planned list."""
WROTE: Final[Key[bool]] = Key("registration written")
"""Whether this run has written the list."""

Location = tuple[str, str]
"""(claim, sub_path) of a published set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitReconciled:
    """Wait until the operator has taken in what the registration stack wrote."""

    kind: ClassVar[str] = "await-reconciled"
    custom_resource: str
    entries_digest: str

    @property
    def title(self) -> str:
        return f"operator reconciles {self.custom_resource}"

    def as_json(self) -> Json:
        return {"kind": self.kind, "custom_resource": self.custom_resource, "entries": self.entries_digest}


class RegistrationStep(Step):
    """Register all our entries as one resource: the list is atomic, and its operator works serially."""

    name: ClassVar = "registration"
    only: ClassVar = "switch"
    after: ClassVar = frozenset({"weights"})
    """Names of the steps that run first: an entry names the set by its source's fingerprint."""
    stack: ClassVar = REGISTRATION
    permissions: ClassVar = NEEDS
    areas: ClassVar = (areas.REGISTRATION,)

    # -- doctor ------------------------------------------------------------------------------------------------------

    def examine(self, look: Look, phase: Phase) -> None:
        from weighbridge.steps.registration.examine import examine  # noqa: PLC0415  only doctor needs it

        del phase
        examine(look)

    # -- looking -----------------------------------------------------------------------------------------------------

    def observe(self, world: World, facts: Facts) -> None:
        registry = world.port(REGISTRY)
        standing = registry.look((), frozenset())
        look_at_holdings(world, facts)
        if world.selected("weights"):
            wanted = _entries(world.environment, _listed(world.environment, facts))
        else:
            wanted = _that_hold(world.environment, _held(world.environment, facts), standing)
        state = registry.look(wanted, world.request.adopt)
        facts.put(STATE, state)
        facts.put(_WANTED, wanted)
        facts.put(WARNINGS, state.warnings, self.name)

    def declare(self, environment: Environment, request: Request, facts: Facts) -> StackSpec | None:
        return _spec(environment, request, facts, facts.known(_WANTED))

    def judge(self, environment: Environment, preview: StackPreview, facts: Facts) -> StackPreview:
        registered = {environment.cluster.custom_resource} if facts.known(STATE).ours else set[str]()
        return preview.taking_back(registered)

    def plan(self, environment: Environment, request: Request, facts: Facts) -> tuple[PlannedStep, ...]:
        state, wanted = facts.known(STATE), facts.known(_WANTED)
        declared = planned_stack(
            self.name,
            facts,
            REGISTRATION,
            needs=keys_of(facts, "storage"),
            shows=review_rows(state, wanted, request.adopt),
        )
        waiting = AwaitReconciled(
            custom_resource=environment.cluster.custom_resource,
            entries_digest=digest([dict(entry) for entry in wanted]),
        )
        behind = state.unreconciled
        reason = behind or "Completed, 100 %, later than the last change of the list"
        return (
            declared,
            PlannedStep(
                value=waiting,
                step=self.name,
                needs=frozenset({declared.key}),
                pending=declared.pending or behind is not None,
                reason="after the registration is written" if declared.pending else reason,
            ),
        )

    def epilogue(self, facts: Facts) -> Iterable[str]:
        spec = facts.known(SPEC, REGISTRATION.name)
        yield f"spec.custom_foundation_models of {spec.settings['custom_resource']}, entry by entry:"
        entries = facts.known(STATE).entries
        yield from (f"  {line}" for line in entry_lines(entries))
        if not entries:
            yield "  (empty)"

    def message(self, facts: Facts) -> Mapping[str, Json]:
        entries = facts.known(STATE).entries
        return {
            "entries": [
                {"model_id": entry.model_id, "fate": entry.fate, "changes": list(entry.changes)}
                for entry in entries
            ]
        }

    # -- doing -------------------------------------------------------------------------------------------------------

    def run(self, planned: PlannedStep, world: World, facts: Facts) -> Finished:
        if isinstance(planned.value, DeclareStack):
            return self._register(planned, world, facts)
        return self._await(planned, world, facts)

    @staticmethod
    def _register(planned: PlannedStep, world: World, facts: Facts) -> Finished:
        environment = world.environment
        arrived = facts.all(ARRIVED) if world.selected("weights") else _held(environment, facts)
        set_back = world.selected("weights") and any(
            model.id not in arrived for model in environment.models
        )  # a model that the plan counted on did not arrive, so the planned entries are wrong
        if not planned.pending and not set_back:
            return Finished(outcome=Unchanged(planned.reason))
        standing = world.port(REGISTRY).look((), world.request.adopt)
        entries = _that_hold(environment, arrived, standing)
        preview, state = facts.known(PREVIEW, REGISTRATION.name), facts.known(STATE)
        if not entries and not preview.exists:
            return Finished(outcome=Unchanged("no model is verified yet: there is nothing to register"))
        result, outcome = make_so(world, _spec(environment, world.request, facts, entries), preview)
        kept = all(entry.fate in {"keep", "foreign"} for entry in state.entries)
        state_only = kept and all(change.op is Op.IMPORT for change in result.changes)
        facts.put(WROTE, result.changed and not state_only)
        return Finished(outcome=outcome)

    @staticmethod
    def _await(planned: PlannedStep, world: World, facts: Facts) -> Finished:
        if not facts.one(WROTE) and facts.known(STATE).unreconciled is None:
            unchanged = "the registration was not changed" if planned.pending else planned.reason
            return Finished(outcome=Unchanged(unchanged))
        # If we wrote nothing, wait for an earlier write, or ask the operator to look again.
        return Finished(outcome=Done(world.port(REGISTRY).await_reconciled(world.observer)))

    # -- showing -----------------------------------------------------------------------------------------------------

    def status(self, world: World, facts: Facts) -> StepStatus:
        del facts
        state = world.port(REGISTRY).look((), frozenset())
        return status_parts(world.environment, state)

    def render(self, world: World, facts: Facts, out: Path) -> Rendered:
        del out
        environment = world.environment
        registration = render_registration(environment, _listed(environment, facts))
        comment = (
            "Weighbridge's own entries, for reading. Do not apply this file: the API server would take its list for the\n"
            "whole of spec.custom_foundation_models and drop every other team's model."
        )
        return Rendered(files={"registration/watsonxaiifm.yaml": to_yaml(registration, comment=comment)})

    # -- taking down -------------------------------------------------------------------------------------------------

    def would_destroy(self, environment: Environment, request: Request) -> str | None:
        del request
        models = ", ".join(model.id for model in environment.models)
        return f"take {models} out of {environment.cluster.custom_resource}"

    def destroy(self, world: World, facts: Facts) -> Destroyed | None:
        """Take our entries out. Wait for the operator, also if an earlier, interrupted destroy took them out."""
        registry = world.port(REGISTRY)
        spec = _spec(world.environment, world.request, facts, ())
        result = world.port(STACKS).destroy(spec, world.observer)
        _require_unregistered(world)
        if registry.unconfirmed():
            operator = registry.await_reconciled(world.observer)
        else:
            operator = "nothing is left to take in" if result.changed else "nothing was registered"
        removed = [f"  - {change.type} {change.name}" for change in result.changes]
        gone = f"Registrations of ours are gone; other teams' entries were not touched. Operator: {operator}."
        return Destroyed(removed=result.changes, message={"operator": operator}, lines=(*removed, gone))


STEP: Final = RegistrationStep()


_WANTED: Final[Key[tuple[Manifest, ...]]] = Key("wanted entries")


def _spec(
    environment: Environment, request: Request, facts: Facts, entries: tuple[Manifest, ...]
) -> StackSpec:
    return StackSpec(
        environment=environment.name,
        cluster=facts.known(IDENTITY, REGISTRATION.name),
        stack=REGISTRATION,
        manifests=entries,
        settings={
            "custom_resource": environment.cluster.custom_resource,
            "adopt": list[Json](sorted(request.adopt)),
        },
        seen=_seen(environment, facts.one(STATE)),
    )


def _seen(environment: Environment, state: RegistrationState | None) -> dict[str, str]:
    """Return digests of the entries that the plan saw: an entry that was replaced since is refused, not overwritten.
    Entries that may not be ours are included, because a state may hold entries that no record shows to be ours.
    """
    if state is None:
        return {}
    ours = {*(model.id for model in environment.models), *state.standing}
    standing = {key: digest(dict(entry.value)) for key, entry in state.standing.items()}
    return {model_id: standing.get(model_id, "") for model_id in sorted(ours)}


def _entries(environment: Environment, places: Mapping[str, Location]) -> tuple[Manifest, ...]:
    return tuple(render_entries(environment, places))


def _listed(environment: Environment, facts: Facts) -> dict[str, Location]:
    """Return where every model's set will lie, by what its source lists."""
    return {
        model.id: (
            claim_of(environment, model),
            sub_path_of(model.id, facts.known(LISTING, model.id).fingerprint),
        )
        for model in environment.models
    }


def _held(environment: Environment, facts: Facts) -> dict[str, Receipt]:
    """Return what was brought in and verified earlier. A run of the switch alone uses only this, so it needs no source."""
    found = {model.id: holds(facts, model.id) for model in environment.models}
    return {model_id: receipt for model_id, receipt in found.items() if receipt is not None}


def _that_hold(
    environment: Environment, receipts: Mapping[str, Receipt], state: RegistrationState
) -> tuple[Manifest, ...]:
    """Return the entries that may be registered now. A verified model gets its planned entry. A model that did not
    arrive keeps the entry that we wrote, even if somebody edited it since, or has none. No model is registered before
    its bytes are verified.
    """
    places = {model_id: (receipt.claim, receipt.sub_path) for model_id, receipt in receipts.items()}
    by_id: dict[str, Manifest] = {str(entry["model_id"]): entry for entry in _entries(environment, places)}
    standing = {model_id: entry.written for model_id, entry in state.ours.items()}
    ordered = [by_id.get(model.id) or standing.get(model.id) for model in environment.models]
    return tuple(entry for entry in ordered if entry is not None)


def _require_unregistered(world: World) -> None:
    """Pulumi removes nothing if its state was lost; fail if our entries remain."""
    environment = world.environment
    try:
        standing = world.port(REGISTRY).look((), frozenset()).ours
    except PreconditionError as error:
        if error.code == "cr-absent":
            return
        raise
    if standing:
        raise PreconditionError(
            f"{', '.join(standing)} is still registered in {environment.cluster.custom_resource}: "
            f"the state in {environment.state.backend} does not know of it",
            remedy=f"correct state.backend, or take the entries back into the state (weighbridge apply {environment.name})"
            " and destroy again",
            code="not-in-state",
        )
