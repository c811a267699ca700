"""What a module below ``resources/`` must define, so that the server can speak Pulumi's protocol for it.

It takes and returns plain values: the server handles gRPC, the marks of secrets and the engine's wrapping. A module
raises only ``WeighbridgeError``; any other exception is our defect.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

from weighbridge.core.events import Observer
from weighbridge.domain.digest import Json
from weighbridge.errors import WeighbridgeError
from weighbridge.provider.cancellation import CancelledClock

Values: TypeAlias = Mapping[str, Json]
"""Properties by their names in Pulumi's schema (``customResource``)."""


@dataclass(frozen=True, slots=True)
class Operation:
    """The context of one call by the engine."""

    clock: CancelledClock
    """A wait on this clock ends with the engine's ``Cancel``."""
    observer: Observer
    """Receives notes for Pulumi's screen."""
    seconds: float = 0.0
    """How long a write may take, from ``customTimeouts``; 0: the module's own default."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One wrong input: its Pulumi property path, and what would be right."""

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
    """The same id that an import names."""
    inputs: Values
    """The inputs that declare the resource as it is."""
    properties: Values
    """What ``diff``, ``read``, ``write`` and ``delete`` get back later: the kept inputs, and the outputs."""
    unknown: tuple[str, ...] = ()
    """Only in a preview: properties that are known only after the write."""


class PartialFailureError(WeighbridgeError):
    """It was written, then something failed: ``stored`` must be kept."""

    def __init__(self, cause: WeighbridgeError, stored: Stored) -> None:
        super().__init__(cause.what)
        self.cause = cause
        self.stored = stored


@runtime_checkable
class Quoting(Protocol):
    """An error that quotes values, and can also be worded without them."""

    def without_values(self) -> WeighbridgeError: ...


class Resource(Protocol):
    """One type of resource. One instance serves every resource of its type, from several threads."""

    @property
    def identifying(self) -> frozenset[str]:
        """Inputs that name the cluster. The cluster is compared only when all of them are known."""
        ...

    @property
    def unstored(self) -> frozenset[str]:
        """Inputs that are neither kept nor compared."""
        ...

    @property
    def outcome(self) -> str:
        """An output that every written resource has. If it is missing, a read is an import."""
        ...

    @property
    def sensitive(self) -> tuple[str, ...]:
        """Properties that hold the same values: if one of them is secret, all are, and no failure quotes them.
        Messages use the first name.
        """
        ...

    def schema(self) -> Mapping[str, Any]:
        """Its part of Pulumi's package schema."""
        ...

    def check(self, given: Values, unknown: Collection[str]) -> tuple[Problem, ...]:
        """Return every problem of the inputs themselves. Ask no cluster; skip what is not known yet."""
        ...

    def normalised(self, given: Values, unknown: Collection[str]) -> Values:
        """Return those inputs that are stored and compared in another form than they were given, in that form."""
        ...

    def refuse_other(self, inputs: Values, operation: Operation) -> None:
        """Raise ``PreconditionError`` if the reached cluster is not that of ``inputs``. Ask the cluster nothing else."""
        ...

    def diff(self, old: Values, new: Values, unknown: Collection[str]) -> Mapping[str, PropertyDifference]:
        """Return property path → difference between what stands there and what is wanted."""
        ...

    def preview(self, old: Values | None, new: Values, operation: Operation) -> Stored:
        """Return what ``write`` would leave. Write nothing; refuse what a write would refuse."""
        ...

    def write(self, old: Values | None, new: Values, operation: Operation) -> Stored:
        """Write what ``new`` says. ``old``: what was stored; ``None`` for a resource that the engine does not hold.

        Raise ``PartialFailureError`` if it was written, but something failed after that.
        """
        ...

    def read(self, old: Values, operation: Operation) -> Stored | None:
        """Return the resource as it stands; ``None`` if it is gone."""
        ...

    def import_(self, identifier: str, operation: Operation) -> Stored | None:
        """Return the present state of a resource that the engine does not hold."""
        ...

    def delete(self, old: Values, inputs: Values, operation: Operation) -> None:
        """Remove what was stored as ``old`` and declared by ``inputs``. Do nothing if it is already gone."""
        ...

    def lock_key(self, values: Values) -> str:
        """Return a key. Of several resources with the same key, of any type, only one is written at a time."""
        ...
