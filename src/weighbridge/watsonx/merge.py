"""Our entries of ``spec.custom_foundation_models``: a list that other teams and the operator's owner share with us.

The API server treats the list as one atomic value, so neither server-side apply nor a merge patch can change our part
alone. :func:`three_way` computes the smallest JSON patch for that, from the entries known to be ours, the live list
and the wanted entries. Or it says why the patch is not allowed. Entries of others are never part of an operation.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias

from weighbridge.domain.digest import Json
from weighbridge.watsonx.entry import Entry, entries_by_id
from weighbridge.watsonx.refusals import Reason, Refusal, Refused, not_ours, replaced_since

LIST_PATH: Final = "/spec/custom_foundation_models"
"""JSON pointer of the list in the custom resource."""

PatchOperation: TypeAlias = dict[str, Json]
"""One operation of a JSON patch (RFC 6902)."""


class ChangeKind(StrEnum):
    ADD = "add"
    UPDATE = "update"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one model's entry."""

    model_id: str
    kind: ChangeKind
    before: Entry | None
    after: Entry | None
    adopted: bool = False
    """An entry of others that we take over because the user asked for it."""


@dataclass(frozen=True, slots=True)
class Merge:
    """What to write so that our entries are as wanted and all others stay as they are."""

    list_present: bool
    """``False`` if the list is absent (or null) and must be created."""
    before_text: str
    """JSON of the list as it was read; ``[]`` if absent."""
    after_text: str
    """JSON of the list as it will be."""
    operations: tuple[str, ...]
    """JSON patch operations (each as JSON text), without the guard; empty if there is nothing to do."""
    changes: tuple[Change, ...]
    wanted: tuple[Entry, ...]

    @property
    def before(self) -> list[Json]:
        parsed: list[Json] = json.loads(self.before_text)
        return parsed

    @property
    def after(self) -> list[Json]:
        parsed: list[Json] = json.loads(self.after_text)
        return parsed

    @property
    def is_empty(self) -> bool:
        return not self.operations

    def patch(self, resource_version: str | None = None) -> list[PatchOperation]:
        """Return the JSON patch, guarded so that it fails (422) if the list has changed since the merge.

        With ``resource_version``, guard that instead of the list. This is needed if the list is absent, because a
        ``test`` of an absent value fails. Else it costs retries, because status writes change the resourceVersion
        too.
        """
        if not self.list_present and resource_version is None:
            msg = "an absent list can be guarded by the resourceVersion alone"
            raise ValueError(msg)
        guard: PatchOperation = (
            {"op": "test", "path": LIST_PATH, "value": self.before}
            if resource_version is None
            else {"op": "test", "path": "/metadata/resourceVersion", "value": resource_version}
        )
        return [guard, *(json.loads(operation) for operation in self.operations)]


def _unique(entries: Iterable[Entry]) -> Mapping[str, Entry]:
    wanted: dict[str, Entry] = {}
    for entry in entries:
        if entry.model_id in wanted:
            msg = f"{entry.model_id} is wanted twice"
            raise ValueError(msg)
        wanted[entry.model_id] = entry
    return wanted


