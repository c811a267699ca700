"""Others' words, without the secrets in them."""

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.mover.secret_text import flaw, header_flaw, told, trimmed

SECRET = "pL4nted/s3cret+key=="


@pytest.mark.parametrize(
    "written", [SECRET, json.dumps(SECRET), repr(SECRET), quote(SECRET), quote(SECRET, safe="")]
)
def test_a_secret_is_hidden_however_it_is_quoted(written: str) -> None:
    said = told(f"could not take {written} for an answer", [SECRET])
    assert "s3cret" not in said
    assert said.startswith("could not take")


def test_what_a_header_held_is_hidden_also_where_nobody_knows_it() -> None:
    for text in (
        "bad Authorization: AWS4-HMAC-SHA256 Credential=AKIAPLANTED/2026, SignedHeaders=host, Signature=PLANTED",
        "x-amz-security-token: 'PLANTED' is unknown",
        "authorization: Bearer PLANTED",
    ):
        assert "PLANTED" not in told(text, [])


def test_a_secret_is_not_left_half_where_the_text_is_cut() -> None:
    assert "pL4" not in told("x" * 290 + SECRET, [SECRET], 300)


@given(st.text(max_size=400))
def test_what_is_told_is_one_printable_line(text: str) -> None:
    said = told(text, [])
    assert said.isprintable()
    assert len(said) <= 300


@given(
    st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=1),
    st.text(alphabet=" \t\r\n", max_size=3),
)
def test_a_key_is_itself_whatever_stands_around_it(key: str, around: str) -> None:
    assert trimmed(f"{around}{key}{around}") == key
    assert flaw(key) is None
    assert header_flaw(key) is None
