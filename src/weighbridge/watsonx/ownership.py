"""Decide whose an entry is, from our record, the present list, and who changed it last. Without side effects.

What we are about to write is first recorded as *intended*. It becomes *written* when the write was seen: in its answer, or,
after an interruption, in the list. One patch holds a whole write, so the list shows whether it was done:

=====================================================  ==========================================================
the list                                               the intended write
=====================================================  ==========================================================
is of another custom resource                          was not done: the resource was deleted and created
is what the write would leave, last changed by us      was done
is what the write would leave, changed by others       was not done: others wrote the same
holds the new version of an entry to replace           was done
holds an entry to replace or remove, unchanged         was not done
holds no entry that should be added                    was not done, or was undone
anything else                                          unknown: others wrote since
=====================================================  ==========================================================

"Last changed by us" is read from ``managedFields``: the list is atomic, so its last writer owns all of it. Then:

===================  =====================  ======================  =======================  ========================
one entry            now in the list        written                 intended, replacing W    intended, new
===================  =====================  ======================  =======================  ========================
as recorded (N)      any                    ours                    ours                     done: ours; not done:
                                                                                             theirs; else *unproven*
as it was (W)        any                    -                       ours, as W               -
anything else        any                    ours, edited            ours, edited             theirs
nothing              -                      ours, missing           ours, missing            nothing of ours
===================  =====================  ======================  =======================  ========================

An entry to be removed is ours while it stands as we wrote it. Otherwise it is theirs. An *unproven* entry is never changed or
removed. If it is what we want, it stays, and a warning says so. If not, it is refused until somebody adopts it.

================================  ================================================================================
interrupted or refused            next time
================================  ================================================================================
before the record is written      nothing is known, nothing was written
record written, no patch          W stands: not done. Others added N: theirs. No entry: nothing of ours
patch refused (409, 422, 403)     the record was removed before anything else was done
patch done, not recorded          done, or *unproven* if others have changed the list since
written, operator not waited for  wait for the record's last write
the same id, later, by others     theirs, unless our entry of that id was recorded and never seen gone
================================  ================================================================================
"""

from collections.abc import Collection, Iterable
from dataclasses import replace
from enum import StrEnum
from typing import Final

from weighbridge.domain.digest import Json, digest
from weighbridge.domain.naming import MANAGER
from weighbridge.watsonx.custom_resource import LiveCustomResource
from weighbridge.watsonx.entry import Entry, entries_by_id
from weighbridge.watsonx.reconciled import Mark
from weighbridge.watsonx.record import Intent, Intents


class Fate(StrEnum):
    """What happened to an intended write."""

    DONE = "done"
    NOT_DONE = "not done"
    OPEN = "open"


Copies = dict[str, list[Entry]]


def list_digest(models: Json) -> str:
    """Return the digest of the whole list; an absent list counts as empty."""
    return digest(models if isinstance(models, list) else [])


def resolved(intents: Intents, live: LiveCustomResource, refused: Collection[str] = ()) -> Intents:
    """Return the record with the intended write settled, as far as the list shows what happened to it, and without
    rows of models that are not ours. ``refused``: digests of lists that the API server refused to take from us.
    """
    copies = {model_id: [entry for _, entry in rows] for model_id, rows in entries_by_id(live.models).items()}
    rows = {key: row for key, row in intents.models.items() if not row.unproven or _stands(row, copies)}
    mark = intents.mark
    if mark is None or mark.intended is None:
        return replace(intents, models=rows)
    fate = _fate(rows, mark, live, copies, refused)
    found = {key: _RESOLVED[fate](row, mark, copies) for key, row in rows.items()}
    models = {key: row for key, row in found.items() if row is not None}
    if fate is Fate.NOT_DONE:
        return Intents(models, mark.intended.before)
    return Intents(models, replace(mark, intended=None) if fate is Fate.DONE else mark)


def _fate(
    rows: dict[str, Intent], mark: Mark, live: LiveCustomResource, copies: Copies, refused: Collection[str]
) -> Fate:
    intended = mark.intended
    if intended is None or live.uid != mark.cr_uid or intended.after in refused:
        return Fate.NOT_DONE
    owners = {writer.manager for writer in live.writers if writer.models and not writer.status}
    if intended.after == list_digest(live.models) and owners:
        return Fate.DONE if MANAGER in owners else Fate.NOT_DONE
    return _shown(rows, mark, copies)


def _shown(rows: dict[str, Intent], mark: Mark, copies: Copies) -> Fate:
    """Judge by single entries: one patch holds them all."""
    replacing = {key: row for key, row in rows.items() if row.previous not in {None, row.entry}}
    if any(copies.get(key) == [row.entry] for key, row in replacing.items()):
        return Fate.DONE
    leaving = [row for key, row in rows.items() if key in mark.removed]
    added = [row for key, row in rows.items() if row.previous is None and key not in mark.removed]
    as_it_was = any(row.previous in copies.get(key, []) for key, row in replacing.items()) or any(
        row.entry in copies.get(row.entry.model_id, []) for row in leaving
    )
    nothing_new = bool(added) and not leaving and not any(_stands(row, copies) for row in added)
    return Fate.NOT_DONE if as_it_was or nothing_new else Fate.OPEN


def _done(row: Intent, mark: Mark, copies: Copies) -> Intent | None:
    del copies
    return None if row.entry.model_id in mark.removed else replace(row, previous=None)


def _not_done(row: Intent, mark: Mark, copies: Copies) -> Intent | None:
    """Return the row as before the write. If others made an entry what we intended, both versions of it count as ours."""
    if row.unproven or row.entry.model_id in mark.removed:
        return row
    if row.previous is None:
        return None
    if row.entry in copies.get(row.entry.model_id, []):
        return row
    return Intent(row.previous)


def _open(row: Intent, mark: Mark, copies: Copies) -> Intent | None:
    if row.entry.model_id in mark.removed:
        return row if _stands(row, copies) else None
    if row.previous is not None or row.unproven:
        return row
    return replace(row, unproven=True) if _stands(row, copies) else None


_RESOLVED: Final = {Fate.DONE: _done, Fate.NOT_DONE: _not_done, Fate.OPEN: _open}


def _stands(row: Intent, copies: Copies) -> bool:
    """Return whether the entry stands exactly once, as we intended it."""
    return copies.get(row.entry.model_id) == [row.entry]


def unproven_words(model_ids: Iterable[str]) -> tuple[str, ...]:
    """Return warnings about entries that we may or may not have written."""
    return tuple(
        f"{model_id} stands as an interrupted run of ours was to write it, but others have written the list since: nothing"
        f" shows that it is ours. It stays as it is; --adopt {model_id} makes it ours"
        for model_id in model_ids
    )