def three_way(  # noqa: PLR0913, PLR0917  everything that is known, since it is pure
    old: Iterable[Entry],
    live: Json,
    new: Iterable[Entry],
    adopt: Collection[str] = (),
    seen: Mapping[str, str] | None = None,
    unproven: Mapping[str, Entry] | None = None,
) -> Merge | Refused:
    """Merge our entries into the ``live`` list.

    ``old``: everything known to be ours; several versions of one model_id are allowed (from the state, from the recorded
    intent, and what that intent replaced). ``new``: all entries that we want, each model_id once. Models in ``old`` but
    not in ``new`` are removed. ``live``: the value as read; ``None`` if absent. ``adopt``: model_ids whose live entry may
    be taken over from any author. ``seen``: model_id → digest of the live entry that the plan saw, empty if there was
    none; models without a key are not compared. ``unproven``: live entries that may or may not be ours.

    - live is absent: append the entry, by model_id (also if ours was removed from outside: nobody loses anything).
    - live is a version of ours, or what we want: update it in place, or remove it; remove further equal copies.
    - live is anything else: refuse, unless adopted. Also refuse an entry that equals what we want but is not known to be
      ours: a later ``destroy`` would remove what others rely on.
    - live is neither what was seen nor what we want: refuse, also if it is ours or adopted. Somebody has replaced it since
      a person looked at the plan. If it is gone, add it again: that overwrites nothing. But refuse that too if the plan saw
      it as wanted: the plan then showed no change of it.
    - live is unproven: leave it if it is what we want, else refuse. If adopted, it is ours.

    Merging the result again gives an empty merge. Raise ``ValueError`` if a model_id is wanted twice.
    """
    wanted = _unique(new)
    known: dict[str, list[Entry]] = {}
    for entry in old:
        known.setdefault(entry.model_id, []).append(entry)
    if live is not None and not isinstance(live, list):
        return Refused((Refusal(Reason.NOT_A_LIST, None, (), (), None, json.dumps(live)[:200]),))
    elements: list[Json] = live or []
    found = entries_by_id(elements)
    left = {} if unproven is None else {key: row for key, row in unproven.items() if key not in adopt}
    draft = _Draft()
    for model_id in dict.fromkeys((*sorted(wanted), *known)):  # by id: Pulumi's wire keeps no order of keys
        places, target = found.get(model_id, ()), wanted.get(model_id)
        ours, copies = known.get(model_id, []), [entry for _, entry in places]
        if not ours and target is not None and copies == [target] == [left.get(model_id)]:
            continue
        refusal = not_ours(model_id, ours, copies, target, unproven=model_id in left)
        later = replaced_since(seen[model_id], ours, copies, target) if seen and model_id in seen else None
        if refusal is not None and model_id not in adopt:
            changed = refusal.reason is Reason.CHANGED and later is not None
            draft.refusals.append(later if changed and later is not None else refusal)
        elif later is not None:
            draft.refusals.append(later)
        else:
            draft.add(model_id, places, target, adopted=refusal is not None)
    if draft.refusals:
        return Refused(tuple(draft.refusals))
    return draft.merge(elements, tuple(wanted.values()), list_present=live is not None)


@dataclass(slots=True)
class _Draft:
    """A merge being built."""

    refusals: list[Refusal] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    replaced: dict[int, Entry] = field(default_factory=dict)
    removed: set[int] = field(default_factory=set)

    def add(
        self, model_id: str, places: Sequence[tuple[int, Entry]], target: Entry | None, *, adopted: bool
    ) -> None:
        """Add one model. ``places``: indexes and values of its live copies, all of them ours to change."""
        if not places:
            if target is not None:
                self.changes.append(Change(model_id, ChangeKind.ADD, None, target))
            return
        index, first = places[0]
        if target is None:
            self.removed.update(place for place, _ in places)
            self.changes.append(Change(model_id, ChangeKind.REMOVE, first, None, adopted))
            return
        self.removed.update(place for place, _ in places[1:])
        if first != target:
            self.replaced[index] = target
        if first != target or len(places) > 1:
            self.changes.append(Change(model_id, ChangeKind.UPDATE, first, target, adopted))

    def merge(self, elements: list[Json], wanted: tuple[Entry, ...], *, list_present: bool) -> Merge:
        appended = [
            change.after for change in self.changes if change.before is None and change.after is not None
        ]
        kept: list[Json] = [
            self.replaced[index].value() if index in self.replaced else element
            for index, element in enumerate(elements)
            if index not in self.removed
        ]
        operations = _operations(self.replaced, self.removed, appended, list_present=list_present)
        return Merge(
            list_present=list_present,
            before_text=json.dumps(elements),
            after_text=json.dumps([*kept, *(entry.value() for entry in appended)]),
            operations=tuple(json.dumps(operation) for operation in operations),
            changes=tuple(self.changes),
            wanted=wanted,
        )


def _operations(
    replaced: Mapping[int, Entry], removed: Collection[int], appended: Sequence[Entry], *, list_present: bool
) -> list[PatchOperation]:
    """Return operations on single elements, so that we never rewrite elements of others. Remove from the end backwards."""
    if not list_present:
        fresh: list[Json] = [entry.value() for entry in appended]
        return [{"op": "add", "path": LIST_PATH, "value": fresh}] if fresh else []
    operations: list[PatchOperation] = [
        {"op": "replace", "path": f"{LIST_PATH}/{index}", "value": entry.value()}
        for index, entry in sorted(replaced.items())
    ]
    operations += [
        {"op": "remove", "path": f"{LIST_PATH}/{index}"} for index in sorted(removed, reverse=True)
    ]
    operations += [{"op": "add", "path": f"{LIST_PATH}/-", "value": entry.value()} for entry in appended]
    return operations
