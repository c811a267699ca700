"""What the orchestrator itself needs of the world. What a step needs stands in the step's own room.

Every method may raise ``errors.WeighbridgeError`` and nothing else. Reading methods write nothing, anywhere.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final, Protocol

from weighbridge.core.events import Observer
from weighbridge.core.port import Port
from weighbridge.domain.digest import Json
from weighbridge.domain.lease import LockRequest
from weighbridge.domain.stacks import StackPreview, StackResult, StackSpec


class Cluster(Protocol):
    """Which cluster it is, and the operands namespace in it."""

    @property
    def where(self) -> str:
        """The cluster in words."""
        ...

    def uid(self, context: str | None = None) -> str:
        """UID of ``kube-system``, as seen through another kubeconfig context where one is given. ``PreconditionError`` where
        the cluster cannot be reached or refuses the login.
        """
        ...

    def require_namespace(self) -> str | None:
        """``PreconditionError`` where the operands namespace is absent or going away. In words what could not be looked
        at, for lack of a permission that nothing else needs.
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


class Tenure(Protocol):
    """The right to change one environment, while it lasts."""

    @property
    def unfinished(self) -> frozenset[str]:
        """Items of which earlier runs may have left Jobs, pods and keys in the cluster."""
        ...

    def require(self) -> None:
        """``StepFailedError`` where it was lost: somebody took over, or it could not be renewed in time."""
        ...


class Lock(Protocol):
    """One run at a time for each environment."""

    def hold(
        self, verb: str, lock_request: LockRequest, observer: Observer, on_lost: Callable[[], None]
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


CLUSTER: Final[Port[Cluster]] = Port("cluster", lambda shop: shop.cluster)
STACKS: Final[Port[Stacks]] = Port("stacks", lambda shop: shop.stacks)
LOCK: Final[Port[Lock]] = Port("lock", lambda shop: shop.lock)
