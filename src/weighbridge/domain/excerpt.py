"""One line of a user's file with a caret under the fault: what a message shows beside its place. Pure; hides secrets."""

from weighbridge.domain.secret_shapes import HIDDEN, masked_line, names_a_secret
from weighbridge.errors import Place

_WIDTH = 110
_LONGEST_SHOWN = 2000
_LINES_BACK = 100


def excerpt_of(text: str, place: Place) -> str | None:
    """Return the line of ``text`` at ``place`` and a caret below its column. Shows one line, and no secret."""
    lines = text.splitlines()
    if place.line is None or not 0 < place.line <= len(lines) or len(lines[place.line - 1]) > _LONGEST_SHOWN:
        return None
    line = lines[place.line - 1].replace("\t", " ")
    masked = masked_line(line)
    if _below_a_secret(lines, place.line - 1):
        masked = HIDDEN
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
    """Tell whether a line continues a value whose key names a secret (a block or a folded text)."""
    indent = len(lines[index]) - len(lines[index].lstrip())
    for line in reversed(lines[max(0, index - _LINES_BACK) : index]):
        key, colon, rest = line.strip().partition(":")
        here = len(line) - len(line.lstrip())
        if colon and here < max(indent, 1) and names_a_secret(key.strip("- \"'")):
            return not rest.strip() or rest.strip()[0] in "|>\"'"
        if line.strip() and here == 0 and indent > 0:
            return False
    return False
