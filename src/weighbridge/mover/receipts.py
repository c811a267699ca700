"""The receipt on the volume: which bytes a published set has, file by file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from .order import Order
from .paths import safe_set
from .weightset import set_digest

_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


class ReceiptError(ValueError):
    """The document is not a valid receipt; the message says why."""


@dataclass(frozen=True)
class Row:
    """One file: its bytes, and the ETag that they had at the source."""

    path: str
    size: int
    sha256: str
    etag: str


@dataclass(frozen=True)
class SetReceipt:
    """Full manifest of one set. Digest and totals follow from the rows."""

    model_id: str
    sub_path: str
    fingerprint: str
    route: str
    rows: tuple[Row, ...]
    """Sorted by path."""
    published_at: str
    """RFC 3339, UTC."""

    @property
    def set_digest(self) -> str:
        return set_digest((row.path, row.size, row.sha256) for row in self.rows)

    @property
    def total_bytes(self) -> int:
        return sum(row.size for row in self.rows)

    def digests(self) -> dict[str, str]:
        """Path to SHA-256."""
        return {row.path: row.sha256 for row in self.rows}


def receipt_for(order: Order, digests: Mapping[str, str], published_at: str | None = None) -> SetReceipt:
    """Return the receipt of the order's files with these digests; published now if no time is given."""
    return SetReceipt(
        model_id=order.model_id,
        sub_path=order.sub_path,
        fingerprint=order.fingerprint,
        route=order.route,
        rows=tuple(Row(file.path, file.size, digests[file.path], file.etag) for file in order.files),
        published_at=published_at or datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def encode_receipt(receipt: SetReceipt) -> bytes:
    """Return JSON with one line for each file, so that a person can read and compare it."""
    head = {
        "schema": 1,
        "model_id": receipt.model_id,
        "sub_path": receipt.sub_path,
        "fingerprint": receipt.fingerprint,
        "route": receipt.route,
        "set_digest": receipt.set_digest,
        "total_bytes": receipt.total_bytes,
        "published_at": receipt.published_at,
    }
    rows = ",\n".join(
        json.dumps({"path": r.path, "size": r.size, "sha256": r.sha256, "etag": r.etag}) for r in receipt.rows
    )
    return f'{json.dumps(head)[:-1]}, "files": [\n{rows}\n]}}\n'.encode()


def parse_receipt(content: bytes) -> SetReceipt:
    """Parse and check a receipt: the set digest must follow from the rows. Raise ``ReceiptError``."""
    try:
        document = json.loads(content.decode())
        rows = tuple(_row(item) for item in document["files"])
        receipt = SetReceipt(
            model_id=_text(document, "model_id"),
            sub_path=_text(document, "sub_path"),
            fingerprint=_text(document, "fingerprint"),
            route=_text(document, "route"),
            rows=rows,
            published_at=_text(document, "published_at"),
        )
        ordered = safe_set(row.path for row in rows)
    except ReceiptError:
        raise
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        message = f"it is malformed: {type(error).__name__}: {error}"
        raise ReceiptError(message) from error
    if document.get("schema") != 1 or tuple(row.path for row in rows) != ordered:
        raise ReceiptError("it has another schema, or its files are not sorted by path")
    if (receipt.set_digest, receipt.total_bytes) != (document.get("set_digest"), document.get("total_bytes")):
        message = "its set digest does not follow from its files"
        raise ReceiptError(message)
    return receipt


def contradiction(receipt: SetReceipt, order: Order) -> str | None:
    """Return how the receipt differs from the order, or ``None`` if it attests exactly what the order asks for."""
    if receipt.fingerprint != order.fingerprint:
        return f"it attests fingerprint {receipt.fingerprint}, the order wants {order.fingerprint}"
    if receipt.sub_path != order.sub_path:
        return f"it attests {receipt.sub_path}, the order wants {order.sub_path}"
    ordered = [(file.path, file.size, file.etag) for file in order.files]
    if ordered and [(row.path, row.size, row.etag) for row in receipt.rows] != ordered:
        return "it lists other files than the order"
    digests = receipt.digests()
    wrong = [file.path for file in order.files if file.sha256 and digests[file.path] != file.sha256]
    if wrong:
        return f"it attests another content of {wrong[0]} than the order"
    if order.expect_set_digest and receipt.set_digest != order.expect_set_digest:
        return f"it attests set {receipt.set_digest}, the order wants {order.expect_set_digest}"
    return None


def vouched_for(receipt: SetReceipt, order: Order) -> bool:
    """Return whether another source than the volume confirms the receipt: the cluster's record, the expected digest,
    or the order's own digests of all its files (``contradiction`` has compared them).
    """
    if receipt.set_digest in {order.recorded_set_digest, order.expect_set_digest}:
        return True
    return bool(order.files) and all(file.sha256 for file in order.files)


def largest(order: Order) -> int:
    """Return the most bytes that a receipt of the order's files can have. A longer one was written by others."""
    return 4096 + sum(6 * (len(file.path) + len(file.etag)) + 256 for file in order.files)


def _row(item: Any) -> Row:
    size, sha256 = item["size"], _text(item, "sha256")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0 or not _SHA256.match(sha256):
        message = "a row has no sane size and sha256"
        raise ReceiptError(message)
    return Row(_text(item, "path"), size, sha256, _text(item, "etag"))


def _text(document: Any, key: str) -> str:
    value = document[key]
    if not isinstance(value, str):
        message = f"{key} is not text"
        raise ReceiptError(message)
    return value
