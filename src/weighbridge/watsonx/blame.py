"""Decide whose failure an operator's message is about. Without side effects.

The operator reconciles the list as a whole, and names in words what failed. The form of IBM's messages is not
documented, see ``docs/unproven.md``. Anybody may have written the model ids and the words. So a failure counts as
others' only if all the evidence says so. In every other case it may be ours.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from weighbridge.domain.digest import Json
from weighbridge.watsonx.entry import Entry, entries_by_id

_ID: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?")
"""The form of IBM's own ids. An id with other characters could contain ours, or words of a sentence."""
_QUOTED: Final = re.compile(r"'([^'\n]*)'|\"([^\"\n]*)\"|`([^`\n]*)`")
_NAMED: Final = r"\bmodel(?:_id)?\s*[:=]?\s*"
"""Text before the id of a model that is named without quotes."""
_MORE: Final = re.compile(
    r"\b(?:all|any|both|each|entries|every|models|more|others?|several)\b|…|\.\.\.", re.IGNORECASE
)
"""Words for models without naming them: our models may be among them."""


def only_others(message: str, live: Json, ours: Mapping[str, Entry | None]) -> tuple[str, ...]:
    """Return the others' models that ``message`` names, if it names nothing else. Return none if that cannot be told.

    ``ours``: model_id → entry of everything that is or may be ours; ``None`` if only the id is known. A message cannot be
    judged if the message holds anything but plain ASCII; an id, claim or path of ours anywhere; a quoted name that is
    neither an id of others nor a text of the entries it names; or a word for models that it does not name.
    """
    if not message.isascii() or not all(one.isprintable() or one == "\n" for one in message):
        return ()
    theirs = {
        model_id: [entry for _, entry in copies]
        for model_id, copies in entries_by_id(live).items()
        if model_id not in ours and _ID.fullmatch(model_id)
    }
    named = tuple(model_id for model_id in theirs if _names(message, model_id))
    rest = _without(message, named)
    if not named or any(text.lower() in rest.lower() for text in _of_ours(ours)):
        return ()
    known = {text for model_id in named for entry in theirs[model_id] for text in _texts(entry.value())}
    quoted = {text for found in _QUOTED.finditer(message) for text in found.groups() if text}
    more = _MORE.search(_without(rest, (text for text in known & quoted if _ID.fullmatch(text))))
    return named if quoted <= known and not more else ()


def _without(message: str, names: Iterable[str]) -> str:
    for name in sorted(names, key=len, reverse=True):
        message = re.sub(_whole(name), " ", message)
    return message


def _whole(model_id: str) -> str:
    """Return a pattern for the id, but not inside a longer id. A full stop at the end of a sentence is not part of the id."""
    return rf"(?<![A-Za-z0-9_./-]){re.escape(model_id)}(?![A-Za-z0-9_/-]|\.[A-Za-z0-9])"


def _names(message: str, model_id: str) -> bool:
    """Return whether the message names the id: in quotes, or after ``model``. An id may be a common word (``claim``)."""
    quoted = any(model_id in found.groups() for found in _QUOTED.finditer(message))
    return quoted or re.search(_NAMED + _whole(model_id), message) is not None


def _of_ours(ours: Mapping[str, Entry | None]) -> Iterator[str]:
    for model_id, entry in ours.items():
        yield model_id
        location = entry.value().get("location") if entry is not None else None
        if isinstance(location, dict):
            yield from (text for text in location.values() if isinstance(text, str) and text)


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _texts(item)
