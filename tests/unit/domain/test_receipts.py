from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from weighbridge.domain import receipts
from weighbridge.domain.weights import Receipt

NOW = datetime(2026, 11, 21, 12, 0, 5, 999, tzinfo=timezone(timedelta(hours=2)))
MESSAGE: dict[str, Any] = {
    "set_digest": "sha256:" + "ab" * 32,
    "files": 3,
    "total_bytes": 100,
    "published_at": "2026-11-20T00:00:00Z",
    "error": None,
}
FACTS = {
    "model_id": "m",
    "fingerprint": "sha256:" + "cd" * 32,
    "sub_path": "m/cdcdcdcdcdcd",
    "claim": "c",
    "claim_uid": "u",
    "route": "fetch",
}


def made() -> Receipt:
    return receipts.published(MESSAGE, **FACTS, now=NOW)


def test_a_publication_is_attested_as_the_mover_reported_it() -> None:
    receipt = made()
    assert receipt.verdict == "verified"
    assert (receipt.set_digest, receipt.files, receipt.total_bytes) == (MESSAGE["set_digest"], 3, 100)
    assert receipt.published_at == "2026-11-20T00:00:00Z"
    assert receipt.verified_at == "2026-11-21T10:00:05Z"


@pytest.mark.parametrize("key", ["set_digest", "files", "total_bytes"])
def test_a_result_that_proves_nothing_makes_no_receipt(key: str) -> None:
    with pytest.raises(ValueError, match="the mover's result"):
        receipts.published({**MESSAGE, key: None}, **FACTS, now=NOW)


def test_damage_is_named_and_a_later_verification_clears_it() -> None:
    damaged = receipts.verified(made(), {"error": {"files": ["a", "b"]}}, NOW)
    assert (damaged.verdict, damaged.damaged) == ("damaged", ("a", "b"))
    again = receipts.verified(damaged, {"error": None}, datetime(2026, 12, 1, tzinfo=UTC))
    assert (again.verdict, again.damaged, again.verified_at) == ("verified", (), "2026-12-01T00:00:00Z")
    assert again.published_at == damaged.published_at


def test_another_set_than_the_one_on_record_is_damage() -> None:
    receipt = receipts.verified(made(), {"error": None, "set_digest": "sha256:" + "ef" * 32}, NOW)
    assert (receipt.verdict, receipt.set_digest) == ("damaged", MESSAGE["set_digest"])


def test_json_and_back() -> None:
    receipt = receipts.verified(made(), {"error": {"files": ["a"]}}, NOW)
    assert receipts.from_json(receipts.to_json(receipt)) == receipt


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"model_id": "m"}', "null"])
def test_anything_else_is_no_receipt(text: str) -> None:
    with pytest.raises(ValueError, match="not a receipt"):
        receipts.from_json(text)
