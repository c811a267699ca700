"""What each template needs: one frozen dataclass a template, and not a name more (a test holds that).

Every class names its template. Field values are plain JSON values or tuples and dicts of them.
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
    """Our entries of the ``Watsonxaiifm`` resource, and nothing of anybody else's."""

    template: ClassVar[str] = "watsonxaiifm.yaml.j2"
    name: str
    namespace: str
    entries: tuple[EntryItem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderContext:
    """The ConfigMap that a mover or rsync pod reads: what to do, and the program that does it."""

    template: ClassVar[str] = "order-configmap.yaml.j2"
    name: str
    namespace: str
    labels: Labels
    texts: dict[str, str]
    """File name → text: ``order.json``; where needed ``ca.pem``, ``rsyncd.conf``."""
    archive: str
    """``mover.pyz``, base64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSettings:
    """What the environment says of every short-lived pod (``pods:``, ``proxy:``), resolved."""

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
    """The Job that fetches, publishes or verifies one set, or that only looks."""

    template: ClassVar[str] = "mover-job.yaml.j2"
    name: str
    namespace: str
    labels: Labels
    annotations: dict[str, str]
    verb: str
    """``fetch``, ``publish``, ``verify`` or ``probe``."""
    pod: PodSettings
    claim: str | None
    """``None``: a folder of the pod's own in its place, for a probe that comes before the claim."""
    order: str
    """Name of the order ConfigMap."""
    credentials: str | None
    """Name of the Secret with the source's keys; only ``fetch`` and ``probe`` have one."""
    trust: bool
    """Whether the order ConfigMap holds ``ca.pem``."""
    deadline_seconds: int
    retries: int
    keep_seconds: int
    """How long a finished Job stays where nobody removes it."""


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
    """The ConfigMap that mirrors the receipts of one environment; every model's run adds its own key."""

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
    """``MicroTime``, as ``renewed``."""
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
    """A Role; a ClusterRole where ``namespace`` is ``None``."""

    template: ClassVar[str] = "rbac-role.yaml.j2"
    name: str
    namespace: str | None
    labels: Labels
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleBindingContext:
    """Binds the role of the same name and scope to ``account``, or where that is ``None`` to ``group``."""

    template: ClassVar[str] = "rbac-binding.yaml.j2"
    name: str
    namespace: str | None
    labels: Labels
    account: Account | None
    group: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyContext:
    """The ValidatingAdmissionPolicy for what one environment's account makes; ``account`` or ``group`` as in a binding."""

    template: ClassVar[str] = "policy.yaml.j2"
    name: str
    labels: Labels
    account: Account | None
    group: str | None
    environment: str
    environment_label: str
    images: tuple[str, ...]
    service_account: str
    """Of the pods."""
    claims: tuple[str, ...]
    secrets: tuple[str, ...]
    config_maps: tuple[str, ...]
    pull_secrets: tuple[str, ...]
    storage_classes: tuple[str, ...]
    """None of them: any class but the empty one, because the file leaves one to the cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyBindingContext:
    """Puts the policy of the same name into force."""

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
