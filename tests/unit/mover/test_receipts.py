import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.mover.receipts import ReceiptError, Row, SetReceipt, encode_receipt, parse_receipt

RECEIPT = SetReceipt(
    model_id="m",
    sub_path="m/0123456789ab",
    fingerprint="sha256:" + "0123456789ab" + "0" * 52,
    route="fetch",
    rows=(Row("a/ü", 3, "1" * 64, "e-1"), Row("b", 0, "2" * 64, "e2")),
    published_at="2026-11-21T10:00:00Z",
)


def test_a_receipt_survives_the_disk() -> None:
    assert parse_receipt(encode_receipt(RECEIPT)) == RECEIPT
    assert json.loads(encode_receipt(RECEIPT))["set_digest"] == RECEIPT.set_digest


@given(st.data())
def test_damage_never_changes_what_a_receipt_says_of_bytes(data: st.DataObject) -> None:
    content = bytearray(encode_receipt(RECEIPT))
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        parsed = parse_receipt(bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))]))
    except ReceiptError:
        return
    assert [(row.path, row.size, row.sha256) for row in parsed.rows] == [
        (row.path, row.size, row.sha256) for row in RECEIPT.rows
    ]


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b"null", b'{"schema": 1, "files": [1]}', b"[" * 100_000, b"\xff"]
)
def test_rubbish_is_no_receipt(content: bytes) -> None:
    with pytest.raises(ReceiptError):
        parse_receipt(content)
