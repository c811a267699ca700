"""What the doctor needs of the world. Every method looks and writes nothing, except ``pod``; each may raise
``errors.WeighbridgeError`` and nothing else, and each ends within a deadline of its own.
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
"""One Kubernetes object as the API server answers it."""

Stage: TypeAlias = Mapping[str, Any]
"""One finding of ``mover/endpoint.py``: ``stage``, ``ok``, ``said``, ``code`` where it failed."""


@dataclass(frozen=True, slots=True)
class Document:
    """One object to be rehearsed."""

    body: dict[str, Any]
    optional: bool = False
    """Who may not create it is not told so: a run does not create it either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A program or library on this machine, or another thing that a run cannot do without."""

    name: str
    version: str | None = None
    place: str | None = None
    problem: str | None = None
    remedy: str | None = None
    needed: bool = True
    """False: something else does as well, or one of several routes needs it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The API server."""

    where: str
    version: str
    """``v1.34.4``"""
    user: str | None
    """Who it takes us for; ``None`` where it does not tell (SelfSubjectReview, Kubernetes 1.28)."""
    skew_seconds: float | None
    """How far our clock is ahead of its ``Date`` header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """A Deployment of IBM's operator."""

    namespace: str
    name: str
    ready: int
    wanted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """How a dry run of creating one object ended."""

    kind: str
    name: str
    error: WeighbridgeError | None = None
    warnings: tuple[str, ...] = ()
    exists: bool = False
    """It was left out, because there is such an object already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedState:
    """What the backend holds of one stack."""

    stack: str
    exists: bool
    cluster_uid: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PodReport:
    """What a probing pod found; ``error``: it never came to that."""

    stages: tuple[Stage, ...] = ()
    error: WeighbridgeError | None = None
    skipped: WeighbridgeError | None = None
    """Why none was started: another run is under way, say."""
    volume: bool = False
    """Whether the model's claim was mounted."""


class Probes(Protocol):
    @property
    def where(self) -> str:
        """The cluster in words. ``PreconditionError`` where the kubeconfig names none."""
        ...

    def tools(self) -> Sequence[Tool]: ...

    def server(self) -> Server: ...

    def uid(self) -> str: ...

    def allowed(self, asked: Iterable[Access]) -> Mapping[Access, bool]:
        """The API server's answers (SelfSubjectAccessReview)."""
        ...

    def namespace(self) -> Object | None: ...

    def served_versions(self) -> tuple[str, ...]:
        """Of the API group of ``Watsonxaiifm``; empty where there is no such group."""
        ...

    def custom_resource(self) -> LiveCustomResource | None: ...

    def operators(self) -> Sequence[Operator] | None:
        """``None`` where they may not be read."""
        ...

    def storage_class(self, name: str) -> Object | None: ...

    def csi_driver(self, name: str) -> Object | None: ...

    def claim(self, name: str) -> Object | None: ...

    def quotas(self) -> Sequence[Object]: ...

    def limit_ranges(self) -> Sequence[Object]: ...

    def network_policies(self) -> Sequence[Object]: ...

    def rehearse(self, documents: Sequence[Document]) -> Sequence[Rehearsal]:
        """Server-side dry runs of creating them."""
        ...

    def under_way(self) -> str | None:
        """Whose run holds the environment, in words."""
        ...

    def references(self, environment: Environment) -> Sequence[tuple[str, WeighbridgeError | None]]:
        """Each reference to a secret as the file has it (``env:NAME``, ``file:PATH``, ``secret:NAME``), and what keeps it from
        being resolved.
        """
        ...

    def reach(self, server: str) -> Sequence[Stage]:
        """The URL of a source's server, from this machine, without a login."""
        ...

    def listing(self, model: Model) -> SourceListing: ...

    def states(self) -> Sequence[RecordedState]: ...

    def pod(self, model: Model, *, volume: bool) -> PodReport:
        """Start a pod that looks, and remove all of it again, also when interrupted."""
        ...


PROBES: Final[Port[Probes]] = Port("probes", lambda shop: shop.probes)
