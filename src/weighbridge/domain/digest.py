"""Canonical JSON and its digest. The digest names a value, whoever wrote it down."""

import hashlib
import json
from typing import TypeAlias

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"


def canonical_json(value: Json) -> bytes:
    """Return UTF-8 JSON with sorted keys and no spaces. Raise ``ValueError`` for NaN and infinities."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def digest(value: Json) -> str:
    """Return ``sha256:`` and 64 hex digits, of the canonical JSON."""
    return f"sha256:{hashlib.sha256(canonical_json(value)).hexdigest()}"
