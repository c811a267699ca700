"""What the cluster holds of an environment's weights: claims and receipts. Several steps read it, alone or together."""

from collections.abc import Collection
from typing import Final, Protocol

from weighbridge.core.port import Port
from weighbridge.core.step import World
from weighbridge.domain.claims import CLAIM, ClaimFacts, claim_of, holds_no_weights
from weighbridge.domain.facts import Facts, Key
from weighbridge.domain.weights import LISTING, RECEIPT, Receipt
from weighbridge.environment.types import Environment, Model
from weighbridge.errors import Place, PreconditionError
from weighbridge.processes.at_once import AT_ONCE, at_once


class Holdings(Protocol):
    """Reads of the operands namespace; only ``forget`` writes."""

    def require_storage_class(self, name: str, key: str) -> str | None:
        """Raise ``PreconditionError`` if there is no such class; ``key`` is the place in the environment file. Return
        in words what could not be checked.
        """
        ...

    def claim(self, name: str) -> ClaimFacts | None: ...

    def receipts(self, environment: str) -> dict[str, Receipt]:
        """Return the receipts by model id."""
        ...

    def forget(self, environment: str, claims: Collection[str]) -> None:
        """Delete the receipts of what was on these claims. Call it only after the claims are gone."""
        ...


HOLDINGS: Final[Port[Holdings]] = Port("holdings", lambda shop: shop.cluster)
_LOOKED: Final[Key[Environment]] = Key("holdings looked at")


def look_at_holdings(world: World, facts: Facts) -> None:
    """Put in ``CLAIM`` and ``RECEIPT`` of every model, once. Raise ``PreconditionError`` for a claim that cannot be used."""
    if facts.one(_LOOKED) is not None:
        return
    environment, holdings = world.environment, world.port(HOLDINGS)
    facts.put_all(RECEIPT, holdings.receipts(environment.name))
    claims = at_once(holdings.claim, [claim_of(environment, model) for model in environment.models], AT_ONCE)
    for index, (model, claim) in enumerate(zip(environment.models, claims, strict=True)):
        _require_usable(environment, model, index, claim, _to_come(facts, model))
        facts.put(CLAIM, claim, model.id)
    facts.put(_LOOKED, environment)


def holds(facts: Facts, model_id: str) -> Receipt | None:
    """Return the receipt of a verified set, if its volume is still the one on which it was published."""
    receipt, claim = facts.one(RECEIPT, model_id), facts.one(CLAIM, model_id)
    if receipt is None or claim is None or receipt.verdict != "verified" or receipt.claim_uid != claim.uid:
        return None
    return receipt


def _to_come(facts: Facts, model: Model) -> int | None:
    """Return the bytes of the set to be brought in; ``None`` if it is there already, or was not looked at."""
    listing, receipt = facts.one(LISTING, model.id), facts.one(RECEIPT, model.id)
    if listing is None or (receipt is not None and receipt.fingerprint == listing.fingerprint):
        return None
    return listing.total_bytes


def _require_usable(
    environment: Environment, model: Model, index: int, claim: ClaimFacts | None, set_bytes: int | None
) -> None:
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
    # A claim of ours grows with its sets, and we chose its properties ourselves.
    if model.storage.existing_pvc is not None and (why := holds_no_weights(claim, set_bytes)) is not None:
        what, remedy, code = why
        raise PreconditionError(what, remedy=remedy, place=Place(key=key), code=code)
