"""What a person is told while a program is compiled."""

from hypothesis import given
from hypothesis import strategies as st

from weighbridge_sandbox.compiling import Compiling


def test_a_large_package_counts_by_its_size() -> None:
    build = Compiling({"small": 10, "large": 970, "last": 20})
    build.begin("small")
    assert build.describe(1.0) == "compiling, 1%"
    build.begin("large")
    assert build.describe(100.0) == "compiling, 93%, about 7 s left"
    build.begin("last")
    assert build.describe(120.0) == "linking (95%)"


def test_a_long_rest_is_told_in_minutes() -> None:
    build = Compiling({"a": 20, "b": 75})
    build.begin("a")
    assert build.describe(60.0) == "compiling, 20%, about 4 min left"


def test_lines_that_are_no_package_of_this_build_change_nothing() -> None:
    build = Compiling({"a": 50, "b": 50})
    assert not build.begin("# a")
    assert build.begin("a")
    before = build.describe(10.0)
    assert build.begin("a")
    assert build.describe(10.0) == before


@given(st.dictionaries(st.text(min_size=1), st.integers(0, 10**9), min_size=1), st.floats(0, 1e5))
def test_no_build_breaks_it(weights: dict[str, int], elapsed_s: float) -> None:
    build = Compiling(weights)
    for package in weights:
        build.begin(package)
        assert build.describe(elapsed_s)
