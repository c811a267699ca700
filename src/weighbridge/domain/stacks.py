"""Pulumi stacks as values: what is declared, what a preview shows, what an update did. Nothing here knows Pulumi."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, Self, TypeAlias

from weighbridge.domain.digest import Json

CONTEXT_VARIABLE: Final = "WEIGHBRIDGE_KUBE_CONTEXT"
"""Names the context for our provider's process. It wins over the context in inputs and state, because the same
cluster may have another name on another machine.
"""
IN_CLUSTER_VARIABLE: Final = "WEIGHBRIDGE_IN_CLUSTER"
"""``true``: use the pod's own service account, even if there is a kubeconfig."""
SEEN_VARIABLE: Final = "WEIGHBRIDGE_SEEN"
"""Names a file for our provider's process, with what the plan saw, in the form of ``seen_json``."""

Manifest: TypeAlias = Mapping[str, Json]
"""One Kubernetes object, parsed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A kind of stack: what the engine must know before its program runs. Light; imports no program.

    The defaults are the safe ones, for a stack that does not set them.
    """

    name: str
    """``storage``, ``registration``: also the end of Pulumi's project name."""
    plugin: str
    """``kubernetes`` or ``weighbridge``: the Pulumi plugin that makes its resources."""
    declare: str
    """``module:function``, a callable that takes a ``StackSpec``; imported when a program runs."""
    verify_cluster: bool = True
    """Whether the engine compares the cluster that Pulumi would reach with the intended one before it writes.
    ``False`` for a stack whose own provider does this.
    """
    protect: bool = True
    """Whether everything that it declares is protected: a plain destroy neither unprotects nor deletes it."""
    retained: frozenset[str] = frozenset()
    """Pulumi's types of resources that are kept when they are no longer declared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterIdentity:
    """The cluster of a stack. A state that was written for another ``uid`` is refused."""

    uid: str
    """UID of the ``kube-system`` namespace."""
    namespace: str
    """The operands namespace."""
    context: str | None = None
    """kubeconfig context; ``None`` is the current one, unless ``in_cluster``."""
    in_cluster: bool = False
    """Use the pod's own service account, even if there is a kubeconfig."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSpec:
    """One stack of one environment, complete. The same value gives the same preview on any machine."""

    environment: str
    cluster: ClusterIdentity
    stack: Stack
    manifests: tuple[Manifest, ...]
    """The declared objects, in the order of the environment file: claims, or entries of the custom resource."""
    settings: Mapping[str, Json] = field(default_factory=dict)
    """Further settings for its program."""
    seen: Mapping[str, str] = field(default_factory=dict)
    """What stood in the cluster at plan time: model id → digest of the live entry, empty if there was none. It is not
    an input: it reaches our provider beside the inputs when something is written, and a replaced entry is refused. An
    entry without a key here is not compared.
    """

    @property
    def name(self) -> str:
        return self.stack.name


def seen_json(spec: StackSpec) -> Json:
    """Return ``spec.seen`` with the objects that it describes."""
    return {
        "namespace": spec.cluster.namespace,
        "settings": dict(spec.settings),
        "seen": dict(spec.seen),
    }


def manifest_name(manifest: Manifest) -> str:
    """Return ``metadata.name``, which is also Pulumi's name of the resource; empty if there is none."""
    metadata = manifest.get("metadata")
    return str(metadata.get("name", "")) if isinstance(metadata, Mapping) else ""


class Op(StrEnum):
    """What happens to one resource."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    IMPORT = "import"
    """It exists in the cluster and is ours, but the state has lost it. It is taken into the state as it is."""


@dataclass(frozen=True, slots=True)
class PropertyChange:
    """One property that differs between the cluster (or the last state) and what is declared."""

    path: str
    """In Pulumi's form: ``spec.resources.requests.storage``, ``metadata.labels["example.com/a"]``."""
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
    """Somebody else edited or removed the object in the cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackPreview:
    """What an update would do now. The preview wrote nothing, neither to the cluster nor to the state."""

    stack: str
    exists: bool
    """Whether the state already holds this stack."""
    changes: tuple[ResourceChange, ...]
    unchanged: int
    """How many declared resources would stay as they are."""
    kept: tuple[str, ...] = ()
    """Protected resources that the environment no longer declares: they stay unchanged."""
    seconds: float = 0.0

    @property
    def pending(self) -> bool:
        return bool(self.changes)

    @property
    def taken_back(self) -> tuple[str, ...]:
        """Return what exists in the cluster and would be taken into the state."""
        return tuple(change.name for change in self.changes if change.op is Op.IMPORT)

    def taking_back(self, standing: Collection[str]) -> Self:
        """Return the same preview, but import those of ``standing`` that the state has lost, instead of creating them."""
        return replace(self, changes=imported(self.changes, standing))


def imported(changes: tuple[ResourceChange, ...], standing: Collection[str]) -> tuple[ResourceChange, ...]:
    """Return ``changes``, with import instead of create for what is already in ``standing``."""
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
    """Only outputs that weighbridge names itself; never a secret."""
    kept: tuple[str, ...] = ()
    """Protected resources that were left in place: no longer declared, or not released by a destroy."""
    seconds: float = 0.0

    @property
    def changed(self) -> bool:
        return bool(self.changes)
