"""PersistentVolumeClaims of an environment: what they are called, and what was seen of them."""

from dataclasses import dataclass
from typing import Final

from weighbridge.domain.facts import Key
from weighbridge.domain.naming import claim_name
from weighbridge.environment.types import Environment, Model


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimFacts:
    """One PersistentVolumeClaim as the cluster holds it."""

    name: str
    uid: str
    phase: str
    """``Pending``, ``Bound`` or ``Lost``."""
    requested_bytes: int
    storage_class: str | None
    owner: str | None = None
    """The environment whose label the claim carries; ``None`` where it is not one of Weighbridge's."""
    terminating: bool = False


CLAIM: Final[Key[ClaimFacts | None]] = Key("claim")
"""By model id: the claim that its weights lie on; ``None`` where there is none yet."""


BOUND: Final[Key[bool]] = Key("claim bound")
"""By claim's name: whether it is there and bound; nothing where it could not be read."""


def claim_of(environment: Environment, model: Model) -> str:
    """The claim a model's weights live in: one of ours, or the existing one that the file names."""
    return model.storage.existing_pvc or claim_name(environment.name, model.id)


def claims(environment: Environment) -> tuple[str, ...]:
    """Names of all claims that weights lie on."""
    return tuple(claim_of(environment, model) for model in environment.models)


def own_claims(environment: Environment) -> tuple[str, ...]:
    """Names of the claims that Weighbridge makes."""
    return tuple(
        claim_of(environment, model) for model in environment.models if model.storage.existing_pvc is None
    )
