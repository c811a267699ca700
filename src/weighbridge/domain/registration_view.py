"""A merge as a person reads it: the whole list, entry by entry, and what differs in each."""

import json
from collections.abc import Collection, Iterator

from weighbridge.domain.digest import Json
from weighbridge.domain.facts import EntryFate, PlannedEntry
from weighbridge.domain.registration import ChangeKind, Entry, Merge, entries_by_id


def planned_entries(merge: Merge, written: Collection[str] = ()) -> tuple[PlannedEntry, ...]:
    """The list as it would be, in its order; entries to be removed stand where they stand now.

    ``written``: models that we registered earlier, ours even where nothing is wanted.
    """
    changes = {change.model_id: change for change in merge.changes}
    ours = {entry.model_id for entry in merge.wanted} | set(written)
    rows: list[PlannedEntry] = []
    for element in merge.before:
        name = _name(element)
        change = changes.pop(name, None)
        if change is None or change.before is None:
            rows.append(PlannedEntry(name, "keep" if name in ours else "foreign"))
            continue
        fate: EntryFate = "update" if change.kind is ChangeKind.UPDATE else "remove"
        differing = tuple(differences(change.before.value(), change.after.value())) if change.after else ()
        rows.append(PlannedEntry(name, fate, differing))
    rows += [
        PlannedEntry(model_id, "add") for model_id, change in changes.items() if change.kind is ChangeKind.ADD
    ]
    return tuple(rows)


def seen_by_looking(live: Json, ours: Collection[str]) -> tuple[Entry, ...]:
    """Live entries of models that we wrote, edited or not: a change that is shown first may be mended afterwards.

    A model that stands there twice is left out, since nobody can tell which of the two is meant.
    """
    found = entries_by_id(live)
    return tuple(found[model_id][0][1] for model_id in ours if len(found.get(model_id, ())) == 1)


def differences(before: Json, after: Json, path: str = "") -> Iterator[str]:
    """``location.sub_path: "a" → "b"`` for every leaf that differs; list items by index, parameters by their name."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys((*before, *after)):
            yield from differences(before.get(key), after.get(key), f"{path}.{key}" if path else key)
    elif isinstance(before, list) and isinstance(after, list):
        old, new = _keyed(before), _keyed(after)
        for key in dict.fromkeys((*old, *new)):
            yield from differences(old.get(key), new.get(key), f"{path}[{key}]")
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
