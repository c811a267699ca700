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
SEEN_VARIABLE: Final = "WEIGHBRIDGE_SEEN"
"""Names a file for our provider's process: what the plan saw, as ``seen_json`` writes it."""

Manifest: TypeAlias = Mapping[str, Json]
"""One Kubernetes object, parsed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A kind of stack: what the engine has to know of it before its program runs. Light; imports no program.

    The defaults are the safe ones: whoever adds a stack and thinks of nothing gets them.
    """

    name: str
    """``storage``, ``registration``: also the end of Pulumi's project name."""
    plugin: str
    """``kubernetes`` or ``weighbridge``: Pulumi's plugin that its resources are made by."""
    declare: str
    """``module:function``, a callable that takes a ``StackSpec``; imported when a program runs."""
    verify_cluster: bool = True
    """The engine compares the cluster that Pulumi would reach with the one that is meant before it writes. ``False`` for a
    stack whose own provider does this itself.
    """
    protect: bool = True
    """Everything it declares is protected: a plain destroy neither unprotects nor deletes it."""
    retained: frozenset[str] = frozenset()
    """Pulumi's types of what is kept when it is no longer declared."""


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
class StackSpec:
    """One stack of one environment, complete: the same value gives the same preview on any machine."""

    environment: str
    cluster: ClusterIdentity
    stack: Stack
    manifests: tuple[Manifest, ...]
    """What it declares, in the order of the environment file: claims, entries of the custom resource."""
    settings: Mapping[str, Json] = field(default_factory=dict)
    """What else its program needs to know."""
    seen: Mapping[str, str] = field(default_factory=dict)
    """What stood in the cluster when this was planned: model id → digest of the live entry, empty where there was none. It
    is no input: it reaches our provider beside the inputs, when something is written, and whatever has been replaced since is
    refused. What is not named here is not compared.
    """

    @property
    def name(self) -> str:
        return self.stack.name


def seen_json(spec: StackSpec) -> Json:
    """``spec.seen``, and of which objects that is said."""
    return {
        "namespace": spec.cluster.namespace,
        "settings": dict(spec.settings),
        "seen": dict(spec.seen),
    }


def manifest_name(manifest: Manifest) -> str:
    """``metadata.name``, which is also Pulumi's name of the resource; empty where there is none."""
    metadata = manifest.get("metadata")
    return str(metadata.get("name", "")) if isinstance(metadata, Mapping) else ""


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

    stack: str
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

    stack: str
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
