"""What a source of weights is: a kind of place that holds a model's files.

A kind is a value without state (``Source``); ``open`` makes the object that reads one place of it (``OpenSource``).
``open`` also does the heavy imports (such as a client library), because reading an environment file imports every
kind.
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
    """What a source needs to log in, by the key's name in a Kubernetes Secret."""

    references: Mapping[str, SecretReference] = field(default_factory=dict)
    """Key → where this process finds the value. Pods get the values in a short-lived Secret of ours."""
    existing: str | None = None
    """The Secret of the operands namespace that holds them instead; it belongs to others."""
    required: tuple[str, ...] = ()
    """Keys that an existing Secret must have."""
    optional: tuple[str, ...] = ()
    """Keys that an existing Secret may have."""
    called: str = "keys"
    """Plural, for messages."""

    @property
    def needed(self) -> bool:
        return bool(self.references or self.existing)


NO_SECRETS = SourceSecrets()


def _silent(_: str) -> None:
    """Drop the text."""


class Closing(Protocol):
    """An object with connections to close."""

    def close(self) -> None: ...


H = TypeVar("H", bound=Closing)


class Shared:
    """What places share that are opened with it, such as a client: made once, used by several threads, closed together."""

    def __init__(self) -> None:
        self._made: dict[Hashable, Closing] = {}
        self._lock = threading.Lock()

    def once(self, key: Hashable, make: Callable[[], H]) -> H:
        """Return what ``make`` gave at the first call for ``key``. ``key`` must hold everything that ``make`` depends on."""
        with self._lock:
            if key not in self._made:
                self._made[key] = make()
            return cast("H", self._made[key])

    def close(self) -> None:
        """Close everything that was made. Later calls of ``once`` make it again."""
        with self._lock:
            while self._made:
                self._made.popitem()[1].close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What the environment gives to every source that is opened."""

    folder: Path = Path()
    """Where relative paths start: the environment file's folder."""
    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The secrets' values, by the key of ``SourceSecrets``."""
    ca_bundle: Path | None = None
    proxy: Proxy | None = None
    cache: Path | None = None
    """A folder of this machine whose content may be lost at any time; ``None``: remember nothing."""
    say: Callable[[str], None] = _silent
    """Receives reports of slow work, in words."""
    shared: Shared | None = None
    """What the places of several models share; ``None``: each place makes its own and closes it."""


class Advance(Protocol):
    """Called with the bytes gained: from the source, or ``resumed`` from an earlier try. May raise to stop a download."""

    def __call__(self, gained: int, *, resumed: bool) -> None: ...


class OpenSource(Protocol):
    """One place of weights, open for reading. For one thread at a time. It is never written to.

    Every method may raise ``PreconditionError`` if the place refuses, has changed or lacks what it should hold, and
    ``StepFailedError`` if the connection to it failed.
    """

    @property
    def where(self) -> str:
        """The place in words, for messages."""
        ...

    def list(self, exclude: Sequence[str] = ()) -> SourceListing:
        """Return what is there now and not excluded (``domain.listing.to_listing``): at least one file."""
        ...

    def read(self, file: SourceFile, start: int, stop: int) -> bytes:
        """Return the bytes ``start`` to ``stop`` (exclusive, inside the file) of the file as it was listed."""
        ...

    def download(self, file: SourceFile, into: Path, *, deadline: float, advance: Advance) -> str:
        """Complete ``into`` to the whole file, from where it ends now, and return its sha256 as 64 hex digits.

        ``deadline`` is a ``time.monotonic`` value. Raise ``VerificationError`` if the content is not the one that was
        listed.
        """
        ...

    def close(self) -> None: ...


class Source(Protocol[C_contra]):
    """A kind of place. ``C_contra``: the model of its section in the environment file."""

    @property
    def kind(self) -> str:
        """Its key under ``source:``, and its name in orders."""
        ...

    @property
    def settings(self) -> type[Strict]:
        """The type of the section under that key."""
        ...

    @property
    def description(self) -> str:
        """Description of that key, for the reference."""
        ...

    @property
    def example(self) -> Mapping[str, Plain]:
        """Example of that section."""
        ...

    @property
    def routes(self) -> frozenset[Route]:
        """The routes that can carry it."""
        ...

    @property
    def remedies(self) -> Mapping[str, str]:
        """What to do about its own error codes at the end of a look (``mover/endpoint.py``)."""
        ...

    def rules(self, section: Node) -> Iterable[Finding]:
        """Yield what is wrong between the fields of its section. Judge only fields that are there and have the right type."""
        ...

    def meant_by(self, text: str) -> str | None:
        """Return what to write if ``text``, such as a URL, stands in place of a section; ``None``: it is not of this kind."""
        ...

    def where(self, settings: C_contra) -> str:
        """Return a short name of one place, such as ``s3://bucket/prefix``."""
        ...

    def order(self, settings: C_contra) -> Mapping[str, Json] | None:
        """Return what the mover is told besides the kind; ``None`` if no pod can fetch from it."""
        ...

    def secrets(self, settings: C_contra) -> SourceSecrets: ...

    def server(self, settings: C_contra) -> str | None:
        """Return the URL of the server to be reached, if there is one."""
        ...

    def open(self, settings: C_contra, around: Around) -> OpenSource: ...


@dataclass(frozen=True)
class Chosen(Generic[C]):
    """The source of one model: a kind, and the section under its key in the file."""

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
        """The ``source`` of the mover's order."""
        told = self.source.order(self.settings)
        return None if told is None else {"kind": self.kind, **told}

    @property
    def plain(self) -> dict[str, Any]:
        """As JSON, to be opened elsewhere (``sources.chosen``): secrets stay references."""
        return {"kind": self.kind, **self.settings.model_dump(mode="json", exclude_none=True)}

    def open(self, around: Around) -> OpenSource:
        return self.source.open(self.settings, around)
