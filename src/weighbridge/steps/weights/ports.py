"""What the weights step needs of the world: where weights come from, and what moves them."""

from dataclasses import dataclass
from typing import Protocol

from weighbridge.core.events import Observer
from weighbridge.core.outcome import Outcome
from weighbridge.domain.weights import Receipt, SourceListing
from weighbridge.environment.types import Model, Route


class Weights(Protocol):
    """Where weights come from."""

    def list(self, model: Model) -> SourceListing:
        """What the source holds now, by names and sizes. ``PreconditionError`` where it is absent, empty, incomplete or refused."""
        ...

    def look(self, model: Model, listing: SourceListing, *, in_place: bool) -> SourceListing:
        """The same, with what is wrong with it as a model; ``in_place``: it was looked at when it was brought in, and hardly
        anything is read again. ``PreconditionError`` where it cannot be read, or is no model at all.
        """
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
    """Ansible: what moves bytes. Safe to use from several threads, a model each. Idempotent by digest, resumable; leaves no pod, Job, Secret or ConfigMap of the
    transfer behind, also after a failure.
    """

    def sync(self, model: Model, listing: SourceListing, route: Route, observer: Observer) -> TransferReport:
        """Bring the set in by one route, verified and published, its receipt mirrored."""
        ...

    def verify(self, model: Model, receipt: Receipt, observer: Observer) -> TransferReport:
        """Read every byte of the published set again; the receipt's verdict is updated either way."""
        ...

    def cancel(self) -> None:
        """From another thread: whatever is under way ends soon, by ``InterruptedByUserError`` in the thread that asked for it, and
        leaves what an interruption leaves; nothing begins any more. Called again, cleaning up ends too.
        """
        ...

    def tidy(self, model_id: str, observer: Observer) -> None:
        """Remove the Jobs, pods and keys that earlier runs left of this model, and say so. What cannot be removed is said, and
        left for the next run. A model that the file no longer declares is only named.
        """
        ...
