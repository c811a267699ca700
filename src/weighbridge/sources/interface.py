"""What a source of weights is: a kind of place that a model's files come from.

A kind is a value without state (``Source``); ``open`` makes what reads one place of it (``OpenSource``). Whatever is heavy
(a client library, say) is imported there and not before, because reading an environment file imports every kind.
"""

import threading
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast

from weighbridge.domain.digest import Json
from weighbridge.domain.weights import SourceFile, SourceListing
from weighbridge.environment.base import Proxy, Route, SecretReference, Strict
from weighbridge.environment.tree import Finding, Node, Plain

C = TypeVar("C", bound=Strict)
C_contra = TypeVar("C_contra", bound=Strict, contravariant=True)


@dataclass(frozen=True, slots=True)
class SourceSecrets:
    """What a source needs to log in, by the name of the key under which a Kubernetes Secret holds it."""

    references: Mapping[str, SecretReference] = field(default_factory=dict)
    """Key → where this process finds the value. Pods get them in a short-lived Secret of ours."""
    existing: str | None = None
    """The Secret of the operands namespace that holds them instead; it is somebody else's."""
    required: tuple[str, ...] = ()
    """Keys that an existing Secret must have."""
    optional: tuple[str, ...] = ()
    """Keys that it may have."""
    called: str = "keys"
    """Plural, for messages."""

    @property
    def needed(self) -> bool:
        return bool(self.references or self.existing)


NO_SECRETS = SourceSecrets()


def _silent(_: str) -> None:
    """Nobody listens."""


class Closing(Protocol):
    """What holds connections."""

    def close(self) -> None: ...


H = TypeVar("H", bound=Closing)


class Shared:
    """What the places that are opened with it have in common, such as a client: made once, used by several threads, closed together."""

    def __init__(self) -> None:
        self._made: dict[Hashable, Closing] = {}
        self._lock = threading.Lock()

    def once(self, key: Hashable, make: Callable[[], H]) -> H:
        """What ``make`` gave for ``key`` when it was first asked for. ``key`` names everything that ``make`` goes by."""
        with self._lock:
            if key not in self._made:
                self._made[key] = make()
            return cast("H", self._made[key])

    def close(self) -> None:
        """Everything that was made; what is asked for later is made anew."""
        with self._lock:
            while self._made:
                self._made.popitem()[1].close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What the environment brings along for whatever source is opened."""

    folder: Path = Path()
    """Where relative paths start: the environment file's folder."""
    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The secrets' values, by the key of ``SourceSecrets``."""
    ca_bundle: Path | None = None
    proxy: Proxy | None = None
    cache: Path | None = None
    """A folder of this machine for what may be lost at any time; ``None``: nothing is remembered."""
    say: Callable[[str], None] = _silent
    """Told in words what takes long."""
    shared: Shared | None = None
    """What the places of several models share; ``None``: each place makes its own, and closes it."""


class Advance(Protocol):
    """Told of bytes gained: from the source, or ``resumed`` from an earlier try. May raise to stop a download."""

    def __call__(self, gained: int, *, resumed: bool) -> None: ...


class OpenSource(Protocol):
    """One place that weights come from, open for reading. For one thread at a time. Nothing is ever written to it.

    Every method may raise ``PreconditionError`` where the place refuses, is not what it was or does not hold what it
    should, and ``StepFailedError`` where the way to it failed.
    """

    @property
    def where(self) -> str:
        """The place in words, for messages."""
        ...

    def list(self, exclude: Sequence[str] = ()) -> SourceListing:
        """What lies there now and is not excluded (``domain.listing.to_listing``): at least one file."""
        ...

    def read(self, file: SourceFile, start: int, stop: int) -> bytes:
        """Bytes ``start`` to ``stop`` (exclusive, within the file) of the file as it was listed."""
        ...

    def download(self, file: SourceFile, into: Path, *, deadline: float, advance: Advance) -> str:
        """Make ``into`` the whole file, going on where it stops now, and return its sha256 as 64 hex digits.

        ``deadline`` is a ``time.monotonic`` value. ``VerificationError`` where the content is not the one that was listed.
        """
        ...

    def close(self) -> None: ...


class Source(Protocol[C_contra]):
    """A kind of place. ``C_contra``: the model of its section of the environment file."""

    @property
    def kind(self) -> str:
        """Its key under ``source:``, and its name in orders."""
        ...

    @property
    def settings(self) -> type[Strict]:
        """What stands under that key."""
        ...

    @property
    def description(self) -> str:
        """Of that key, for the reference."""
        ...

    @property
    def example(self) -> Mapping[str, Plain]:
        """Of what stands there."""
        ...

    @property
    def routes(self) -> frozenset[Route]:
        """The ways by which it can come."""
        ...

    @property
    def remedies(self) -> Mapping[str, str]:
        """What to do about codes of its own that a look at the way to it ends with (``mover/endpoint.py``)."""
        ...

    def rules(self, section: Node) -> Iterable[Finding]:
        """What is wrong between the fields of its section. Tolerant: it judges what is there and of the right type."""
        ...

    def meant_by(self, text: str) -> str | None:
        """What to write where ``text``, a URL say, stands in place of a section; ``None``: it is none of this kind."""
        ...

    def where(self, settings: C_contra) -> str:
        """Short words for one place, such as ``s3://bucket/prefix``."""
        ...

    def order(self, settings: C_contra) -> Mapping[str, Json] | None:
        """What the mover is told besides the kind; ``None`` where no pod can fetch from it."""
        ...

    def secrets(self, settings: C_contra) -> SourceSecrets: ...

    def server(self, settings: C_contra) -> str | None:
        """URL of the server that has to be reached, if there is one."""
        ...

    def open(self, settings: C_contra, around: Around) -> OpenSource: ...


@dataclass(frozen=True)
class Chosen(Generic[C]):
    """The source of one model: a kind, and what the file says under its key."""

    source: Source[C]
    settings: C

    @property
    def kind(self) -> str:
        return self.source.kind

    @property
    def routes(self) -> frozenset[Route]:
        return self.source.routes

    @property
    def where(self) -> str:
        return self.source.where(self.settings)

    @property
    def secrets(self) -> SourceSecrets:
        return self.source.secrets(self.settings)

    @property
    def server(self) -> str | None:
        return self.source.server(self.settings)

    @property
    def remedies(self) -> Mapping[str, str]:
        return self.source.remedies

    @property
    def order(self) -> dict[str, Json] | None:
        """``source`` of the mover's order."""
        told = self.source.order(self.settings)
        return None if told is None else {"kind": self.kind, **told}

    @property
    def plain(self) -> dict[str, Any]:
        """As JSON, for who opens it elsewhere (``sources.chosen``): secrets stay references."""
        return {"kind": self.kind, **self.settings.model_dump(mode="json", exclude_none=True)}

    def open(self, around: Around) -> OpenSource:
        return self.source.open(self.settings, around)
