"""What a module below ``resources/`` brings, so that the server can speak Pulumi's protocol for it.

Plain values in, plain values out: gRPC, secrets' marks and the engine's wrapping are the server's. Whatever a module raises is
a ``WeighbridgeError``; anything else is our defect.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

from weighbridge.core.events import Observer
from weighbridge.domain.digest import Json
from weighbridge.errors import WeighbridgeError
from weighbridge.provider.cancellation import CancelledClock

Values: TypeAlias = Mapping[str, Json]
"""Properties by name, as Pulumi's schema calls them (``customResource``)."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What surrounds one call of the engine's."""

    clock: CancelledClock
    """A wait by this ends with the engine's ``Cancel``."""
    observer: Observer
    """Notes to whoever looks at Pulumi's screen."""
    seconds: float = 0.0
    """That a write may take, by ``customTimeouts``; 0: the module's own default."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One wrong input: Pulumi property path and what would be right."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class PropertyDifference:
    kind: str
    """``add``, ``delete`` or ``update``."""
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class Stored:
    """One resource as the engine keeps it."""

    id: str
    """Also what an import names."""
    inputs: Values
    """What would have to be declared for it to be as it is."""
    properties: Values
    """What ``diff``, ``read``, ``write`` and ``delete`` get back later: inputs that are kept, and outputs."""
    unknown: tuple[str, ...] = ()
    """Of a preview: properties that only the write will tell."""


class PartialFailureError(WeighbridgeError):
    """It was written, then something failed: ``stored`` has to be kept."""

    def __init__(self, cause: WeighbridgeError, stored: Stored) -> None:
        super().__init__(cause.what)
        self.cause = cause
        self.stored = stored


@runtime_checkable
class Quoting(Protocol):
    """An error that quotes values, and can be told without them."""

    def without_values(self) -> WeighbridgeError: ...


class Resource(Protocol):
    """One type of resource. An instance serves every resource of its type, from several threads."""

    @property
    def identifying(self) -> frozenset[str]:
        """Inputs that say where it is; as long as one of them is not known, nobody is asked whether that is the right
        cluster.
        """
        ...

    @property
    def unstored(self) -> frozenset[str]:
        """Inputs that are not kept and not compared."""
        ...

    @property
    def outcome(self) -> str:
        """An output that whatever was written has: where it is missing, a read is an import."""
        ...

    @property
    def sensitive(self) -> tuple[str, ...]:
        """Properties that hold the same values: if one of them is secret, all are, and no failure quotes them. The first
        one names them to people.
        """
        ...

    def schema(self) -> Mapping[str, Any]:
        """Its part of Pulumi's package schema."""
        ...

    def check(self, given: Values, unknown: Collection[str]) -> tuple[Problem, ...]:
        """Every problem of the inputs themselves. Looks at no cluster; does not judge what is not known yet."""
        ...

    def normalised(self, given: Values, unknown: Collection[str]) -> Values:
        """Those inputs that have another form than they were given in, as they are stored and compared."""
        ...

    def refuse_other(self, inputs: Values, operation: Operation) -> None:
        """``PreconditionError`` where the cluster in reach is not the one of ``inputs``; nothing else is asked of it."""
        ...

    def diff(self, old: Values, new: Values, unknown: Collection[str]) -> Mapping[str, PropertyDifference]:
        """Property path → difference between what stands there and what is wanted."""
        ...

    def preview(self, old: Values | None, new: Values, operation: Operation) -> Stored:
        """What ``write`` would leave. Writes nothing; refuses what a write would refuse."""
        ...

    def write(self, old: Values | None, new: Values, operation: Operation) -> Stored:
        """Make it as ``new`` says; ``old`` is what was stored, ``None`` for a resource that the engine does not hold.

        ``PartialFailureError`` where it was written, but something failed after that.
        """
        ...

    def read(self, old: Values, operation: Operation) -> Stored | None:
        """As it stands; ``None`` where it is gone."""
        ...

    def import_(self, identifier: str, operation: Operation) -> Stored | None:
        """As it stands, of a resource that the engine does not hold."""
        ...

    def delete(self, old: Values, inputs: Values, operation: Operation) -> None:
        """Take away what was stored as ``old``, declared by ``inputs``. It is no failure if it is gone already."""
        ...

    def lock_key(self, values: Values) -> str:
        """Of two resources with the same key only one is written at a time, whatever their types."""
        ...
