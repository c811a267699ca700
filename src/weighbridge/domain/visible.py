r"""Text that somebody else may have written, before it reaches a terminal, a log or a file that people read.

A model id, a field manager, a file's name, an operator's message: each may hold control characters, sequences that a
terminal obeys (ECMA-48), marks that reorder or hide what follows (Unicode UAX #9 and "Default_Ignorable_Code_Point"),
and line ends that make a line look like one of ours. Nothing of it is dropped: it is shown as an escape, ``\x1b``,
``\u202e``, ``\n``. Applied twice, it changes nothing more.

Whoever prints cannot know which line end is foreign. So a line of ours is one line whatever it quotes (:func:`visible`),
and what follows a line end within somebody's text is marked as its continuation (:func:`continued`).
"""

import json
import re
from collections.abc import Iterable
from typing import Any, Final

from weighbridge.errors import InputError, WeighbridgeError

_UNSEEN: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Letters, marks and symbols without a shape of their own, which ``str.isprintable`` lets pass."""
_NAME: Final = re.compile(r"[A-Za-z0-9_./:@+=-]+")
CONTINUES: Final = "  │ "
"""Stands before each line of a text but its first."""


def visible(text: str) -> str:
    """``text`` on one line, with nothing in it that is not seen as it is: everything else as an escape."""
    if text.isprintable() and not _UNSEEN.search(text):
        return text
    return "".join(one if _seen(one) else one.encode("unicode_escape").decode() for one in text)


def visible_lines(text: str) -> str:
    """The same for a text of ours of several lines: its line feeds stay."""
    return "\n".join(visible(line) for line in text.split("\n"))


def quoted(name: str) -> str:
    """A name as part of a sentence: one that holds anything but what such names are made of stands in quotes, as JSON.

    So ``llama  (ours, unchanged)``, chosen by somebody else as a model id, is not taken for words of ours.
    """
    return name if _NAME.fullmatch(name) else json.dumps(name)


def continued(text: str) -> list[str]:
    """The lines of somebody's ``text``, each after the first one marked as its continuation."""
    head, *rest = text.split("\n")
    return [visible(head), *(f"{CONTINUES}{visible(line)}" for line in rest)]


def error_lines(error: WeighbridgeError) -> list[str]:
    """What is wrong and what to do about it, as lines. An ``InputError`` quotes the user's own file alone, as it stands."""
    what = f"{error.place}: {error.what}" if error.place and str(error.place) else error.what
    head = visible_lines(what).split("\n") if isinstance(error, InputError) else continued(what)
    remedy = (error.remedy or "").split("\n")
    return [*head, f"  → {visible(remedy[0])}", *map(visible, remedy[1:])] if error.remedy else head


def as_text(lines: Iterable[str]) -> str:
    """Lines of ours, joined: what one of them quotes makes no further line."""
    return "\n".join(map(visible, lines))


def json_text(value: Any) -> str:
    """JSON on one line that a terminal shows as it is. A reader of JSON gets ``value`` and nothing else.

    ``json.dumps`` escapes C0 alone; the rest stands within texts only, where every character may be escaped.
    """
    text = json.dumps(value, ensure_ascii=False)
    if text.isprintable() and not _UNSEEN.search(text):
        return text
    return "".join(one if _seen(one) else json.dumps(one)[1:-1] for one in text)


def _seen(one: str) -> bool:
    return one.isprintable() and not _UNSEEN.match(one)
