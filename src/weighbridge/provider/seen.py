"""What the plan saw, passed to this process beside the inputs. A write refuses what was replaced since."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from weighbridge.domain.stacks import SEEN_VARIABLE
from weighbridge.errors import PreconditionError
from weighbridge.provider.resource import Values


@dataclass(frozen=True, slots=True)
class Seen:
    """``StackSpec.seen`` and the objects that it describes."""

    namespace: str
    settings: Values
    digests: Mapping[str, str]
    """By object name; empty if there was none."""


def seen_by_plan() -> Seen | None:
    """Return ``None`` if this process got no such file. Raise ``PreconditionError`` if it got one that cannot be
    read: then nothing may be written.
    """
    name = os.environ.get(SEEN_VARIABLE)
    if not name:
        return None
    try:
        told = json.loads(Path(name).read_bytes())
        return Seen(told["namespace"], told["settings"], told["seen"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PreconditionError(
            f"what the plan saw cannot be read from {name} ({error}): nothing was written",
            remedy="run the command again; if it happens again, look for what clears /dev/shm or TMPDIR",
            code="seen-unreadable",
        ) from error
