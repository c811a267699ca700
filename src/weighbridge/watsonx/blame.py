"""Whose failure an operator's message is about. Pure.

The operator reconciles the list as a whole, and says in words what it failed on (the form of IBM's is not documented, see
``docs/unproven.md``). Model ids and the words themselves may be anybody's. So a failure counts as others' alone only where
everything speaks for it, and as one that may be ours wherever it cannot be told.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from weighbridge.domain.digest import Json
from weighbridge.watsonx.entry import Entry, entries_by_id

_ID: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?")
"""As IBM's own ids are. One of other letters could hold ours, or words of a sentence."""
_QUOTED: Final = re.compile(r"'([^'\n]*)'|\"([^\"\n]*)\"|`([^`\n]*)`")
_NAMED: Final = r"\bmodel(?:_id)?\s*[:=]?\s*"
"""What stands before the id of a model that is named without quotes."""
_MORE: Final = re.compile(
    r"\b(?:all|any|both|each|entries|every|models|more|others?|several)\b|…|\.\.\.", re.IGNORECASE
)
"""Words for models that are not named: ours may be among them."""


def only_others(message: str, live: Json, ours: Mapping[str, Entry | None]) -> tuple[str, ...]:
    """The others' models that ``message`` names, where it names nothing else; empty where that cannot be told.

    ``ours``: model_id → entry of everything that is or may be ours, ``None`` where it is known by its id alone. A message that
    holds anything but plain ASCII, an id, claim or path of ours in whatever place, a quoted name that is neither an id of
    others nor a text of the entries it names, or a word for models it does not name, cannot be told.
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
    """The id, not within a longer one; a full stop that ends a sentence is none of it."""
    return rf"(?<![A-Za-z0-9_./-]){re.escape(model_id)}(?![A-Za-z0-9_/-]|\.[A-Za-z0-9])"


def _names(message: str, model_id: str) -> bool:
    """As a name: in quotes, or after the word. An id may be a word that any message holds (``claim``)."""
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
