"""Our entries of ``spec.custom_foundation_models``: a list that other teams and the operator's owner share with us.

The API server treats the list as one atomic value, so neither server-side apply nor a merge patch can change our part
alone. :func:`three_way` computes the smallest JSON patch that does, from what we know to be ours, what is live and what
is wanted, or says why it must not be done. Entries of others are never part of an operation.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Self, TypeAlias

from weighbridge.domain.digest import Json, digest
from weighbridge.errors import PreconditionError

LIST_PATH: Final = "/spec/custom_foundation_models"
"""JSON pointer of the list in the custom resource."""

_LARGEST_EXACT: Final = 2**53

PatchOperation: TypeAlias = dict[str, Json]
"""One operation of a JSON patch (RFC 6902)."""


def _plain(value: Json) -> Json:
    """``value`` with whole floats as integers and keys in reading order.

    Kubernetes stores ``1.0`` as ``1``; Pulumi knows doubles only, and keeps no order of keys.
    """
    match value:
        case float() if value.is_integer() and abs(value) <= _LARGEST_EXACT:
            return int(value)
        case list():
            return [_plain(item) for item in value]
        case dict():
            return {key: _plain(value[key]) for key in sorted(value, key=_reading_order)}
        case _:
            return value


_FIRST: Final = ("model_id", "location", "pvc_name", "name", "default", "min", "max")


def _reading_order(key: str) -> tuple[int, str]:
    return (_FIRST.index(key) if key in _FIRST else len(_FIRST), key)


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One element of the list, immutable. Two entries are equal if they are equal as JSON (``1`` is ``1.0``, not true)."""

    model_id: str
    digest: str
    """``sha256:…`` of the canonical JSON."""
    text: str
    """JSON, keys in reading order."""

    @classmethod
    def of(cls, value: Json) -> Self:
        """The entry that ``value`` is.

        Raises ``ValueError`` if it is no object or its ``model_id`` is no text, or an empty one.
        """
        if not isinstance(value, dict):
            msg = f"an entry is an object with a model_id, not {json.dumps(value)[:80]}"
            raise ValueError(msg)  # noqa: TRY004  callers handle one kind of malformed entry
        model_id = value.get("model_id")
        if not isinstance(model_id, str) or not model_id:
            msg = f"model_id is a text that is not empty, not {json.dumps(model_id)[:80]}"
            raise ValueError(msg)
        plain = _plain(value)
        return cls(model_id, digest(plain), json.dumps(plain, ensure_ascii=False))

    def value(self) -> dict[str, Json]:
        """A fresh copy as parsed JSON."""
        parsed: dict[str, Json] = json.loads(self.text)
        return parsed

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Entry) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


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
    """Somebody else's entry, taken over because that was asked for."""


