"""What the doctor needs from the world. Every method reads and writes nothing, except ``pod``. Each may raise
``errors.WeighbridgeError`` and nothing else, and each ends within its own deadline.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from weighbridge.core.port import Port
from weighbridge.domain.access import Access
from weighbridge.domain.weights import SourceListing
from weighbridge.environment.types import Environment, Model
from weighbridge.errors import WeighbridgeError
from weighbridge.watsonx.custom_resource import LiveCustomResource

Object: TypeAlias = Mapping[str, Any]
"""One Kubernetes object, as in the API server's answer."""

Stage: TypeAlias = Mapping[str, Any]
"""One finding of ``mover/endpoint.py``: ``stage``, ``ok``, ``said``, and ``code`` if it failed."""


@dataclass(frozen=True, slots=True)
class Document:
    """One object for a dry run."""

    body: dict[str, Any]
    optional: bool = False
    """Do not report that a user may not create it: a run does not create it either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A program or library on this machine, or another thing that a run needs."""

    name: str
    version: str | None = None
    place: str | None = None
    problem: str | None = None
    remedy: str | None = None
    needed: bool = True
    """``False``: something else can replace it, or only one of several routes needs it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The API server."""

    where: str
    version: str
    """``v1.34.4``"""
    user: str | None
    """The user that it sees; ``None`` if it does not tell (SelfSubjectReview, Kubernetes 1.28)."""
    skew_seconds: float | None
    """Seconds that our clock is ahead of its ``Date`` header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """A Deployment of IBM's operator."""

    namespace: str
    name: str
    ready: int
    wanted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """The result of a dry run of creating one object."""

    kind: str
    name: str
    error: WeighbridgeError | None = None
    warnings: tuple[str, ...] = ()
    exists: bool = False
    """The dry run was left out, because there is such an object already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedState:
    """What the backend holds about one stack."""

    stack: str
    exists: bool
    cluster_uid: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PodReport:
    """What a probing pod found. ``error``: the pod failed before it could check."""

    stages: tuple[Stage, ...] = ()
    error: WeighbridgeError | None = None
    skipped: WeighbridgeError | None = None
    """Why no pod was started, for example because another run is active."""
    volume: bool = False
    """Whether the model's claim was mounted."""


class Probes(Protocol):
    @property
    def where(self) -> str:
        """Describe the cluster. Raise ``PreconditionError`` if the kubeconfig names none."""
        ...

    def tools(self) -> Sequence[Tool]: ...

    def server(self) -> Server: ...

    def uid(self) -> str: ...

    def allowed(self, asked: Iterable[Access]) -> Mapping[Access, bool]:
        """Return the API server's answers (SelfSubjectAccessReview)."""
        ...

    def namespace(self) -> Object | None: ...

    def served_versions(self) -> tuple[str, ...]:
        """Return the versions of the API group of ``Watsonxaiifm``; none if there is no such group."""
        ...

    def custom_resource(self) -> LiveCustomResource | None: ...

    def operators(self) -> Sequence[Operator] | None:
        """Return the operators; ``None`` if they may not be read."""
        ...

    def storage_class(self, name: str) -> Object | None: ...

    def csi_driver(self, name: str) -> Object | None: ...

    def claim(self, name: str) -> Object | None: ...

    def quotas(self) -> Sequence[Object]: ...

    def limit_ranges(self) -> Sequence[Object]: ...

    def network_policies(self) -> Sequence[Object]: ...

    def rehearse(self, documents: Sequence[Document]) -> Sequence[Rehearsal]:
        """Create them as server-side dry runs."""
        ...

    def under_way(self) -> str | None:
        """Describe the run that holds the environment."""
        ...

    def references(self, environment: Environment) -> Sequence[tuple[str, WeighbridgeError | None]]:
        """Return each reference to a secret as in the file (``env:NAME``, ``file:PATH``, ``secret:NAME``), and why it
        cannot be resolved.
        """
        ...

    def reach(self, server: str) -> Sequence[Stage]:
        """Check the connection to ``server``, the URL of a source's server, from this machine, without a login."""
        ...

    def listing(self, model: Model) -> SourceListing: ...

    def states(self) -> Sequence[RecordedState]: ...

    def pod(self, model: Model, *, volume: bool) -> PodReport:
        """Start a pod that checks, and remove everything afterwards, also after an interruption."""
        ...


PROBES: Final[Port[Probes]] = Port("probes", lambda shop: shop.probes)
