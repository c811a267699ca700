"""A merge in a readable form: the whole list, entry by entry, and what differs in each."""

import json
from collections.abc import Collection, Iterator, Mapping

from weighbridge.domain.digest import Json
from weighbridge.domain.visible import quoted
from weighbridge.watsonx.entries import EntryFate, PlannedEntry, StandingEntry
from weighbridge.watsonx.entry import Entry, entries_by_id
from weighbridge.watsonx.merge import ChangeKind, Merge
from weighbridge.watsonx.record import Intent


def planned_entries(
    merge: Merge, written: Collection[str] = (), unproven: Collection[str] = ()
) -> tuple[PlannedEntry, ...]:
    """Return the list as it would be, in order. Entries to be removed keep their present place.

    ``written``: models that we registered earlier; they are ours even if nothing is wanted. ``unproven``: models that
    stand as wanted, are left alone, and may or may not be ours.
    """
    changes = {change.model_id: change for change in merge.changes}
    ours = ({entry.model_id for entry in merge.wanted} | set(written)) - set(unproven)
    rows: list[PlannedEntry] = []
    shown: set[str] = set()
    for element in merge.before:
        name = _name(element)
        change = changes.pop(name, None)
        if name in shown:  # a further copy of a changed entry: at most one copy stays
            rows.append(PlannedEntry(name, "remove"))
            continue
        if change is None or change.before is None:
            rows.append(PlannedEntry(name, "keep" if name in ours else "foreign"))
            continue
        shown.add(name)
        kept = change.before == change.after
        fate: EntryFate = "keep" if kept else "update" if change.kind is ChangeKind.UPDATE else "remove"
        differing = tuple(differences(change.before.value(), change.after.value())) if change.after else ()
        rows.append(PlannedEntry(name, fate, differing))
    rows += [
        PlannedEntry(model_id, "add") for model_id, change in changes.items() if change.kind is ChangeKind.ADD
    ]
    return tuple(rows)


def standing_entries(live: Json, intents: Mapping[str, Intent]) -> dict[str, StandingEntry]:
    """Return every model of the list, by id, with its owner. Of several copies, prefer one that we wrote."""
    found: dict[str, StandingEntry] = {}
    for model_id, copies in entries_by_id(live).items():
        intent, entries = intents.get(model_id), [entry for _, entry in copies]
        if intent is None:
            found[model_id] = StandingEntry(value=entries[0].value(), owner="foreign")
            continue
        written = [entry for entry in (intent.previous, intent.entry) if entry is not None]
        ours = next((entry for entry in entries if entry in written), None)
        if ours is not None:
            found[model_id] = StandingEntry(value=ours.value(), owner="ours", written=ours.value())
        else:  # the end of an interrupted write is unknown: the earlier version stood before it
            found[model_id] = StandingEntry(
                value=entries[0].value(), owner="edited", written=written[0].value()
            )
    return found


def seen_by_looking(live: Json, ours: Collection[str]) -> tuple[Entry, ...]:
    """Return the live entries of models that we wrote, edited or not: a shown change may be repaired later.

    Leave out a model that is there twice: nobody can tell which copy is meant.
    """
    found = entries_by_id(live)
    return tuple(found[model_id][0][1] for model_id in ours if len(found.get(model_id, ())) == 1)


def differences(before: Json, after: Json, path: str = "") -> Iterator[str]:
    """Yield ``location.sub_path: "a" → "b"`` for every leaf that differs. List items by index, parameters by name."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys((*before, *after)):
            below = f"{path}.{quoted(key)}" if path else quoted(key)
            yield from differences(before.get(key), after.get(key), below)
    elif isinstance(before, list) and isinstance(after, list):
        old, new = _keyed(before), _keyed(after)
        for key in dict.fromkeys((*old, *new)):
            yield from differences(old.get(key), new.get(key), f"{path}[{quoted(key)}]")
    elif json.dumps(before, sort_keys=True) != json.dumps(after, sort_keys=True):
        yield f"{path}: {_short(before)} → {_short(after)}"


def _keyed(items: list[Json]) -> dict[str, Json]:
    names = [item.get("name") if isinstance(item, dict) else None for item in items]
    if all(isinstance(name, str) for name in names) and len(set(map(str, names))) == len(names):
        return {str(name): item for name, item in zip(names, items, strict=True)}
    return {str(index): item for index, item in enumerate(items)}


def _short(value: Json) -> str:
    return "absent" if value is None else json.dumps(value, ensure_ascii=False)


def _name(element: Json) -> str:
    found = next(iter(entries_by_id([element])), None)
    return found or f"(no model_id: {json.dumps(element)[:60]})"
