"""A weight set's identity. Its name and place do not count, only its bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

Row = tuple[str, int, str]
"""Path within the set, size in bytes, SHA-256 as 64 hex digits."""


def fingerprint(rows: Iterable[Row]) -> str:
    """Return ``sha256:`` and 64 hex digits for what a source lists: path, size and, instead of the digest, the ETag.
    The same as ``domain.weights.SourceListing.fingerprint``.
    """
    return set_digest(rows)


def set_digest(rows: Iterable[Row]) -> str:
    """Return ``sha256:`` and 64 hex digits, over the canonical JSON ``[[path, size, sha256], …]`` sorted by path.

    Canonical: UTF-8, no spaces, characters outside ASCII unescaped. The order of the rows does not matter. Raise
    ``ValueError`` if two rows have the same path.
    """
    ordered = sorted([path, size, sha256] for path, size, sha256 in rows)
    if len({row[0] for row in ordered}) != len(ordered):
        message = "a weight set names each path once"
        raise ValueError(message)
    text = json.dumps(ordered, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
