"""Handle flaws of a model's files: refuse them before the set is brought in, only report them if it is in place."""

from collections.abc import Iterator

from weighbridge.core.step import WARNINGS, World
from weighbridge.domain.claims import CLAIM, ClaimFacts
from weighbridge.domain.facts import Facts
from weighbridge.domain.model.flaws import Flaw
from weighbridge.domain.model.judge import refusal
from weighbridge.domain.weights import LISTING, RECEIPT, Receipt, SourceListing
from weighbridge.environment.types import Environment, Model
from weighbridge.errors import PreconditionError
from weighbridge.processes.at_once import AT_ONCE, at_once
from weighbridge.steps.weights.made import WEIGHTS


def look_at_models(world: World, facts: Facts) -> None:
    """Put ``LISTING`` of every model again, now with the flaws of its files. For a set in place, read hardly
    anything: it was checked when it was brought in.
    """
    models, weights = world.environment.models, world.port(WEIGHTS)

    def look(model: Model) -> SourceListing:
        listing = facts.known(LISTING, model.id)
        in_place = is_in_place(listing, facts.one(CLAIM, model.id), facts.one(RECEIPT, model.id))
        return weights.look(model, listing, in_place=in_place)

    for model, listing in zip(models, at_once(look, models, AT_ONCE), strict=True):
        facts.put(LISTING, listing, model.id)


def judge_models(environment: Environment, facts: Facts, step: str) -> None:
    """Put the ``WARNINGS`` of all models. Raise ``PreconditionError`` for the first refused model, before anything is moved."""
    told: list[str] = []
    for model in environment.models:
        listing = facts.known(LISTING, model.id)
        in_place = is_in_place(listing, facts.one(CLAIM, model.id), facts.one(RECEIPT, model.id))
        if not in_place and (refused := refused_model(model, listing)) is not None:
            raise refused
        told += [f"{model.id}: {text}" for text in _warnings(listing.flaws, in_place=in_place)]
    facts.put(WARNINGS, tuple(told), step)


def refused_model(model: Model, listing: SourceListing) -> PreconditionError | None:
    return refusal(listing.flaws, f"model {model.id}, {model.source.chosen.where}")


def is_in_place(listing: SourceListing, claim: ClaimFacts | None, receipt: Receipt | None) -> bool:
    """Return whether this very set is on the claim's present volume. A damaged set counts: it is repaired, not judged again."""
    return (
        claim is not None
        and receipt is not None
        and receipt.claim_uid == claim.uid
        and receipt.fingerprint == listing.fingerprint
    )


def _warnings(flaws: tuple[Flaw, ...], *, in_place: bool) -> Iterator[str]:
    for flaw in flaws:
        yield f"{flaw.told} (the set is in place and stays)" if flaw.refused and in_place else flaw.told
