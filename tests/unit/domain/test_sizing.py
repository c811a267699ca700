import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.domain.quantity import MIB, parse_bytes
from weighbridge.domain.sizing import claim_size, needed_bytes
from weighbridge.errors import PreconditionError

TOTALS = st.integers(min_value=0, max_value=10**15)
KEEPS = st.integers(min_value=0, max_value=9)


@given(TOTALS, KEEPS)
def test_a_volume_holds_the_sets_it_keeps_with_five_percent_to_spare(total: int, keep: int) -> None:
    needed = needed_bytes(total, keep)
    assert needed * 100 >= (1 + keep) * total * 105
    assert needed >= 2 * total
    assert needed >= 64 * MIB
    assert needed % MIB == 0


@given(TOTALS, KEEPS)
def test_it_is_no_larger_than_it_must_be(total: int, keep: int) -> None:
    needed = needed_bytes(total, keep)
    assert needed == 64 * MIB or needed - MIB < max((1 + keep) * total * 105 / 100, 2 * total) + 1


@given(TOTALS, KEEPS, st.integers(min_value=0, max_value=10**15))
def test_volumes_never_shrink(total: int, keep: int, current: int) -> None:
    size = parse_bytes(claim_size(total, keep, current_bytes=current))
    assert size == max(current, needed_bytes(total, keep))


@given(TOTALS, KEEPS)
def test_a_second_look_asks_for_the_same(total: int, keep: int) -> None:
    first = claim_size(total, keep)
    assert claim_size(total, keep, current_bytes=parse_bytes(first)) == first


def test_the_users_own_words_are_kept() -> None:
    assert claim_size(10**9, 0, explicit="300G") == "300G"
    assert claim_size(10**9, 0, explicit="300G", current_bytes=300 * 10**9) == "300G"


def test_a_size_that_is_too_small_is_refused_with_the_one_that_is_not() -> None:
    with pytest.raises(PreconditionError) as refused:
        claim_size(10 * 1024**3, 1, explicit="20Gi")
    assert refused.value.code == "size-too-small"
    assert "21Gi" in (refused.value.remedy or "")


def test_a_known_example() -> None:
    assert claim_size(90_868_376, 1) == "182Mi"
    assert claim_size(5_000_000, 1) == "64Mi"
    assert claim_size(5_000_000, 1, current_bytes=1024**3) == "1Gi"
