"""Pass a failure from our Pulumi provider through Pulumi's engine and back, as one readable text.

The engine passes on only text, so the exit code and the stable code stand at its beginning.
"""

import re
from typing import Final

from weighbridge.domain.visible import visible, visible_lines
from weighbridge.errors import (
    DefectError,
    InputError,
    InterruptedByUserError,
    PreconditionError,
    StepFailedError,
    VerificationError,
    WeighbridgeError,
)

_CLASSES: Final = (
    DefectError,
    InputError,
    PreconditionError,
    StepFailedError,
    VerificationError,
    InterruptedByUserError,
)
_HEAD: Final = re.compile(r"\[weighbridge (\d+) ([^\s\]]+)\] ")
_ARROW: Final = "\n  → "
_ARROW_LINE: Final = re.compile(r"\n[ \t]*→ ")
_BLANK_LINE: Final = re.compile(r"\n[ \t]*\n")


def encode(error: WeighbridgeError) -> str:
    """Return ``[weighbridge 3 entry-foreign] what is wrong``, and the remedy on a line of its own.

    Escape quoted text, so that it cannot look like such a beginning or a remedy, and cannot control a terminal.
    """
    place = f"{error.place}: " if error.place and str(error.place) else ""
    what = _quoted(_ARROW_LINE.sub("\n  -> ", f"{place}{error.what}"))
    remedy = f"{_ARROW}{_quoted(visible(error.remedy))}" if error.remedy else ""
    return f"[weighbridge {error.exit_code} {error.code}] {what}{remedy}"


def _quoted(text: str) -> str:
    return _HEAD.sub(lambda found: f"[{found.group(0)[1:-2]}) ", visible_lines(text))


def decode(text: str) -> WeighbridgeError | None:
    """Return our failure from the engine's text; ``None`` if there is none.

    The engine may show one failure several times, first only its first line, later the whole. Take the last one with
    a remedy, else the last one.
    """
    starts = [found.start() for found in _HEAD.finditer(text)]
    ends = [*starts[1:], len(text)]
    shown = [_decode(text[start:end]) for start, end in zip(starts, ends, strict=False)]
    whole = [error for error in shown if error.remedy is not None]
    return next(reversed(whole or shown), None)


def _decode(text: str) -> WeighbridgeError:
    found = _HEAD.match(text)
    if found is None:
        raise AssertionError(text)
    ours = _BLANK_LINE.split(text[found.end() :].strip(), maxsplit=1)[0]
    what, *remedies = _ARROW_LINE.split(ours, maxsplit=1)
    remedy = remedies[0].split("\n")[0].strip() if remedies else None
    kind = next((kind for kind in _CLASSES if kind.exit_code == int(found.group(1))), DefectError)
    return kind(
        "\n".join(line.rstrip() for line in what.strip().split("\n")), remedy=remedy, code=found.group(2)
    )
