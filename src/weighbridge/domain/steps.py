"""Steps: frozen values that say what is to be done, named by a digest of what was known when they were planned."""

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from weighbridge.domain.digest import Json, digest
from weighbridge.environment.types import Route

_SHORT = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclareStack:
    """Make one Pulumi stack what its manifests say."""

    kind: ClassVar[str] = "declare-stack"
    stack: str
    inputs_digest: str
    """Digest of the stack's manifests."""

    @property
    def title(self) -> str:
        return f"stack {self.stack}"

    def as_json(self) -> Json:
        return {"kind": self.kind, "stack": self.stack, "inputs": self.inputs_digest}


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncWeights:
    """Bring one model's files from its source into its volume, verified and published as one set."""

    kind: ClassVar[str] = "sync-weights"
    model_id: str
    fingerprint: str
    """Of the source: the digest of the content is an outcome, not known at plan time."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitReconciled:
    """Wait until the operator has taken in what the registration stack wrote, and not before."""

    kind: ClassVar[str] = "await-reconciled"
    custom_resource: str
    entries_digest: str

    @property
    def title(self) -> str:
        return f"operator reconciles {self.custom_resource}"

    def as_json(self) -> Json:
        return {"kind": self.kind, "custom_resource": self.custom_resource, "entries": self.entries_digest}


Step: TypeAlias = DeclareStack | SyncWeights | AwaitReconciled


def step_key(step: Step) -> str:
    """``<kind>:<12 hex digits>``: the same step planned twice has the same key."""
    return f"{step.kind}:{digest(step.as_json()).removeprefix('sha256:')[:_SHORT]}"
