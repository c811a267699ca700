import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.domain.digest import digest
from weighbridge.mover.weightset import Row, set_digest

ROW = st.tuples(
    st.text(min_size=1, max_size=8), st.integers(0, 1 << 60), st.from_regex(r"[0-9a-f]{64}", fullmatch=True)
)
ROWS = st.lists(ROW, max_size=6, unique_by=lambda row: row[0])


@given(ROWS, st.randoms())
def test_the_order_of_files_does_not_matter(rows: list[Row], dice: object) -> None:
    shuffled = list(rows)
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    assert set_digest(rows) == set_digest(shuffled)


@given(ROWS, ROWS)
def test_different_sets_have_different_digests(one: list[Row], other: list[Row]) -> None:
    assert (set_digest(one) == set_digest(other)) == (sorted(one) == sorted(other))


@given(ROWS)
def test_it_is_the_digest_of_the_canonical_manifest(rows: list[Row]) -> None:
    assert set_digest(rows) == digest([[path, size, sha256] for path, size, sha256 in sorted(rows)])


def test_it_never_changes() -> None:
    known = "sha256:12f8738d91689d1fa81b5d1510b5ee01b1b1c8a857c4763b0f6322be75d4cf66"
    assert set_digest([("b", 1, "f" * 64), ("ä", 0, "0" * 64)]) == known


def test_a_path_stands_once() -> None:
    with pytest.raises(ValueError, match="once"):
        set_digest([("a", 1, "0" * 64), ("a", 2, "0" * 64)])
