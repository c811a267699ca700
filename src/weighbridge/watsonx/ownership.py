"""Whose an entry is, from our record, the list as it stands, and who changed it last. Pure.

What we are about to write is recorded first, as *intended*; it becomes *written* when the write was seen: in the answer to it,
or, after an interruption, in the list. One patch holds a whole write, so the list shows that it was done, or that it was not:

=====================================================  ==========================================================
the list                                               the intended write
=====================================================  ==========================================================
is of another custom resource                          was not done: that one was made anew
is what the write would leave, last changed by us      was done
is what the write would leave, changed by others       was not done: they made it so
holds what was to be replaced as it is to be           was done
holds what was to be replaced, or to go, as it was     was not done
holds nothing of what was to be added                  was not done, or is undone
anything else                                          nobody can tell: others wrote since
=====================================================  ==========================================================

"Last changed by us" is ``managedFields``: the list is atomic, and whoever changes it takes it from everybody else. So:

===================  =====================  ======================  =======================  ========================
one entry            of it stands           written                 intended, replacing W    intended, new
===================  =====================  ======================  =======================  ========================
as recorded (N)      any                    ours                    ours                     done: ours; not done:
                                                                                             theirs; else *unproven*
as it was (W)        any                    -                       ours, as W               -
anything else        any                    ours, edited            ours, edited             theirs
nothing              -                      ours, missing           ours, missing            nothing of ours
===================  =====================  ======================  =======================  ========================

An entry that was to go is ours while it stands as we wrote it, and nothing of ours otherwise: what stands there then is theirs.
Of an *unproven* one nothing is changed or removed: where it is what is wanted it stays as it stands, which is said; where it
is not, it is refused until somebody adopts it.

================================  ================================================================================
interrupted or refused            next time
================================  ================================================================================
before the record is written      nothing is known, nothing was written
record written, no patch          W stands: not done. Others added N: theirs. Nothing stands: nothing of ours
patch refused (409, 422, 403)     the record is taken back before anything else is done
patch done, not recorded          done, or *unproven* where others have changed the list since
written, operator not waited for  the record's last write is waited for
the same id, later, by others     theirs, unless ours of that id was recorded as written and never seen gone
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
    """What became of an intended write."""

    DONE = "done"
    NOT_DONE = "not done"
    OPEN = "open"


Copies = dict[str, list[Entry]]


def list_digest(models: Json) -> str:
    """Of the whole list; an absent one is an empty one."""
    return digest(models if isinstance(models, list) else [])


def resolved(intents: Intents, live: LiveCustomResource, refused: Collection[str] = ()) -> Intents:
    """The record with an intended write settled as far as the list shows what became of it, and without rows of models that
    are not ours. ``refused``: digests of lists that the API server is known not to have taken from us.
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
    """What single entries show: one patch holds them all."""
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
    """As before the write. Of an entry that was to be replaced and was made what we meant by others, both are ours."""
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
    """Alone, as it was meant."""
    return copies.get(row.entry.model_id) == [row.entry]


def unproven_words(model_ids: Iterable[str]) -> tuple[str, ...]:
    """What a person should know of entries of which nobody can tell whether we wrote them."""
    return tuple(
        f"{model_id} stands as an interrupted run of ours was to write it, but others have written the list since: nothing"
        f" shows that it is ours. It stays as it is; --adopt {model_id} makes it ours"
        for model_id in model_ids
    )
