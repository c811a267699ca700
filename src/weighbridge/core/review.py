"""What a reviewer approved, and whether a run would stay within it.

A review digest names every row that a plan shows: what is created, changed, kept or moved. A single hash could only
tell whether two plans are the same. But a reviewed plan is carried out in parts (weights on any day, the switch in
the change window), so each remaining part must be recognized as part of it. The digest therefore holds a short hash
of each row: ``w1.`` and base64url (RFC 4648, section 5, no padding) of 10 bytes for what the plan is about and 10
bytes a row, sorted. 80 bits of SHA-256 a row: nobody can create another change with the hash of an approved one.
"""

import base64
import binascii
from collections.abc import Iterable, Sequence
from typing import Final

from weighbridge.domain.digest import Json, canonical_json, digest
from weighbridge.errors import InputError, PreconditionError

_FORM: Final = "w1."
_LENGTH: Final = 10


def digest_of(about: Json, rows: Iterable[Json]) -> str:
    """Return the digest of a plan for ``about`` that shows ``rows``, in any order."""
    names = sorted({_short(row) for row in rows})
    return _FORM + base64.urlsafe_b64encode(_short(about) + b"".join(names)).decode().rstrip("=")


def parse(text: str) -> tuple[bytes, frozenset[bytes]]:
    """Return (what the plan is about, its rows). Raise ``InputError`` for a text that is not the digest of a plan."""
    body = text.removeprefix(_FORM)
    try:
        raw = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if not text.startswith(_FORM) or not raw or len(raw) % _LENGTH:
        raise InputError(
            f"--plan-digest {text} is not a digest that `weighbridge plan` prints",
            remedy=f"copy it whole: {_FORM} and the letters after it (in --json: `digest`)",
            code="digest-syntax",
        )
    names = [raw[at : at + _LENGTH] for at in range(0, len(raw), _LENGTH)]
    return names[0], frozenset(names[1:])


def require_reviewed(reviewed: str, about: Json, rows: Sequence[Json]) -> None:
    """Raise ``PreconditionError`` if a row of ``rows`` is not in ``reviewed``. The error names the row and both digests."""
    meant, approved = parse(reviewed)
    if meant != _short(about):
        raise PreconditionError(
            f"the reviewed plan {reviewed} is for another environment or another cluster; nothing was changed",
            remedy="plan here, have that reviewed, and give its digest",
            code="plan-other",
        )
    others = [row for row in rows if _short(row) not in approved]
    if others:
        told = "\n".join(f"  {canonical_json(row).decode()}" for row in others)
        raise PreconditionError(
            f"this run would do what was not reviewed; nothing was changed:\n{told}\n"
            f"  reviewed: {reviewed}\n  now:      {digest_of(about, rows)}",
            remedy="look at `weighbridge plan` again, and have it reviewed",
            code="plan-changed",
        )


def _short(row: Json) -> bytes:
    return bytes.fromhex(digest(row).removeprefix("sha256:"))[:_LENGTH]