class Reason(StrEnum):
    """Why an entry was left alone."""

    FOREIGN = "foreign"
    """Somebody else made an entry of this model_id."""
    FOREIGN_EQUAL = "foreign-equal"
    """The same, and it happens to be equal to ours: still not ours to remove one day."""
    CHANGED = "changed"
    """Ours, but changed by somebody to something we did not write."""
    REPLACED = "replaced"
    """Not what the plan saw."""
    NOT_A_LIST = "not-a-list"
    """The whole value is no list."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One model that cannot be merged, with everything needed to decide."""

    reason: Reason
    model_id: str | None
    """``None`` if it is about the whole list."""
    written: tuple[Entry, ...]
    """What we know to have written."""
    live: tuple[Entry, ...]
    wanted: Entry | None
    """``None`` if it was to be removed."""
    detail: str = ""
    seen: str = ""
    """Digest of what the plan saw; empty where it saw nothing."""

    def describe(self) -> str:
        """What is wrong, in a sentence."""
        match self.reason:
            case Reason.FOREIGN:
                return f"{self.model_id} is registered already, by somebody else and differently"
            case Reason.FOREIGN_EQUAL:
                return f"{self.model_id} is registered already, exactly as wanted, but nothing shows that we did it"
            case Reason.CHANGED:
                return f"the entry of {self.model_id} was changed by somebody to something we did not write"
            case Reason.REPLACED if self.seen:
                return f"the entry of {self.model_id} was replaced by somebody since the plan saw it"
            case Reason.REPLACED:
                return f"{self.model_id} was registered by somebody since the plan, which saw no entry of it"
            case Reason.NOT_A_LIST:
                return f"spec.custom_foundation_models is no list: {self.detail}"

    def remedy(self) -> str:
        """What to do about it, in a sentence."""
        match self.reason:
            case Reason.FOREIGN | Reason.FOREIGN_EQUAL:
                return f"choose another id, or, if it is yours to take, adopt it: --adopt {self.model_id}"
            case Reason.CHANGED if self.wanted is None:
                return (
                    "bring the entry back to what was written (an apply with the model in the environment does), "
                    f"or take it over: --adopt {self.model_id}"
                )
            case Reason.CHANGED:
                return f"look at the change (plan shows it) and apply again, or take it over: --adopt {self.model_id}"
            case Reason.REPLACED:
                return "nothing was written: plan again, look at what stands there now, and apply that plan"
            case Reason.NOT_A_LIST:
                return "the owner of the custom resource has to make it a list, or remove it"

    def versions(self) -> tuple[tuple[str, str], ...]:
        """(label, JSON) of what we wrote or the plan saw, what is live and what is wanted, as far as each exists."""
        rows = (
            [("seen", self._seen())]
            if self.reason is Reason.REPLACED
            else [("written", entry.text) for entry in self.written]
        )
        rows += [("live", entry.text) for entry in self.live]
        if self.wanted is not None:
            rows.append(("wanted", self.wanted.text))
        return tuple(rows)

    def _seen(self) -> str:
        """Only its digest is known, unless it is something of ours."""
        if not self.seen:
            return "nothing"
        return next(
            (entry.text for entry in self.written if entry.digest == self.seen), f"an entry with {self.seen}"
        )


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing may be written."""

    refusals: tuple[Refusal, ...]

    def error(self, where: str, *, show_values: bool = True) -> "EntriesRefusedError":
        """As the failure a user meets: every refusal with the versions in question, or their names alone."""
        lines = []
        for refusal in self.refusals:
            lines.append(refusal.describe())
            if show_values:
                lines += [f"  {label:8}{text}" for label, text in refusal.versions()]
        remedies = dict.fromkeys(refusal.remedy() for refusal in self.refusals)
        return EntriesRefusedError(f"{where}: " + "\n".join(lines), "; ".join(remedies), self, where)


class EntriesRefusedError(PreconditionError):
    """The live list holds something of our model_ids that is not ours to change (exit 3)."""

    def __init__(self, what: str, remedy: str, refused: Refused, where: str) -> None:
        super().__init__(what, remedy=remedy, code=f"entry-{refused.refusals[0].reason}")
        self.refused = refused
        self.where = where

    def without_values(self) -> "EntriesRefusedError":
        """The same, naming models only."""
        return self.refused.error(self.where, show_values=False)


@dataclass(frozen=True, slots=True)
class Merge:
    """What to write so that our entries are as wanted and everybody else's as they were."""

    list_present: bool
    """False if the list is absent (or null) and has to be made."""
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
        """The JSON patch, guarded so that it fails (422) if the list is no longer what it was when merged.

        With ``resource_version`` that is the guard instead of the list: needed where the list is absent, since a
        ``test`` of what is not there fails; elsewhere it costs retries, since status writes change it too.
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


def entries_by_id(live: Json) -> dict[str, tuple[tuple[int, Entry], ...]]:
    """model_id → (index, entry) of every element of ``live`` that has one, duplicates included."""
    found: dict[str, tuple[tuple[int, Entry], ...]] = {}
    for index, element in enumerate(live if isinstance(live, list) else ()):
        try:
            entry = Entry.of(element)
        except ValueError:
            continue  # somebody's element that cannot be ours: kept as it is
        found[entry.model_id] = (*found.get(entry.model_id, ()), (index, entry))
    return found


def _unique(entries: Iterable[Entry]) -> Mapping[str, Entry]:
    wanted: dict[str, Entry] = {}
    for entry in entries:
        if entry.model_id in wanted:
            msg = f"{entry.model_id} is wanted twice"
            raise ValueError(msg)
        wanted[entry.model_id] = entry
    return wanted


def _refusal(
    model_id: str, known: Sequence[Entry], copies: Sequence[Entry], wanted: Entry | None
) -> Refusal | None:
    """Why the live ``copies`` of one model must not be touched; None if they may."""
    if all(copy in known or (known and copy == wanted) for copy in copies):
        return None
    if known:
        reason = Reason.CHANGED
    elif all(copy == wanted for copy in copies):
        reason = Reason.FOREIGN_EQUAL
    else:
        reason = Reason.FOREIGN
    return Refusal(reason, model_id, tuple(dict.fromkeys(known)), tuple(dict.fromkeys(copies)), wanted)


def _replacement(
    seen: str, known: Sequence[Entry], copies: Sequence[Entry], wanted: Entry | None
) -> Refusal | None:
    """Why the live ``copies`` of one model are not what the plan saw; None if they are, or are what is wanted already."""
    other = [copy for copy in copies if copy.digest != seen and copy != wanted]
    if not other:
        return None
    live = tuple(dict.fromkeys(copies))
    return Refusal(Reason.REPLACED, other[0].model_id, tuple(dict.fromkeys(known)), live, wanted, seen=seen)


def three_way(
    old: Iterable[Entry],
    live: Json,
    new: Iterable[Entry],
    adopt: Collection[str] = (),
    seen: Mapping[str, str] | None = None,
) -> Merge | Refused:
    """Merge our entries into the ``live`` list.

    ``old``: everything known to be ours, several versions of one model_id allowed (the state's, the recorded intent's,
    what that intent replaced). ``new``: all that we want, each model_id once. Models in ``old`` but not in ``new`` are
    removed. ``live``: the value as read; ``None`` if absent. ``adopt``: model_ids whose live entry may be taken over
    whoever made it. ``seen``: model_id → digest of the live entry as the plan saw it, empty where none stood there;
    models that it does not name are not compared.

    - live is absent: appended, by model_id (also if ours was removed from outside: nothing of anybody's is lost).
    - live is a version of ours, or what we want: updated in place, or removed; further equal copies are removed.
    - live is anything else: refused, unless adopted. An entry equal to what we want but not known to be ours is
      refused as well, because a later ``destroy`` would remove what somebody else relies on.
    - live is neither what was seen nor what we want: refused, also where it is ours or adopted. Somebody has replaced it
      since a person looked at the plan. An entry that is gone is no such case: putting it back overwrites nothing.

    Merging the result again gives an empty merge. Raises ``ValueError`` if a model_id is wanted twice.
    """
    wanted = _unique(new)
    known: dict[str, list[Entry]] = {}
    for entry in old:
        known.setdefault(entry.model_id, []).append(entry)
    if live is not None and not isinstance(live, list):
        return Refused((Refusal(Reason.NOT_A_LIST, None, (), (), None, json.dumps(live)[:200]),))
    elements: list[Json] = live or []
    found = entries_by_id(elements)
    draft = _Draft()
    for model_id in dict.fromkeys((*sorted(wanted), *known)):  # by id: Pulumi's wire keeps no order of keys
        places, target = found.get(model_id, ()), wanted.get(model_id)
        ours, copies = known.get(model_id, []), [entry for _, entry in places]
        refusal = _refusal(model_id, ours, copies, target)
        later = _replacement(seen[model_id], ours, copies, target) if seen and model_id in seen else None
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
    """A merge in the making."""

    refusals: list[Refusal] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    replaced: dict[int, Entry] = field(default_factory=dict)
    removed: set[int] = field(default_factory=set)

    def add(
        self, model_id: str, places: Sequence[tuple[int, Entry]], target: Entry | None, *, adopted: bool
    ) -> None:
        """One model: ``places`` are its live copies and their indexes, all of them ours to change."""
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
    """Element by element, so that others' elements never pass through our hands; removals from the end backwards."""
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
