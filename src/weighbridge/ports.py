"""What the orchestrator needs of the world. Adapters implement these; fakes in the tests implement them too.

Every method may raise ``errors.WeighbridgeError`` and nothing else. Reading methods write nothing, anywhere.
"""

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from weighbridge.core.events import Observer as Observer  # noqa: PLC0414 - of every port that reports
from weighbridge.core.outcome import Outcome
from weighbridge.domain.digest import Json
from weighbridge.domain.facts import ClaimFacts, PlannedEntry, StandingEntry
from weighbridge.domain.lease import Turn
from weighbridge.domain.stacks import StackPreview, StackResult, StackSpec
from weighbridge.domain.weights import Receipt, SourceListing
from weighbridge.environment.types import Model, Route


class Cluster(Protocol):
    """Reads of the operands namespace."""

    @property
    def where(self) -> str:
        """The cluster in words."""
        ...

    def uid(self) -> str:
        """UID of ``kube-system``. ``PreconditionError`` where the cluster cannot be reached or refuses the login."""
        ...

    def require_namespace(self) -> str | None:
        """``PreconditionError`` where the operands namespace is absent or going away. In words what could not be looked
        at, for lack of a permission that nothing else needs.
        """
        ...

    def require_storage_class(self, name: str, key: str) -> str | None:
        """``PreconditionError`` where there is no such class; ``key`` is the place in the environment file. In words what
        could not be looked at.
        """
        ...

    def claim(self, name: str) -> ClaimFacts | None: ...

    def receipts(self, environment: str) -> dict[str, Receipt]:
        """By model id."""
        ...

    def forget(self, environment: str, claims: Collection[str]) -> None:
        """Delete the receipts of what was on these claims: after they are gone, and only then."""
        ...


class Weights(Protocol):
    """Where weights come from."""

    def list(self, model: Model) -> SourceListing:
        """What the source holds now. ``PreconditionError`` where it is absent, empty, incomplete or refused."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferReport:
    """What one playbook run moved and proved."""

    outcome: Outcome
    receipt: Receipt | None = None
    bytes_moved: int = 0
    files_repaired: tuple[str, ...] = ()
    seconds: float = 0.0
    mover_rss_bytes: int = 0
    """Peak memory of the process that moved or verified the bytes in the pod; 0 where no pod ran."""


class Playbooks(Protocol):
    """Ansible: what moves bytes. Idempotent by digest, resumable; leaves no pod, Job, Secret or ConfigMap of the
    transfer behind, also after a failure.
    """

    def sync(self, model: Model, listing: SourceListing, route: Route, observer: Observer) -> TransferReport:
        """Bring the set in by one route, verified and published, its receipt mirrored."""
        ...

    def verify(self, model: Model, receipt: Receipt, observer: Observer) -> TransferReport:
        """Read every byte of the published set again; the receipt's verdict is updated either way."""
        ...

    def tidy(self, model_id: str, observer: Observer) -> None:
        """Remove the Jobs, pods and keys that earlier runs left of this model, and say so. What cannot be removed is said, and
        left for the next run. A model that the file no longer declares is only named.
        """
        ...


class Stacks(Protocol):
    """Pulumi: what lasts."""

    def preview(self, spec: StackSpec) -> StackPreview:
        """What an update would do, the cluster's present state included. Writes nothing."""
        ...

    def up(self, spec: StackSpec, observer: Observer) -> StackResult:
        """Make it so."""
        ...

    def destroy(self, spec: StackSpec, observer: Observer, *, unprotect: bool = False) -> StackResult:
        """Take down what the stack declares; protected objects only with ``unprotect``."""
        ...

    def cancel(self) -> None:
        """From another thread: whatever is under way ends soon, by an error in the thread that asked for it."""
        ...

    def settle(self, observer: Observer) -> None:
        """Before anything is looked at: wait for what a dead run of this environment left running here, and remove the locks
        that it left behind. ``PreconditionError`` where such a lock cannot be proven to be ours and of the dead.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationState:
    """The custom resource as a person wants to see it."""

    entries: tuple[PlannedEntry, ...]
    """The whole list as it would be after a write of what is wanted."""
    standing: Mapping[str, StandingEntry]
    """Every model's entry as it stands there now, by model id, and whose it is."""
    status: str
    """``watsonxaiifmStatus`` and progress."""
    unreconciled: str | None
    """Why the operator cannot be said to have taken in the list as it stands; ``None`` where it has."""
    warnings: tuple[str, ...] = ()
    """What hinders nothing, but should be known before a write."""

    @property
    def ours(self) -> dict[str, StandingEntry]:
        """Those that we registered, edited since or not."""
        return {key: entry for key, entry in self.standing.items() if entry.owner != "foreign"}


class Registry(Protocol):
    """The ``Watsonxaiifm`` resource: somebody else's object with entries of ours in it."""

    def look(self, wanted: tuple[Mapping[str, Json], ...], adopt: frozenset[str]) -> RegistrationState:
        """Read it. ``PreconditionError`` where it is absent, where somebody else made an entry of our id (both shown), or
        where something would change while its owner forbids changes.

        An entry of ours that somebody edited is no refusal: it shows as an update, which an apply then makes.
        """
        ...

    def unconfirmed(self) -> bool:
        """Whether the operator is not known to have taken in our last write, a removal by an earlier run included."""
        ...

    def await_reconciled(self, observer: Observer) -> str:
        """Wait until the operator has reconciled after our last write; what was seen, in words. One that has failed is
        asked once to look again, which is announced. ``StepFailedError`` with the operator's message and the models of ours
        that it names where it failed again, or at the deadline.
        """
        ...


class Tenure(Protocol):
    """The right to change one environment, while it lasts."""

    @property
    def unfinished(self) -> frozenset[str]:
        """Models of which earlier runs may have left Jobs, pods and keys in the cluster."""
        ...

    def require(self) -> None:
        """``StepFailedError`` where it was lost: somebody took over, or it could not be renewed in time."""
        ...


class Lock(Protocol):
    """One run at a time for each environment."""

    def hold(
        self, verb: str, turn: Turn, observer: Observer, on_lost: Callable[[], None]
    ) -> AbstractContextManager[Tenure]:
        """Hold it for the body, whose failure is told as the loss where it was lost meanwhile.

        ``PreconditionError`` where another run holds it. ``on_lost`` is called at once, from another thread; after that the
        body is interrupted.
        """
        ...

    def under_way(self) -> str | None:
        """Whose run is under way, or what an earlier one left, in words. Never refuses: what cannot be looked at is said too."""
        ...


class Journal(Protocol):
    """Remembers what was done."""

    def record(self, event: str, **facts: Json) -> None: ...
