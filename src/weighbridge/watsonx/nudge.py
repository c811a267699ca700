"""How to make an operator that has failed look again.

It tries again only if the custom resource's spec changes (ansible-operator with ``--reconcile-period 0s``, IBM's
chart ``ibm-watsonx-ai-ifm``). A change that harms nobody is to take one entry of ours out and put it back at another
place: the list is a set of models by ``model_id``, the edit touches no element of others and leaves no key behind.
Both halves are one patch, so the entry is never missing. Only if the list holds nothing else, two patches are needed.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from weighbridge.domain.digest import Json
from weighbridge.watsonx.entry import Entry, entries_by_id
from weighbridge.watsonx.merge import LIST_PATH, PatchOperation

_WORD: Final = r"[A-Za-z0-9_/-]|\.(?=[A-Za-z0-9])"
"""Characters inside a model id (IBM's own pattern). A full stop at the end of a sentence is not part of the id."""


@dataclass(frozen=True, slots=True)
class Nudge:
    """One entry of ours that is taken out and put back."""

    model_id: str
    place: str
    """Where it is put back, in words."""
    patches: tuple[str, ...]
    """JSON of each patch, in order, without the guard."""

    def operations(self, index: int) -> list[PatchOperation]:
        """Return the operations of patch ``index``."""
        parsed: list[PatchOperation] = json.loads(self.patches[index])
        return parsed


def named_models(message: str, model_ids: Iterable[str]) -> tuple[str, ...]:
    """Return those of ``model_ids`` that ``message`` contains as whole words: ``llama-7b-chat`` does not name ``llama-7b``."""
    return tuple(
        model_id
        for model_id in model_ids
        if re.search(rf"(?<![A-Za-z0-9_./-]){re.escape(model_id)}(?!{_WORD})", message)
    )


def find_nudge(live: Json, ours: Mapping[str, Entry], message: str) -> Nudge | None:
    """Return the edit of the ``live`` list. ``ours``: entries as we wrote them. Prefer an entry that the operator's
    message names. Return ``None`` if the list holds no entry of ours exactly once and as we wrote it.
    """
    found = entries_by_id(live)
    standing = {
        model_id: found[model_id][0][0]
        for model_id, entry in ours.items()
        if [copy for _, copy in found.get(model_id, ())] == [entry]
    }
    if not isinstance(live, list) or not standing:
        return None
    model_id = next(iter((*named_models(message, standing), *reversed(standing))))
    index, last = standing[model_id], len(live) - 1
    out: PatchOperation = {"op": "remove", "path": f"{LIST_PATH}/{index}"}
    back: PatchOperation = {"op": "add", "path": f"{LIST_PATH}/-", "value": live[index]}
    if last == 0:
        return Nudge(model_id, "where it was, alone in the list", (json.dumps([out]), json.dumps([back])))
    if index == last:
        back["path"] = f"{LIST_PATH}/{last - 1}"
        return Nudge(model_id, "one place further up in the list", (json.dumps([out, back]),))
    return Nudge(model_id, "at the end of the list", (json.dumps([out, back]),))
