from hypothesis import given
from hypothesis import strategies as st

from weighbridge.domain.digest import Json
from weighbridge.provider.properties import SECRET_SIGNATURE, SIGNATURE_KEY, UNKNOWN_TEXT, marshal, unmarshal

scalars = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e6, 1e6) | st.text(max_size=5)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(st.dictionaries(st.text(min_size=1, max_size=5), values, max_size=4), st.data())
def test_values_and_marks_survive_the_wire(given_values: dict[str, Json], data: st.DataObject) -> None:
    present = {key: value for key, value in given_values.items() if value is not None}
    secret = data.draw(st.frozensets(st.sampled_from(sorted(present)))) if present else frozenset()
    back = unmarshal(marshal(given_values, secret=secret))
    assert back.values == present
    assert back.secret == secret
    assert not back.unknown


def test_marks_deep_inside_count_for_their_first_key() -> None:
    marked: Json = {"a": [{SIGNATURE_KEY: SECRET_SIGNATURE, "value": {"x": 1}}, "plain"]}
    found = unmarshal(marshal({"top": marked, "late": [UNKNOWN_TEXT]}))
    assert found.values == {"top": {"a": [{"x": 1}, "plain"]}, "late": [None]}
    assert (found.secret, found.unknown) == (frozenset({"top"}), frozenset({"late"}))


def test_whole_numbers_come_back_as_integers() -> None:
    assert unmarshal(marshal({"x": 2048.0})).values == {"x": 2048}
    assert isinstance(unmarshal(marshal({"x": 2048.0})).values["x"], int)


def test_an_unknown_value_replaces_what_was_there() -> None:
    found = unmarshal(marshal({"x": 1}, unknown=("x", "y")))
    assert found.unknown == {"x", "y"}
