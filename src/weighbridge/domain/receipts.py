"""Receipts, made from a mover's report or from JSON. Without side effects."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime

from weighbridge.domain.digest import Json
from weighbridge.domain.weights import Receipt

NAMED_FILES = 20


def published(  # noqa: PLR0913 - the fields of a receipt
    message: Mapping[str, Json],
    *,
    model_id: str,
    fingerprint: str,
    sub_path: str,
    claim: str,
    claim_uid: str,
    route: str,
    now: datetime,
) -> Receipt:
    """Return the receipt of a set that a mover has just published, repaired or found complete.

    ``message``: the mover's termination message. Raise ``ValueError`` if it lacks the set's digest.
    """
    set_digest = message.get("set_digest")
    if not isinstance(set_digest, str):
        raise ValueError("the mover's result names no set digest")  # noqa: TRY004 - a wrong value of a document
    at = timestamp(now)
    published_at = message.get("published_at")
    return Receipt(
        model_id=model_id,
        fingerprint=fingerprint,
        set_digest=set_digest,
        claim=claim,
        claim_uid=claim_uid,
        sub_path=sub_path,
        files=_number(message, "files"),
        total_bytes=_number(message, "total_bytes"),
        route=route,
        published_at=published_at if isinstance(published_at, str) else at,
        verified_at=at,
        verdict="verified",
    )


def verified(previous: Receipt, message: Mapping[str, Json], now: datetime) -> Receipt:
    """Return ``previous`` with the verdict of a verification that read every byte."""
    error = message.get("error")
    if (
        not isinstance(error, Mapping)
        and message.get("set_digest", previous.set_digest) != previous.set_digest
    ):
        return replace(
            previous, verified_at=timestamp(now), verdict="damaged", damaged=()
        )  # the mover found another set there
    if not isinstance(error, Mapping):
        return replace(previous, verified_at=timestamp(now), verdict="verified", damaged=())
    files = error.get("files")
    named = tuple(str(path) for path in files)[:NAMED_FILES] if isinstance(files, list) else ()
    return replace(previous, verified_at=timestamp(now), verdict="damaged", damaged=named)


def to_json(receipt: Receipt) -> str:
    """Return one line of JSON with sorted keys: the value in the receipts ConfigMap."""
    return json.dumps(asdict(receipt), sort_keys=True)


_KINDS = {"files": int, "total_bytes": int, "damaged": list}


def from_json(text: str) -> Receipt:
    """Return the receipt in a ConfigMap's value. Raise ``ValueError`` for anything else, such as a value edited by hand."""
    try:
        raw = json.loads(text)
        wrong = [key for key, value in raw.items() if type(value) is not _KINDS.get(key, str)]
        sound = not wrong and raw.get("verdict") in {"verified", "damaged"}
        receipt = Receipt(**{**raw, "damaged": tuple(raw.get("damaged", ()))})
    except (TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"not a receipt: {error}") from error
    if not sound:
        raise ValueError(f"not a receipt: {', '.join(wrong) or 'verdict'} is not what it should be")
    return receipt


def timestamp(now: datetime) -> str:
    """Return RFC 3339 in UTC with whole seconds."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _number(message: Mapping[str, Json], key: str) -> int:
    value = message.get(key)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"the mover's result has no number {key}")  # noqa: TRY004 - likewise
    return value
