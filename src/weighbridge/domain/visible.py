r"""Make foreign text safe, before it reaches a terminal, a log or a file that people read.

A model id, a field manager, a file's name, an operator's message: each may hold control characters, sequences that a
terminal obeys (ECMA-48), marks that reorder or hide what follows (Unicode UAX #9 and "Default_Ignorable_Code_Point"),
and line ends that make a line look like one of ours. Nothing is dropped: it is shown as an escape, ``\x1b``,
``\u202e``, ``\n``. A second application changes nothing.

A function that prints cannot know which line end is foreign. So a line of ours is one line whatever it quotes
(:func:`visible`), and what follows a line end inside foreign text is marked as its continuation (:func:`continued`).
"""

import json
import re
from collections.abc import Iterable
from typing import Any, Final

from weighbridge.errors import InputError, WeighbridgeError

_UNSEEN: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Invisible letters, marks and symbols that ``str.isprintable`` accepts."""
_NAME: Final = re.compile(r"[A-Za-z0-9_./:@+=-]+")
CONTINUES: Final = "  │ "
"""Prefix of each line of a text after the first."""


def visible(text: str) -> str:
    """Return ``text`` on one line. Everything that would not be seen as it is becomes an escape."""
    if text.isprintable() and not _UNSEEN.search(text):
        return text
    return "".join(one if _seen(one) else one.encode("unicode_escape").decode() for one in text)


def visible_lines(text: str) -> str:
    """Return the same for a text of ours with several lines: keep its line feeds."""
    return "\n".join(visible(line) for line in text.split("\n"))


def quoted(name: str) -> str:
    """Return a name as part of a sentence. Put it in quotes, as JSON, if it holds characters that such names do not
    have.

    So a model id such as ``llama (ours, unchanged)``, chosen by others, cannot look like our words.
    """
    return name if _NAME.fullmatch(name) else json.dumps(name)


def continued(text: str) -> list[str]:
    """Return the lines of foreign ``text``. Mark each after the first as its continuation."""
    head, *rest = text.split("\n")
    return [visible(head), *(f"{CONTINUES}{visible(line)}" for line in rest)]


def error_lines(error: WeighbridgeError) -> list[str]:
    """Return what is wrong and what to do about it, as lines. An ``InputError`` quotes only the user's own file, unchanged."""
    what = f"{error.place}: {error.what}" if error.place and str(error.place) else error.what
    head = visible_lines(what).split("\n") if isinstance(error, InputError) else continued(what)
    remedy = (error.remedy or "").split("\n")
    return [*head, f"  → {visible(remedy[0])}", *map(visible, remedy[1:])] if error.remedy else head


def as_text(lines: Iterable[str]) -> str:
    """Return our lines, joined. What one of them quotes cannot become a further line."""
    return "\n".join(map(visible, lines))


def json_text(value: Any) -> str:
    """Return JSON on one line that a terminal shows unchanged. A JSON parser reads exactly ``value``.

    ``json.dumps`` escapes only C0 characters. Others are only inside texts, where every character may be escaped.
    """
    text = json.dumps(value, ensure_ascii=False)
    if text.isprintable() and not _UNSEEN.search(text):
        return text
    return "".join(one if _seen(one) else json.dumps(one)[1:-1] for one in text)


def _seen(one: str) -> bool:
    return one.isprintable() and not _UNSEEN.match(one)
