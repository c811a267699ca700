"""PersistentVolumeClaims of an environment: their names, and what was seen of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from weighbridge.domain.facts import Key
from weighbridge.domain.human import size
from weighbridge.domain.naming import ENVIRONMENT_LABEL, claim_name
from weighbridge.domain.quantity import parse_bytes
from weighbridge.environment.types import Environment, Model


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimFacts:
    """One PersistentVolumeClaim in the cluster."""

    name: str
    uid: str
    phase: str
    """``Pending``, ``Bound`` or ``Lost``."""
    requested_bytes: int
    storage_class: str | None
    capacity_bytes: int | None = None
    """Bytes of its volume, as the provisioner reports them; ``None`` without a volume."""
    volume_mode: str = "Filesystem"
    """``Filesystem`` or ``Block``."""
    access_modes: tuple[str, ...] = ()
    owner: str | None = None
    """The environment in the claim's label; ``None`` if the claim is not weighbridge's."""
    terminating: bool = False

    @property
    def room_bytes(self) -> int:
        """Bytes that it can hold, as far as the cluster knows. NFS, for example, does not enforce this."""
        return self.requested_bytes if self.capacity_bytes is None else self.capacity_bytes


def claim_seen(found: Mapping[str, Any]) -> ClaimFacts:
    """Read a PersistentVolumeClaim in the API server's form."""
    metadata, spec, status = found["metadata"], found.get("spec") or {}, found.get("status") or {}
    capacity = (status.get("capacity") or {}).get("storage")
    return ClaimFacts(
        name=metadata["name"],
        uid=metadata["uid"],
        phase=status.get("phase") or "Pending",
        requested_bytes=parse_bytes(
            ((spec.get("resources") or {}).get("requests") or {}).get("storage", "0")
        ),
        storage_class=spec.get("storageClassName"),
        capacity_bytes=None if capacity is None else parse_bytes(capacity),
        volume_mode=spec.get("volumeMode") or "Filesystem",
        access_modes=tuple(spec.get("accessModes") or ()),
        owner=(metadata.get("labels") or {}).get(ENVIRONMENT_LABEL),
        terminating=bool(metadata.get("deletionTimestamp")),
    )


CLAIM: Final[Key[ClaimFacts | None]] = Key("claim")
"""By model id: the claim for its weights; ``None`` if it does not exist yet."""


BOUND: Final[Key[bool]] = Key("claim bound")
"""By claim name: whether the claim exists and is bound; nothing if it could not be read."""


def claim_of(environment: Environment, model: Model) -> str:
    """Return the name of the claim for a model's weights: ours, or the existing one that the file names."""
    return model.storage.existing_pvc or claim_name(environment.name, model.id)


def holds_no_weights(claim: ClaimFacts, set_bytes: int | None) -> tuple[str, str, str] | None:
    """Return why this claim can never hold the weights (what, remedy and code), or ``None`` if it can.

    ``set_bytes``: bytes of the set that is to come; ``None`` if there is none or it is unknown. Kubernetes,
    "Persistent Volumes": "Volume Mode", "Access Modes".
    """
    if claim.volume_mode == "Block":
        return (
            f"PersistentVolumeClaim {claim.name} is a raw block device (volumeMode Block), which holds no files",
            "name a claim with volumeMode Filesystem",
            "claim-block",
        )
    if claim.access_modes and set(claim.access_modes) <= {"ReadOnlyMany"}:
        return (
            f"PersistentVolumeClaim {claim.name} can only be read (accessModes: ReadOnlyMany)",
            "name a claim with ReadWriteMany, or ReadWriteOnce where one node serves",
            "claim-read-only",
        )
    if set_bytes is not None and claim.room_bytes < set_bytes:
        return (
            f"PersistentVolumeClaim {claim.name} has {size(claim.room_bytes)}, and the files alone need {size(set_bytes)}",
            "enlarge the claim, or name a larger one",
            "claim-too-small",
        )
    return None


def claims(environment: Environment) -> tuple[str, ...]:
    """Return the names of all claims with weights."""
    return tuple(claim_of(environment, model) for model in environment.models)


def own_claims(environment: Environment) -> tuple[str, ...]:
    """Return the names of the claims that weighbridge makes."""
    return tuple(
        claim_of(environment, model) for model in environment.models if model.storage.existing_pvc is None
    )
