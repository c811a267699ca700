"""One line of a user's file with a caret under the fault: what a message shows beside its place. Pure; hides secrets."""

import re

from weighbridge.environment.secret_shapes import HIDDEN, SECRET_KEYS, masked_line, names_a_secret
from weighbridge.errors import Place

_WIDTH = 110
_LONGEST_SHOWN = 2000
_LINES_BACK = 1000
_SECRET_PLACE = re.compile(rf"(?:^|[.\]])(?:credentials|{'|'.join(sorted(SECRET_KEYS))})\b")
_SECRET_KEY = re.compile(rf"(?:credentials|{'|'.join(sorted(SECRET_KEYS))})[\"']?\s*:\s*")


def excerpt_of(text: str, place: Place) -> str | None:
    """Return the line of ``text`` at ``place`` and a caret below its column. Shows one line, and no secret."""
    lines = text.splitlines()
    if place.line is None or not 0 < place.line <= len(lines) or len(lines[place.line - 1]) > _LONGEST_SHOWN:
        return None
    line = lines[place.line - 1].replace("\t", " ")
    masked = HIDDEN if _below_a_secret(lines, place.line - 1) else masked_line(line)
    if place.key is not None and _SECRET_PLACE.search(place.key):
        found = _SECRET_KEY.search(line)
        masked = f"{masked_line(line[: found.end()])}{HIDDEN}" if found else HIDDEN
    kept = next(
        (at for at, (old, new) in enumerate(zip(line, masked, strict=False)) if old != new), len(masked)
    )
    column = min(place.column or 1, kept + 1)
    start = max(0, column - _WIDTH + 20)
    number = str(place.line)
    printable = "".join(
        character if character.isprintable() else "·" for character in masked[start : start + _WIDTH]
    )
    return f"{number} | {printable.rstrip()}\n{' ' * len(number)} | {' ' * (column - start - 1)}^"


def _below_a_secret(lines: list[str], index: int) -> bool:
    """Tell whether one of the keys that a line lies below, going by indentation, names a secret.

    For text that does not parse, and so has no keys to ask.
    """
    limit = _indent(lines[index]) + (1 if lines[index].lstrip().startswith("-") else 0)
    for line in reversed(lines[max(0, index - _LINES_BACK) : index]):
        if not line.strip() or _indent(line) >= max(limit, 1):
            continue
        limit = _indent(line)
        key, colon, rest = line.strip().partition(":")
        if colon and names_a_secret(key.strip("- \"'")) and not rest.strip().startswith("{"):
            return True
        if limit == 0:
            return False
    return False


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
