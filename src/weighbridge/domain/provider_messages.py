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
_HEAD: Final = re.compile(r"weighbridge\[(\d+) ([^\s\]]+)\]: (.*)", re.DOTALL)
_ARROW: Final = "\n  → "


def encode(error: WeighbridgeError) -> str:
    """``weighbridge[3 entry-foreign]: what is wrong``, and the remedy on a line of its own."""
    place = f"{error.place}: " if error.place and str(error.place) else ""
    remedy = f"{_ARROW}{error.remedy}" if error.remedy else ""
    return f"weighbridge[{error.exit_code} {error.code}]: {place}{error.what}{remedy}"


def decode(text: str) -> WeighbridgeError | None:
    """The first failure of ours in whatever the engine made of it; None if there is none."""
    found = _HEAD.search(text)
    if found is None:
        return None
    exit_code, code, rest = int(found.group(1)), found.group(2), found.group(3).strip()
    what, _, remedy = rest.partition(_ARROW)
    kind = next((kind for kind in _CLASSES if kind.exit_code == exit_code), DefectError)
    return kind(what.strip(), remedy=remedy.strip().split("\n")[0] or None, code=code)
