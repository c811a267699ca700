"""Several names in one sentence."""

import json
from collections.abc import Iterable, Sequence

SHOWN = 10
"""Names shown in one message; the rest is counted."""


def named(names: Sequence[str]) -> str:
    """``a, b, c and 4 more``: at most ``SHOWN`` names, each printable."""
    shown = ", ".join(printable(name) for name in names[:SHOWN])
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown


def printable(name: str) -> str:
    """A foreign name as it may be shown."""
    return name if name.isprintable() else ascii(name)[1:-1]


def patterns(found: Iterable[str]) -> str:
    """Globs as they stand in the environment file."""
    return json.dumps(sorted(set(found)), ensure_ascii=False)
