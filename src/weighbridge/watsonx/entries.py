"""Entries of ``spec.custom_foundation_models`` as other packages see them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from weighbridge.domain.digest import Json

EntryFate: TypeAlias = Literal["add", "update", "keep", "remove", "foreign"]


@dataclass(frozen=True, slots=True)
class PlannedEntry:
    """One element of ``spec.custom_foundation_models``, and what an apply would do with it."""

    model_id: str
    fate: EntryFate
    changes: tuple[str, ...] = ()
    """What differs, for ``update``: ``location.sub_path: a → b``."""


EntryOwner: TypeAlias = Literal["ours", "edited", "foreign"]
"""``ours``: as we wrote it. ``edited``: we registered the model, and somebody has changed the entry since.
``foreign``: nothing shows that we made it, whatever its model id.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingEntry:
    """One model's entry in the present list."""

    value: Mapping[str, Json]
    owner: EntryOwner
    written: Mapping[str, Json] | None = None
    """The entry as we wrote it; ``None`` if we did not write it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationState:
    """The custom resource, prepared for people."""

    entries: tuple[PlannedEntry, ...]
    """The whole list as it would be after an apply."""
    standing: Mapping[str, StandingEntry]
    """By model id: the present entry and its owner."""
    status: str
    """``watsonxaiifmStatus`` and progress."""
    unreconciled: str | None
    """Why the operator has not, or may not have, taken in the present list; ``None`` if it has."""
    warnings: tuple[str, ...] = ()
    """What stops nothing, but the user should know before a write."""

    @property
    def ours(self) -> dict[str, StandingEntry]:
        """Entries that we registered, whether edited since or not."""
        return {key: entry for key, entry in self.standing.items() if entry.owner != "foreign"}
