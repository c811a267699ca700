"""What a person, a reviewer and a program see of the registration. Without side effects."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from weighbridge.core.step import ItemStatus, StepStatus
from weighbridge.domain.digest import Json
from weighbridge.domain.visible import quoted
from weighbridge.environment.types import Environment
from weighbridge.watsonx.entries import EntryOwner, PlannedEntry, RegistrationState, StandingEntry

_FATES: Final = {
    "add": ("+", "new"),
    "update": ("~", "changes"),
    "keep": ("=", "ours, unchanged"),
    "remove": ("-", "goes"),
    "foreign": (" ", "not ours, stays as it is"),
}
_REGISTERED: Final[Mapping[EntryOwner | None, str]] = {
    "ours": "registered",
    "edited": "registered, but somebody has edited the entry since",
    "foreign": "not registered: the entry of this id is somebody else's",
    None: "not registered",
}
_OWNERS: Final[Mapping[EntryOwner, str]] = {
    "ours": "ours",
    "edited": "ours, edited since by somebody",
    "foreign": "not ours",
}


def entry_lines(entries: Iterable[PlannedEntry]) -> Iterator[str]:
    """Return the planned list, entry by entry."""
    for entry in entries:
        mark, words = _FATES[entry.fate]
        yield f"{mark} {quoted(entry.model_id)}  ({words})"
        for change in entry.changes:
            yield f"    {change}"


def review_rows(
    state: RegistrationState, wanted: Sequence[Mapping[str, Json]], adopt: frozenset[str]
) -> Iterator[Json]:
    """Return each entry of ours that would change, before and after. Entries of other teams are not shown to the reviewer."""
    after = {str(entry["model_id"]): dict(entry) for entry in wanted}
    for entry in state.entries:
        if entry.fate in {"add", "update", "remove"}:
            standing = state.standing.get(entry.model_id)
            row: dict[str, Json] = {
                "entry": entry.model_id,
                "before": dict(standing.value) if standing is not None else None,
                "after": after.get(entry.model_id) if entry.fate != "remove" else None,
            }
            if entry.model_id in adopt:
                row["adopt"] = True
            yield row


def status_parts(environment: Environment, state: RegistrationState) -> StepStatus:
    """Return what is registered, model by model, then the list."""
    lines = [f"{environment.cluster.custom_resource}: {state.status}"]
    if state.unreconciled:
        lines.append(f"  not reconciled: {state.unreconciled}")
    for entry in state.entries:
        standing = state.standing.get(entry.model_id)
        owner: EntryOwner = standing.owner if standing is not None else "foreign"
        lines.append(f"  {quoted(entry.model_id)}  ({_OWNERS[owner]})")
    return StepStatus(
        message={
            "custom_resource": environment.cluster.custom_resource,
            "operator": state.status,
            "unreconciled": state.unreconciled,
            "entries": [entry.model_id for entry in state.entries],
        },
        items={model.id: _item(state.standing.get(model.id)) for model in environment.models},
        lines=tuple(lines),
        warnings=state.warnings,
    )


def _item(entry: StandingEntry | None) -> ItemStatus:
    owner = entry.owner if entry is not None else None
    return ItemStatus(
        row={
            "registered": owner in {"ours", "edited"},
            "entry": dict(entry.value) if entry is not None else None,
            "entry_owner": owner,
        },
        well=owner == "ours",
        words=_REGISTERED[owner],
    )
