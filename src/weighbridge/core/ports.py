"""What the orchestrator itself needs from the world. The needs of a step are in the step's own package.

Every method may raise ``errors.WeighbridgeError`` and nothing else. Methods that read write nothing anywhere.
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
    """The cluster of the environment, and the operands namespace in it."""

    @property
    def where(self) -> str:
        """The cluster in words."""
        ...

    def uid(self, context: str | None = None) -> str:
        """Return the UID of ``kube-system``, through another kubeconfig context if one is given. Raise
        ``PreconditionError`` if the cluster cannot be reached or refuses the login.
        """
        ...

    def require_namespace(self) -> str | None:
        """Raise ``PreconditionError`` if the operands namespace is missing or being deleted. Return in words what
        could not be checked because a permission is missing that nothing else needs.
        """
        ...


class Stacks(Protocol):
    """Pulumi, for the lasting objects."""

    def preview(self, spec: StackSpec) -> StackPreview:
        """Return what an update would do, with the cluster's present state. Write nothing."""
        ...

    def up(self, spec: StackSpec, observer: Observer) -> StackResult:
        """Bring the stack into the state that ``spec`` describes."""
        ...

    def destroy(self, spec: StackSpec, observer: Observer, *, unprotect: bool = False) -> StackResult:
        """Delete what the stack declares. Delete protected objects only with ``unprotect``."""
        ...

    def cancel(self) -> None:
        """Stop all running operations soon. Called from another thread; the waiting thread gets an error."""
        ...

    def settle(self, observer: Observer) -> None:
        """Wait for processes that a dead run of this environment left on this machine, and remove its locks. Do this
        before anything is read. Raise ``PreconditionError`` if a lock cannot be proven to be ours and of the dead
        run.
        """
        ...


class Tenure(Protocol):
    """The right to change one environment, for as long as it lasts."""

    @property
    def unfinished(self) -> frozenset[str]:
        """Items whose Jobs, pods and keys earlier runs may have left in the cluster."""
        ...

    def require(self) -> None:
        """Raise ``StepFailedError`` if the right was lost: another run took over, or it could not be renewed in time."""
        ...


class Lock(Protocol):
    """One run at a time for each environment."""

    def hold(
        self, verb: str, lock_request: LockRequest, observer: Observer, on_lost: Callable[[], None]
    ) -> AbstractContextManager[Tenure]:
        """Hold the lock while the body runs. If the lock was lost meanwhile, report a failure of the body as that
        loss.

        Raise ``PreconditionError`` if another run holds the lock. On loss, call ``on_lost`` at once from another
        thread, then interrupt the body.
        """
        ...

    def under_way(self) -> str | None:
        """Describe the run that holds the lock, or what an earlier run left. Never fail: report also what could not be read."""
        ...


class Journal(Protocol):
    """The record of what was done."""

    def record(self, event: str, **facts: Json) -> None: ...


CLUSTER: Final[Port[Cluster]] = Port("cluster", lambda shop: shop.cluster)
STACKS: Final[Port[Stacks]] = Port("stacks", lambda shop: shop.stacks)
LOCK: Final[Port[Lock]] = Port("lock", lambda shop: shop.lock)
