"""How a failure crosses from our Pulumi provider through Pulumi's engine and back: as one readable text.

The engine passes on nothing but text, so the exit code and the stable code stand in front of it.
"""

import re
from typing import Final

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
_HEAD: Final = re.compile(r"\[weighbridge (\d+) ([^\s\]]+)\] (.*)", re.DOTALL)
_ARROW: Final = "\n  → "
_ARROW_LINE: Final = re.compile(r"\n[ \t]*→ ")
_BLANK_LINE: Final = re.compile(r"\n[ \t]*\n")


def encode(error: WeighbridgeError) -> str:
    """``[weighbridge 3 entry-foreign] what is wrong``, and the remedy on a line of its own."""
    place = f"{error.place}: " if error.place and str(error.place) else ""
    remedy = f"{_ARROW}{error.remedy}" if error.remedy else ""
    return f"[weighbridge {error.exit_code} {error.code}] {place}{error.what}{remedy}"


def decode(text: str) -> WeighbridgeError | None:
    """The first failure of ours in whatever the engine made of it; None if there is none."""
    found = _HEAD.search(text)
    if found is None:
        return None
    exit_code, code = int(found.group(1)), found.group(2)
    ours = _BLANK_LINE.split(found.group(3).strip(), maxsplit=1)[0]
    what, *remedies = _ARROW_LINE.split(ours, maxsplit=1)
    remedy = remedies[0].split("\n")[0].strip() if remedies else None
    kind = next((kind for kind in _CLASSES if kind.exit_code == exit_code), DefectError)
    return kind("\n".join(line.rstrip() for line in what.strip().split("\n")), remedy=remedy, code=code)
