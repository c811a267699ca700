"""What was found by looking, before anything was planned. Gathering them wrote nothing and started no pod."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from weighbridge.domain.digest import Json
from weighbridge.domain.stacks import ClusterIdentity, StackPreview
from weighbridge.domain.weights import Receipt, SourceListing


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimFacts:
    """One PersistentVolumeClaim as the cluster holds it."""

    name: str
    uid: str
    phase: str
    """``Pending``, ``Bound`` or ``Lost``."""
    requested_bytes: int
    storage_class: str | None
    owner: str | None = None
    """The environment whose label the claim carries; ``None`` where it is not one of Weighbridge's."""
    terminating: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """One model: what its source lists now, and what the cluster says of it."""

    listing: SourceListing
    claim: ClaimFacts | None
    receipt: Receipt | None


EntryFate: TypeAlias = Literal["add", "update", "keep", "remove", "foreign"]


@dataclass(frozen=True, slots=True)
class PlannedEntry:
    """One element of ``spec.custom_foundation_models`` and what would become of it."""

    model_id: str
    fate: EntryFate
    changes: tuple[str, ...] = ()
    """``location.sub_path: a → b``: what differs, for ``update``."""


EntryOwner: TypeAlias = Literal["ours", "edited", "foreign"]
"""``ours``: stands as we wrote it. ``edited``: we registered the model, and somebody has changed the entry since.
``foreign``: nothing shows that we made it, whatever its model id.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingEntry:
    """One model's entry as it stands in the list now."""

    value: Mapping[str, Json]
    owner: EntryOwner
    written: Mapping[str, Json] | None = None
    """As we wrote it; ``None`` where we did not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that ``build_plan`` may look at."""

    cluster: ClusterIdentity
    where: str
    """The cluster in words: context and address."""
    models: Mapping[str, ModelFacts]
    claims: tuple[Mapping[str, Json], ...]
    """Our PersistentVolumeClaims as they would be declared; none where every model brings its own volume."""
    storage: StackPreview | None
    """``None`` where there are no claims of ours."""
    registration: StackPreview
    entries: tuple[PlannedEntry, ...]
    """The whole list as it would be, in its order, other teams' entries included."""
    wanted_entries: tuple[Mapping[str, Json], ...]
    unreconciled: str | None
    """Why the operator cannot be said to have taken in what is registered; ``None`` where it has."""
    warnings: tuple[str, ...] = ()
    """What hinders nothing, but should be known: a GitOps tool that keeps the custom resource."""
