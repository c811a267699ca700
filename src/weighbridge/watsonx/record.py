"""What we wrote, or are about to write, into a list of others. It is kept in a ConfigMap of our own beside that list.

It is written before the list is. So an interruption at any moment never makes our own entry look foreign, and a lost
Pulumi state can be rebuilt; ``watsonx/ownership.py`` says what it proves. It has one key for each model, and
``_last-write`` for the last write. That key stays after a removal until the operator was seen to have taken the
removal in.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from weighbridge.domain.digest import Json
from weighbridge.domain.naming import receipt_key
from weighbridge.errors import StepFailedError
from weighbridge.watsonx.custom_resource import LiveCustomResource
from weighbridge.watsonx.entry import Entry
from weighbridge.watsonx.merge import Change
from weighbridge.watsonx.reconciled import Mark

LAST_WRITE_KEY: Final = "_last-write"
"""Never a model's key: an id starts with a letter or a digit."""


@dataclass(frozen=True, slots=True)
class Intent:
    """One model: the intended entry, and our entry that stood in the list when that was decided."""

    entry: Entry
    previous: Entry | None = None
    unproven: bool = False
    """The entry stands there, but may or may not be ours."""

    def as_json(self) -> str:
        row: dict[str, Json] = {
            "model_id": self.entry.model_id,
            "digest": self.entry.digest,
            "entry": self.entry.value(),
            "previous": self.previous.value() if self.previous else None,
        }
        return json.dumps(row | ({"unproven": True} if self.unproven else {}))


@dataclass(frozen=True, slots=True)
class Intents:
    """The record of one environment."""

    models: Mapping[str, Intent] = field(default_factory=dict)
    mark: Mark | None = None

    @property
    def pending(self) -> bool:
        """Whether the operator may not have taken in our last write."""
        return self.mark is not None and not self.mark.confirmed

    @property
    def spent(self) -> bool:
        """Whether no record is needed: nothing of ours is registered, and no reconciliation is awaited."""
        return not self.models and not self.pending

    def with_mark(self, mark: Mark) -> "Intents":
        """Return the same record with another last write."""
        return replace(self, mark=mark)

    @property
    def ours(self) -> Mapping[str, Intent]:
        """The rows of entries that are ours, without the unproven ones."""
        return {key: intent for key, intent in self.models.items() if not intent.unproven}

    @property
    def unproven(self) -> Mapping[str, Entry]:
        """The unproven entries, as they stand."""
        return {key: intent.entry for key, intent in self.models.items() if intent.unproven}

    def known(self) -> tuple[Entry, ...]:
        """Return every entry in the list that may be ours."""
        return tuple(
            entry
            for intent in self.ours.values()
            for entry in (intent.entry, intent.previous)
            if entry is not None
        )

    def data(self) -> dict[str, str]:
        """Return the ConfigMap's ``data``."""
        rows = {receipt_key(model_id): intent.as_json() for model_id, intent in self.models.items()}
        return rows | ({LAST_WRITE_KEY: json.dumps(self.mark.as_json())} if self.mark else {})


def parse_intents(data: Mapping[str, str]) -> Intents:
    """Parse the ConfigMap's ``data``. Skip a text that is not ours (edited by hand): its entry then counts as
    foreign, and is refused rather than overwritten.
    """
    models: dict[str, Intent] = {}
    mark = None
    for key, text in data.items():
        try:
            raw = json.loads(text)
            if key == LAST_WRITE_KEY:
                mark = Mark.from_json(raw)
                continue
            entry = Entry.of(raw["entry"])
            previous = Entry.of(raw["previous"]) if raw.get("previous") is not None else None
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        models[entry.model_id] = Intent(entry, previous, raw.get("unproven") is True)
    return Intents(models, mark)


def intend(
    before: Intents, live: Iterable[Entry], new: Iterable[Entry], mark: Mark, known: Iterable[Entry] = ()
) -> Intents:
    """Return the record before a write: each wanted entry with our live entry (known from ``before`` or ``known``),
    the entries to be removed, and the unproven entries that are left alone.
    """
    ours = {*before.known(), *known}
    standing = {entry.model_id: entry for entry in live if entry in ours}
    models = {entry.model_id: Intent(entry, standing.get(entry.model_id)) for entry in new}
    staying = {key: row for key, row in before.models.items() if key not in models}
    return Intents({**staying, **models}, mark)


def confirmed(intents: Intents, mark: Mark) -> Intents:
    """Return the record after the operator has taken in the write of ``mark``: without models that the write removed,
    because others may register them from now on without harm to us.
    """
    models = {key: intent for key, intent in intents.models.items() if key not in mark.removed}
    entries = tuple(row for row in mark.entries if row[0] not in mark.removed)
    return Intents(models, replace(mark, confirmed=True, entries=entries))


def settled(new: Iterable[Entry], mark: Mark, unproven: Iterable[Entry] = ()) -> Intents:
    """Return the record after a write."""
    rows = {entry.model_id: Intent(entry) for entry in new}
    return Intents(rows | {entry.model_id: Intent(entry, unproven=True) for entry in unproven}, mark)


@dataclass(frozen=True, slots=True)
class Written:
    """The custom resource after a write, or as it is if nothing had to be written."""

    live: LiveCustomResource
    changes: tuple[Change, ...]
    mark: Mark | None
    """``None`` if nothing of ours was ever written."""
    unproven: frozenset[str] = frozenset()
    """Models that stand as wanted, were not written, and may or may not be ours."""

    @property
    def written_at(self) -> str | None:
        return self.mark.written_at if self.mark else None


class UnrecordedWriteError(StepFailedError):
    """The list was patched, but a later step failed: the entries exist, and their record must not be lost."""

    def __init__(self, cause: Exception, written: Written) -> None:
        what = getattr(cause, "what", str(cause))
        super().__init__(
            f"the entries were written into {written.live.where}, but then: {what}",
            remedy="run the same command again: it finds them and finishes",
            code="write-unrecorded",
            transient=True,
        )
        self.written = written
