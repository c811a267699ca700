"""The plan of one model's weights: what to bring in, why, and how many bytes that moves. Without side effects."""

from dataclasses import dataclass
from typing import ClassVar

from weighbridge.core.step import PlannedStep
from weighbridge.domain import human
from weighbridge.domain.claims import CLAIM, ClaimFacts, claim_of
from weighbridge.domain.digest import Json
from weighbridge.domain.facts import Facts
from weighbridge.domain.weights import LISTING, RECEIPT, Receipt, SourceListing, sub_path_of
from weighbridge.environment.types import Environment, Model, Route


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncWeights:
    """Bring one model's files from its source into its volume, verified and published as one set."""

    kind: ClassVar[str] = "sync-weights"
    model_id: str
    fingerprint: str
    """Fingerprint of the source. The digest of the content is not known at plan time; it is a result of the transfer."""
    claim: str
    sub_path: str
    files: int
    total_bytes: int
    routes: tuple[Route, ...]

    @property
    def title(self) -> str:
        return f"weights {self.model_id}"

    def as_json(self) -> Json:
        return {
            "kind": self.kind,
            "model": self.model_id,
            "fingerprint": self.fingerprint,
            "claim": self.claim,
            "sub_path": self.sub_path,
        }


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


def planned_weights(
    step: str, environment: Environment, model: Model, facts: Facts, needs: frozenset[str]
) -> PlannedStep:
    """One model's weights, pending or not."""
    listing, receipt = facts.known(LISTING, model.id), facts.one(RECEIPT, model.id)
    claim = facts.one(CLAIM, model.id)
    value = sync_step(environment, model, listing)
    why = why_sync(listing, claim, receipt)
    routes = " or ".join(route.value for route in value.routes)
    size = f"{human.count(value.files, 'file')}, {human.size(value.total_bytes)}"
    lines = [f"{size} by {routes} → {value.claim}:{value.sub_path}"]
    if why is None and receipt is not None:
        return PlannedStep(
            value=value,
            step=step,
            item=model.id,
            needs=needs,
            pending=False,
            reason=f"verified {receipt.verified_at}",
            lines=tuple(lines),
        )
    moves = bytes_to_move(listing, claim, receipt)
    lines.append(f"{human.size(moves)} to move")
    return PlannedStep(
        value=value,
        step=step,
        item=model.id,
        needs=needs,
        pending=True,
        reason=why or "",
        bytes_to_move=moves,
        lines=tuple(lines),
        shows=({"weights": value.as_json(), "bytes": moves},),
    )


def why_sync(listing: SourceListing, claim: ClaimFacts | None, receipt: Receipt | None) -> str | None:
    """Return why the weights must be brought in (again), or ``None`` if the cluster holds the verified set already."""
    if claim is None:
        return "its volume does not exist yet"
    if receipt is None:
        return "never brought in"
    if receipt.claim_uid != claim.uid:
        return f"volume {claim.name} is not the one of the receipt: it was made anew since"
    if receipt.fingerprint != listing.fingerprint:
        return "the source has changed since"
    if receipt.verdict == "damaged":
        named = ", ".join(receipt.damaged) or "files not named"
        return f"damaged at the verification of {receipt.verified_at}: {named}"
    return None


def bytes_to_move(listing: SourceListing, claim: ClaimFacts | None, receipt: Receipt | None) -> int:
    """Return the bytes of all files, or of the damaged files alone if files of this very set are known to be damaged."""
    repair = (
        receipt is not None
        and receipt.verdict == "damaged"
        and receipt.damaged
        and receipt.fingerprint == listing.fingerprint
        and claim is not None
        and receipt.claim_uid == claim.uid
    )
    if repair and receipt is not None:
        return sum(file.size for file in listing.files if file.path in receipt.damaged)
    return listing.total_bytes
