"""Pulumi stacks as values: what is declared, what a preview shows, what an update did. Nothing here knows Pulumi."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, Self, TypeAlias

from weighbridge.domain.digest import Json

CONTEXT_VARIABLE: Final = "WEIGHBRIDGE_KUBE_CONTEXT"
"""Tells our provider's process the context, over that of inputs and state: on another machine the same cluster may go by
another name.
"""
IN_CLUSTER_VARIABLE: Final = "WEIGHBRIDGE_IN_CLUSTER"
"""``true``: the pod's own service account is meant, whatever kubeconfig there is."""

Manifest: TypeAlias = Mapping[str, Json]
"""One Kubernetes object, parsed."""


class StackName(StrEnum):
    STORAGE = "storage"
    REGISTRATION = "registration"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterIdentity:
    """Which cluster a stack belongs to. A state that was written for another ``uid`` is refused."""

    uid: str
    """UID of the ``kube-system`` namespace."""
    namespace: str
    """The operands namespace."""
    context: str | None = None
    """kubeconfig context; ``None`` is the current one, unless ``in_cluster``."""
    in_cluster: bool = False
    """By the pod's own service account, whatever kubeconfig there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageInputs:
    """Every PersistentVolumeClaim of ours in the environment."""

    claims: tuple[Manifest, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationInputs:
    """Every entry of ours in one ``Watsonxaiifm`` resource."""

    custom_resource: str
    entries: tuple[Manifest, ...]
    """Items of ``spec.custom_foundation_models``, in the order of the environment file."""
    adopt: tuple[str, ...] = ()
    """``model_id``s that may be taken over from whoever wrote them; otherwise such an entry is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSpec:
    """One stack of one environment, complete: the same value gives the same preview on any machine."""

    environment: str
    cluster: ClusterIdentity
    inputs: StorageInputs | RegistrationInputs

    @property
    def name(self) -> StackName:
        return StackName.STORAGE if isinstance(self.inputs, StorageInputs) else StackName.REGISTRATION


class Op(StrEnum):
    """What happens to one resource."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    IMPORT = "import"
    """It stands in the cluster and is ours, but the state has lost it: it is taken into the state as it stands."""


@dataclass(frozen=True, slots=True)
class PropertyChange:
    """One property that differs between the cluster (or the last state) and what is declared."""

    path: str
    """As Pulumi writes it: ``spec.resources.requests.storage``, ``metadata.labels["example.com/a"]``."""
    kind: str
    """``add``, ``delete`` or ``update``."""
    before: Json = None
    after: Json = None


@dataclass(frozen=True, slots=True)
class ResourceChange:
    """One resource that a stack would change, or has changed."""

    type: str
    """``v1/PersistentVolumeClaim``, ``weighbridge/Registrations``: the type without Pulumi's prefixes."""
    name: str
    op: Op
    diffs: tuple[PropertyChange, ...] = ()
    drifted: bool = False
    """The object in the cluster was edited or removed by somebody else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackPreview:
    """What an update would do now. Previewing wrote nothing, neither to the cluster nor to the state."""

    stack: StackName
    exists: bool
    """Whether the state holds this stack already."""
    changes: tuple[ResourceChange, ...]
    unchanged: int
    """How many declared resources would stay as they are."""
    kept: tuple[str, ...] = ()
    """Protected resources that the environment no longer declares: they stay as they are."""
    seconds: float = 0.0

    @property
    def pending(self) -> bool:
        return bool(self.changes)

    @property
    def taken_back(self) -> tuple[str, ...]:
        """What stands in the cluster and would be taken into the state."""
        return tuple(change.name for change in self.changes if change.op is Op.IMPORT)

    def taking_back(self, standing: Collection[str]) -> Self:
        """The same, where those of ``standing`` that the state has lost are not created but taken back."""
        return replace(self, changes=imported(self.changes, standing))


def imported(changes: tuple[ResourceChange, ...], standing: Collection[str]) -> tuple[ResourceChange, ...]:
    """``changes``, where declaring what is in ``standing`` already makes nothing new."""
    return tuple(
        replace(change, op=Op.IMPORT) if change.op is Op.CREATE and change.name in standing else change
        for change in changes
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StackResult:
    """What an update or a destroy did."""

    stack: StackName
    changes: tuple[ResourceChange, ...]
    unchanged: int
    outputs: Mapping[str, Json] = field(default_factory=dict)
    """Only outputs that Weighbridge names itself; never a secret."""
    kept: tuple[str, ...] = ()
    """Protected resources that were left in place: no longer declared, or not given up by a destroy."""
    seconds: float = 0.0

    @property
    def changed(self) -> bool:
        return bool(self.changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class StackRun:
    """One earlier operation on a stack, from the state's history."""

    kind: str
    """``update``, ``refresh``, ``destroy``, ``import``."""
    result: str
    """``succeeded``, ``failed`` or ``in-progress``."""
    started_at: str
    """RFC 3339, UTC."""
    changes: Mapping[str, int]
    """Resources by operation, e.g. ``{"create": 2}``."""
