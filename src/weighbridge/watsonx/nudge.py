"""How to make an operator that has failed look once more.

It tries again only when the custom resource's spec changes (ansible-operator with ``--reconcile-period 0s``, IBM's chart
``ibm-watsonx-ai-ifm``). The change that harms nobody is to take one entry of ours out and put it back at another place:
the list is a set of models by ``model_id``, no element of anybody else is part of the edit, no key is left behind, and
since both halves are one patch the entry is never missing. Only where the list holds nothing else does it take two.
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
"""What may stand within a model id (IBM's own pattern); a full stop at the end of a sentence is none of it."""


@dataclass(frozen=True, slots=True)
class Nudge:
    """One entry of ours that goes out and comes back."""

    model_id: str
    place: str
    """Where it comes back, in words."""
    patches: tuple[str, ...]
    """JSON of each patch, in order, without a guard."""

    def operations(self, index: int) -> list[PatchOperation]:
        """Operations of patch ``index``."""
        parsed: list[PatchOperation] = json.loads(self.patches[index])
        return parsed


def named_models(message: str, model_ids: Iterable[str]) -> tuple[str, ...]:
    """Those of ``model_ids`` that ``message`` names as whole words: ``llama-7b`` is not named by ``llama-7b-chat``."""
    return tuple(
        model_id
        for model_id in model_ids
        if re.search(rf"(?<![A-Za-z0-9_./-]){re.escape(model_id)}(?!{_WORD})", message)
    )


def find_nudge(live: Json, ours: Mapping[str, Entry], message: str) -> Nudge | None:
    """The edit for the ``live`` list; ``ours`` are entries as we wrote them. One that the operator's message names is
    preferred. None where no entry of ours stands there once and as we wrote it.
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
