"""What the weights step needs from the world: the sources of weights, and what moves the weights."""

from dataclasses import dataclass
from typing import Protocol

from weighbridge.core.events import Observer
from weighbridge.core.outcome import Outcome
from weighbridge.domain.weights import Receipt, SourceListing
from weighbridge.environment.types import Model, Route


class Weights(Protocol):
    """The sources of weights."""

    def list(self, model: Model) -> SourceListing:
        """Return the source's present names and sizes. Raise ``PreconditionError`` if missing, empty, incomplete or refused."""
        ...

    def look(self, model: Model, listing: SourceListing, *, in_place: bool) -> SourceListing:
        """Return the same with its flaws as a model. ``in_place``: it was checked when it was brought in, so hardly
        anything is read again. Raise ``PreconditionError`` if it cannot be read or is no model at all.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferReport:
    """What one playbook run moved and verified."""

    outcome: Outcome
    receipt: Receipt | None = None
    bytes_moved: int = 0
    files_repaired: tuple[str, ...] = ()
    seconds: float = 0.0
    mover_rss_bytes: int = 0
    """Peak memory of the process that moved or verified the bytes in the pod; 0 if no pod ran."""


class Playbooks(Protocol):
    """The Ansible playbooks that move bytes. Several threads may use it, one for each model. Idempotent by digest,
    and resumable. No pod, Job, Secret or ConfigMap of the transfer is left behind, also after a failure.
    """

    def sync(self, model: Model, listing: SourceListing, route: Route, observer: Observer) -> TransferReport:
        """Bring the set in by one route, verify and publish it, and mirror its receipt."""
        ...

    def verify(self, model: Model, receipt: Receipt, observer: Observer) -> TransferReport:
        """Read every byte of the published set again. Update the receipt's verdict in either case."""
        ...

    def cancel(self) -> None:
        """Stop all running playbooks soon. Called from another thread; their threads get ``InterruptedByUserError``
        and clean up as after any interruption. Nothing new starts. A second call also stops the cleanup.
        """
        ...

    def tidy(self, model_id: str, observer: Observer) -> None:
        """Remove the Jobs, pods and keys that earlier runs left of this model, and report it. What cannot be removed
        is reported and left for the next run. For a model that the file no longer declares, only name it.
        """
        ...
