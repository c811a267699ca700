"""Entries of ``spec.custom_foundation_models`` as the rest of the house sees them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from weighbridge.domain.digest import Json

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
