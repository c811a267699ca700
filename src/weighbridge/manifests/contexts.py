"""What each template needs: one frozen dataclass for each template, without a name too many (a test checks that).

Every class names its template. Field values are plain JSON values, or tuples and dicts of them.
"""

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from weighbridge.domain.access import Rule
from weighbridge.domain.digest import Json

Labels: TypeAlias = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimContext:
    """A PersistentVolumeClaim of one model."""

    template: ClassVar[str] = "pvc.yaml.j2"
    name: str
    namespace: str
    labels: Labels
    storage_class: str | None
    access_mode: str
    size: str
    """A Kubernetes quantity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterItem:
    """One item of an entry's ``parameters``; ``None`` leaves the key out."""

    name: str
    default: Json
    min: int | float | None
    max: int | float | None
    options: tuple[Json, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryItem:
    """One item of ``spec.custom_foundation_models`` (IBM Software Hub 5.x, "Properties and parameters for custom
    foundation models").
    """

    model_id: str
    claim: str
    sub_path: str
    tags: tuple[str, ...]
    functions: tuple[str, ...]
    parameters: tuple[ParameterItem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationContext:
    """Only our entries of the ``Watsonxaiifm`` resource, none of others."""

    template: ClassVar[str] = "watsonxaiifm.yaml.j2"
    name: str
    namespace: str
    entries: tuple[EntryItem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderContext:
    """The ConfigMap that a mover or rsync pod reads: its order, and the program that carries it out."""

    template: ClassVar[str] = "order-configmap.yaml.j2"
    name: str
    namespace: str
    labels: Labels
    texts: dict[str, str]
    """File name → text: ``order.json``, and if needed ``ca.pem`` and ``rsyncd.conf``."""
    archive: str
    """``mover.pyz`` in base64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSettings:
    """What the environment says about every short-lived pod (``pods:``, ``proxy:``), resolved."""

    image: str
    pull_secret: str | None
    service_account: str | None
    labels: Labels
    node_selector: dict[str, str]
    tolerations: tuple[dict[str, str], ...]
    requests: dict[str, str]
    limits: dict[str, str]
    proxy: tuple[tuple[str, str], ...]
    """Environment variables (name, value)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MoverJobContext:
    """The Job that fetches, publishes or verifies one set, or only probes."""

    template: ClassVar[str] = "mover-job.yaml.j2"
    name: str
    namespace: str
    labels: Labels
    annotations: dict[str, str]
    verb: str
    """``fetch``, ``publish``, ``verify`` or ``probe``."""
    pod: PodSettings
    claim: str | None
    """``None``: use a folder of the pod instead, for a probe before the claim exists."""
    order: str
    """Name of the order ConfigMap."""
    credentials: str | None
    """Name of the Secret with the source's keys, only for ``fetch`` and ``probe``."""
    trust: bool
    """Whether the order ConfigMap holds ``ca.pem``."""
    deadline_seconds: int
    retries: int
    keep_seconds: int
    """How long a finished Job stays if nobody removes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RsyncPodContext:
    """The pod that receives pushed files: an rsync daemon on its own loopback interface."""

    template: ClassVar[str] = "rsync-pod.yaml.j2"
    name: str
    namespace: str
    annotations: dict[str, str]
    pod: PodSettings
    claim: str
    order: str
    password: str
    """Name of the Secret with ``rsyncd.secrets``."""
    deadline_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptsContext:
    """The ConfigMap that mirrors the receipts of one environment. Every model's run adds its own key."""

    template: ClassVar[str] = "receipts-configmap.yaml.j2"
    name: str
    namespace: str
    labels: Labels


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseContext:
    """The Lease that one run of an environment holds (coordination.k8s.io/v1)."""

    template: ClassVar[str] = "lease.yaml.j2"
    name: str
    namespace: str
    labels: Labels
    annotations: dict[str, str]
    identity: str
    duration_seconds: int
    acquired: str
    """``MicroTime``, like ``renewed``."""
    renewed: str
    transitions: int


Account: TypeAlias = tuple[str, str]
"""(namespace, name) of a service account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountContext:
    """The service account that runs weighbridge for one environment."""

    template: ClassVar[str] = "rbac-account.yaml.j2"
    name: str
    namespace: str
    labels: Labels


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleContext:
    """A Role, or a ClusterRole if ``namespace`` is ``None``."""

    template: ClassVar[str] = "rbac-role.yaml.j2"
    name: str
    namespace: str | None
    labels: Labels
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleBindingContext:
    """Binds the role of the same name and scope to ``account``, or, if that is ``None``, to ``group``."""

    template: ClassVar[str] = "rbac-binding.yaml.j2"
    name: str
    namespace: str | None
    labels: Labels
    account: Account | None
    group: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyContext:
    """The ValidatingAdmissionPolicy for what one environment's account creates; ``account`` or ``group`` as in a binding."""

    template: ClassVar[str] = "policy.yaml.j2"
    name: str
    labels: Labels
    account: Account | None
    group: str | None
    environment: str
    environment_label: str
    images: tuple[str, ...]
    service_account: str
    """The service account of the pods."""
    claims: tuple[str, ...]
    secrets: tuple[str, ...]
    config_maps: tuple[str, ...]
    pull_secrets: tuple[str, ...]
    storage_classes: tuple[str, ...]
    """Empty: any class but the empty one, because the file leaves one choice to the cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyBindingContext:
    """Enforces the policy of the same name."""

    template: ClassVar[str] = "policy-binding.yaml.j2"
    name: str
    labels: Labels


Context: TypeAlias = (
    ClaimContext
    | RegistrationContext
    | OrderContext
    | MoverJobContext
    | RsyncPodContext
    | ReceiptsContext
    | LeaseContext
    | AccountContext
    | RoleContext
    | RoleBindingContext
    | PolicyContext
    | PolicyBindingContext
)
