"""Several names in one sentence."""

import json
from collections.abc import Iterable, Sequence

SHOWN = 10
"""Names shown in one message; the others are only counted."""


def named(names: Sequence[str]) -> str:
    """Return ``a, b, c and 4 more``: at most ``SHOWN`` names, each printable."""
    shown = ", ".join(printable(name) for name in names[:SHOWN])
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown


def printable(name: str) -> str:
    """Return a foreign name in a form that may be shown."""
    return name if name.isprintable() else ascii(name)[1:-1]


def patterns(found: Iterable[str]) -> str:
    """Return globs as they are written in the environment file."""
    return json.dumps(sorted(set(found)), ensure_ascii=False)
