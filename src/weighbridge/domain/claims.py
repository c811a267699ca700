"""PersistentVolumeClaims of an environment: what they are called, and what was seen of them."""

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
    """One PersistentVolumeClaim as the cluster holds it."""

    name: str
    uid: str
    phase: str
    """``Pending``, ``Bound`` or ``Lost``."""
    requested_bytes: int
    storage_class: str | None
    capacity_bytes: int | None = None
    """Of the volume behind it, as its provisioner says; ``None`` while there is none."""
    volume_mode: str = "Filesystem"
    """``Filesystem`` or ``Block``."""
    access_modes: tuple[str, ...] = ()
    owner: str | None = None
    """The environment whose label the claim carries; ``None`` where it is not one of Weighbridge's."""
    terminating: bool = False

    @property
    def room_bytes(self) -> int:
        """What it holds, as far as the cluster knows: NFS, say, keeps nobody to it."""
        return self.requested_bytes if self.capacity_bytes is None else self.capacity_bytes


def claim_seen(found: Mapping[str, Any]) -> ClaimFacts:
    """Of a PersistentVolumeClaim as the API server answers it."""
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
"""By model id: the claim that its weights lie on; ``None`` where there is none yet."""


BOUND: Final[Key[bool]] = Key("claim bound")
"""By claim's name: whether it is there and bound; nothing where it could not be read."""


def claim_of(environment: Environment, model: Model) -> str:
    """The claim a model's weights live in: one of ours, or the existing one that the file names."""
    return model.storage.existing_pvc or claim_name(environment.name, model.id)


def holds_no_weights(claim: ClaimFacts, set_bytes: int | None) -> tuple[str, str, str] | None:
    """Why nothing can be brought into this claim, whatever a pod says later: what, remedy and code; ``None``: it can.

    ``set_bytes``: of the set that is to come, ``None`` where none is or it is not known. Kubernetes, "Persistent Volumes":
    "Volume Mode", "Access Modes".
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
    """Names of all claims that weights lie on."""
    return tuple(claim_of(environment, model) for model in environment.models)


def own_claims(environment: Environment) -> tuple[str, ...]:
    """Names of the claims that Weighbridge makes."""
    return tuple(
        claim_of(environment, model) for model in environment.models if model.storage.existing_pvc is None
    )
