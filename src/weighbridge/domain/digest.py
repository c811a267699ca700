"""Canonical JSON and its digest: how a value gets a name that does not depend on who wrote it down."""

import hashlib
import json
from typing import TypeAlias

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"


def canonical_json(value: Json) -> bytes:
    """UTF-8 JSON with sorted keys and no spaces. NaN and infinities are refused with ``ValueError``."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def digest(value: Json) -> str:
    """``sha256:`` and 64 hex digits, of the canonical JSON."""
    return f"sha256:{hashlib.sha256(canonical_json(value)).hexdigest()}"
