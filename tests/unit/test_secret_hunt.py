"""The hunt for planted secrets finds what it hunts: otherwise its silence would mean nothing."""

import base64
import gzip
import json
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.secret_hunt import Hunt

SECRET = 'Planted/Value+0123 &=%9f"x'


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        f"user:{SECRET}@host",
        json.dumps({"a": SECRET}),
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        SECRET.encode().hex(),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(f"key={SECRET}\n".encode()).decode(),
        base64.b64encode(json.dumps({"token": "x", "n": 1}).encode() + SECRET.encode() + b"tail").decode(),
    ],
)
def test_every_way_of_writing_is_found(written: str) -> None:
    hunt = Hunt({"the secret": SECRET})
    assert hunt.search("here", f"before {written} after")
    assert hunt.findings == ["the secret in here"]


@given(st.binary(max_size=8), st.binary(max_size=8), st.text(min_size=12, max_size=40))
def test_base64_is_found_wherever_the_value_began(before: bytes, after: bytes, value: str) -> None:
    try:
        raw = value.encode()
    except UnicodeEncodeError:
        return
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        assert Hunt({"it": value}).search("here", encode(before + raw + after))


def test_what_is_no_secret_is_not_found_and_packed_files_and_names_are_looked_into(tmp_path: Path) -> None:
    hunt = Hunt({"it": "planted-value-17"})
    assert not hunt.search("here", "planted-value-1 and 7, cGxhbnRlZA==")
    (tmp_path / "packed").write_bytes(gzip.compress(b"{planted-value-17}"))
    (tmp_path / "planted-value-17.log").write_bytes(b"")
    (tmp_path / "left-out").write_bytes(b"planted-value-17")
    hunt.search_tree(tmp_path, besides=[tmp_path / "left-out"])
    assert hunt.findings == [
        f"it in {tmp_path}/packed, unpacked",
        f"it in the name of {tmp_path}/planted-value-17.log",
    ]
