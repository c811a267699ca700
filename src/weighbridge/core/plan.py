"""The plan: which steps there are, which of them are pending, and why. A pure function of environment and facts."""

from dataclasses import dataclass

from weighbridge.domain.digest import Json, digest
from weighbridge.domain.facts import Facts, ModelFacts
from weighbridge.domain.naming import claim_name
from weighbridge.domain.stacks import Op, StackPreview
from weighbridge.domain.steps import AwaitReconciled, DeclareStack, Step, SyncWeights, step_key
from weighbridge.domain.weights import SourceListing, sub_path_of
from weighbridge.environment.types import Environment, Model


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    step: Step
    pending: bool
    reason: str
    """Why it must run, or why nothing needs to be done."""
    bytes_to_move: int = 0

    @property
    def key(self) -> str:
        return step_key(self.step)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    environment: str
    custom_resource: str
    facts: Facts
    steps: tuple[PlannedStep, ...]

    @property
    def pending(self) -> bool:
        return any(step.pending for step in self.steps)

    @property
    def bytes_to_move(self) -> int:
        return sum(step.bytes_to_move for step in self.steps)

    @property
    def digest(self) -> str:
        """Names the plan: same steps, same digest, wherever it was made."""
        rows: list[Json] = [[planned.key, planned.pending] for planned in self.steps]
        return digest({"environment": self.environment, "steps": rows})


def claim_of(environment: Environment, model: Model) -> str:
    """The claim a model's weights live in: one of ours, or the existing one that the file names."""
    return model.storage.existing_pvc or claim_name(environment.name, model.id)


def build_plan(environment: Environment, facts: Facts) -> Plan:
    """The steps of ``apply`` in their order."""
    steps: list[PlannedStep] = []
    if facts.storage is not None:
        steps.append(_stack(facts.storage, digest([dict(claim) for claim in facts.claims])))
    steps += [_weights(environment, model, facts.models[model.id]) for model in environment.models]
    entries = digest([dict(entry) for entry in facts.wanted_entries])
    registration = _stack(facts.registration, entries)
    steps.append(registration)
    waiting = AwaitReconciled(custom_resource=environment.cluster.custom_resource, entries_digest=entries)
    if registration.pending:
        steps.append(PlannedStep(step=waiting, pending=True, reason="after the registration is written"))
    else:
        steps.append(
            PlannedStep(
                step=waiting,
                pending=facts.unreconciled is not None,
                reason=facts.unreconciled or "Completed, 100 %, later than the last change of the list",
            )
        )
    return Plan(
        environment=environment.name,
        custom_resource=environment.cluster.custom_resource,
        facts=facts,
        steps=tuple(steps),
    )


def sync_step(environment: Environment, model: Model, listing: SourceListing) -> SyncWeights:
    """The step that brings a model's weights in."""
    return SyncWeights(
        model_id=model.id,
        fingerprint=listing.fingerprint,
        claim=claim_of(environment, model),
        sub_path=sub_path_of(model.id, listing.fingerprint),
        files=len(listing.files),
        total_bytes=listing.total_bytes,
        routes=model.routes,
    )


def why_sync(facts: ModelFacts) -> str | None:
    """Why the weights must be brought in (again), or ``None`` where the cluster holds the verified set already."""
    receipt, claim = facts.receipt, facts.claim
    if claim is None:
        return "its volume does not exist yet"
    if receipt is None:
        return "never brought in"
    if receipt.claim_uid != claim.uid:
        return f"volume {claim.name} is not the one of the receipt: it was made anew since"
    if receipt.fingerprint != facts.listing.fingerprint:
        return "the source has changed since"
    if receipt.verdict == "damaged":
        named = ", ".join(receipt.damaged) or "files not named"
        return f"damaged at the verification of {receipt.verified_at}: {named}"
    return None


def _weights(environment: Environment, model: Model, facts: ModelFacts) -> PlannedStep:
    step = sync_step(environment, model, facts.listing)
    reason = why_sync(facts)
    if reason is None and facts.receipt is not None:
        return PlannedStep(step=step, pending=False, reason=f"verified {facts.receipt.verified_at}")
    return PlannedStep(step=step, pending=True, reason=reason or "", bytes_to_move=_bytes(facts))


def _bytes(facts: ModelFacts) -> int:
    receipt = facts.receipt
    repair = (
        receipt is not None
        and receipt.verdict == "damaged"
        and receipt.damaged
        and receipt.fingerprint == facts.listing.fingerprint
        and facts.claim is not None
        and receipt.claim_uid == facts.claim.uid
    )
    if repair and receipt is not None:
        return sum(file.size for file in facts.listing.files if file.path in receipt.damaged)
    return facts.listing.total_bytes


def _stack(preview: StackPreview, inputs: str) -> PlannedStep:
    step = DeclareStack(stack=preview.stack, inputs_digest=inputs)
    if not preview.changes:
        return PlannedStep(step=step, pending=False, reason=f"preview empty, {preview.unchanged} as declared")
    drifted = [change.name for change in preview.changes if change.drifted]
    reason = f"edited from outside: {', '.join(drifted)}" if drifted else _counted(preview)
    return PlannedStep(step=step, pending=True, reason=reason)


def _counted(preview: StackPreview) -> str:
    counts: dict[Op, int] = {}
    for change in preview.changes:
        counts[change.op] = counts.get(change.op, 0) + 1
    taken = counts.pop(Op.IMPORT, 0)
    words = [f"{number} to {op.value}" for op, number in counts.items()]
    if taken:
        words.insert(0, f"{taken} in the cluster, not in the state: will be taken into the state")
    return ", ".join(words)
