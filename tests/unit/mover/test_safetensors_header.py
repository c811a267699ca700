import json
import struct
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save

from weighbridge.mover.safetensors_header import HeaderError, check


def build(document: object, data: int = 0) -> bytes:
    header = document if isinstance(document, bytes) else json.dumps(document).encode()
    return struct.pack("<Q", len(header)) + header + bytes(data)


def tensor(begin: int, end: int, dtype: str = "U8", shape: list[int] | None = None) -> dict[str, object]:
    return {"dtype": dtype, "shape": [end - begin] if shape is None else shape, "data_offsets": [begin, end]}


# At least one tensor: of none with metadata, the reference implementation's NumPy writer makes malformed JSON.
SHAPES = st.lists(st.integers(0, 3), max_size=3)


@given(
    st.dictionaries(
        st.text(max_size=5).filter(lambda name: name != "__metadata__"),
        st.tuples(SHAPES, st.sampled_from(["f4", "f2", "i8", "u1", "?"])),
        min_size=1,
        max_size=4,
    ),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2),
)
def test_what_the_reference_implementation_writes_is_accepted(
    shapes: dict[str, tuple[list[int], str]], metadata: dict[str, str]
) -> None:
    content = save(
        {name: np.zeros(shape, dtype=kind) for name, (shape, kind) in shapes.items()}, metadata=metadata
    )
    header = check(content, len(content))
    assert set(header.tensors) == set(shapes)
    assert header.metadata == metadata


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "too short"),
        (b"\x01\x00", "too short"),
        (struct.pack("<Q", 1 << 62) + b"{}", "exceeds"),
        (struct.pack("<Q", 50) + b"{}", "beyond the file"),
        (build(b"[]"), "begin with"),
        (build(b" {}"), "begin with"),
        (build(b"{"), "not JSON"),
        (build(b'{"a":\xff}'), "not JSON"),
        (build(b'{"a":' + b"[" * 100_000), "nested|not JSON"),
        (build(b'{"a":1,"a":2}'), "twice"),
        (build(b'{"a":NaN}'), "NaN"),
        (build({"__metadata__": {"a": 1}}), "map of strings"),
        (build({"a": {"dtype": "U8", "shape": [1]}}, 1), "lacks dtype"),
        (build({"a": tensor(0, 1, shape=[-1])}, 1), "malformed"),
        (build({"a": tensor(0, 1, shape=[True])}, 1), "malformed"),
        (build({"a": {"dtype": "U8", "shape": [1], "data_offsets": [1]}}, 1), "malformed"),
        (build({"a": tensor(4, 2, shape=[0])}, 4), "ends before"),
        (build({"a": tensor(0, 4), "b": tensor(2, 6)}, 6), "overlaps"),
        (build({"a": tensor(0, 4), "b": tensor(5, 6)}, 6), "holes"),
        (build({"a": tensor(0, 4)}, 3), "cover 4 bytes, the file holds 3"),
        (build({"a": tensor(0, 4)}, 5), "cover 4 bytes, the file holds 5"),
        (build({"a": tensor(0, 4, dtype="F32", shape=[2])}, 4), "does not fill"),
        (build({"a": tensor(0, 4, dtype="F32", shape=[1 << 40] * 1000)}, 4), "does not fill"),
    ],
)
def test_what_is_wrong_is_said(content: bytes, reason: str) -> None:
    with pytest.raises(HeaderError, match=reason):
        check(content, len(content))


ROW = tensor(0, 4)
READ_BY_THE_REFERENCE = {
    "no tensor": build({}),
    "metadata alone": build({"__metadata__": {"format": "pt"}}),
    "metadata null": build({"__metadata__": None, "a": ROW}, 4),
    "metadata number": build({"__metadata__": {"a": 1}, "a": ROW}, 4),
    "metadata list": build({"__metadata__": [], "a": ROW}, 4),
    "more keys": build({"a": {**ROW, "note": "x"}}, 4),
    "a key missing": build({"a": {"dtype": "U8", "shape": [4]}}, 4),
    "spaces after": build(json.dumps({"a": ROW}).encode() + b"   ", 4),
    "white space after": build(json.dumps({"a": ROW}).encode() + b"\n\t ", 4),
    "zeros after": build(json.dumps({"a": ROW}).encode() + b"\0\0", 4),
    "byte order mark": build(b"\xef\xbb\xbf" + json.dumps({"a": ROW}).encode(), 4),
    "empty tensor first": build({"z": tensor(0, 0, shape=[0]), "a": ROW}, 4),
    "empty tensor last": build({"a": ROW, "z": tensor(4, 4, shape=[2, 0])}, 4),
    "empty tensor within": build({"a": ROW, "z": tensor(2, 2, shape=[0])}, 4),
    "empty by a large shape": build({"a": tensor(0, 0, shape=[0, 1 << 63, 1 << 63])}),
    "large shape, then empty": build({"a": tensor(0, 0, shape=[1 << 63, 1 << 63, 0])}),
    "scalar": build({"a": tensor(0, 1, shape=[])}, 1),
    "any order": build({"b": ROW, "a": tensor(4, 8)}, 8),
    "no name": build({"": ROW}, 4),
    "hole": build({"a": ROW, "b": tensor(5, 9)}, 9),
    "overlap": build({"a": ROW, "b": tensor(2, 6)}, 6),
    "too long": build({"a": ROW}, 6),
    "too short": build({"a": ROW}, 3),
    "half bytes": build({"a": tensor(0, 2, "F4", [4])}, 2),
    "half a byte over": build({"a": tensor(0, 2, "F4", [3])}, 2),
    "six bits": build({"a": tensor(0, 3, "F6_E2M3", [4])}, 3),
    "complex": build({"a": tensor(0, 8, "C64", [1])}, 8),
    "lower case": build({"a": tensor(0, 4, "u8", [4])}, 4),
    "negative": build({"a": tensor(0, 4, shape=[-4])}, 4),
    "fraction": build(b'{"a":{"dtype":"U8","shape":[4.0],"data_offsets":[0,4]}}', 4),
    "three offsets": build({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4, 4]}}, 4),
    "half a surrogate": build(b'{"a\\ud800":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}', 4),
    "half a surrogate in the metadata": build(
        b'{"__metadata__":{"a":"\\udc00"},"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}', 4
    ),
    "both halves in the metadata": build({"__metadata__": {"a": "\U0001f600"}, "a": ROW}, 4),
    "half a surrogate in a further key": build({"a": {**ROW, "x": ["\ud800"]}}, 4),
    "a backslash before a u": build({"__metadata__": {"a": "\\ud800"}, "a": ROW}, 4),
    "minus zero": build(b'{"a":{"dtype":"U8","shape":[-0],"data_offsets":[0,0]}}'),
    "an offset of minus zero": build(b'{"a":{"dtype":"U8","shape":[4],"data_offsets":[-0,4]}}', 4),
    "minus zero in a further key": build(b'{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4],"x":-0}}', 4),
    "a number out of range": build(b'{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4],"x":1e999}}', 4),
    "a whole number out of range": build(
        b'{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4],"x":1%s}}' % (b"0" * 400), 4
    ),
    "a large whole number": build({"a": {**ROW, "x": 1 << 200}}, 4),
    "an entry as a list": build({"a": ["U8", [4], [0, 4]]}, 4),
    "an entry as a list that is too long": build({"a": ["U8", [4], [0, 4], 1]}, 4),
    "an entry as a list that is too short": build({"a": ["U8", [4]]}, 4),
    "an entry as a list in another order": build({"a": [[4], "U8", [0, 4]]}, 4),
    "no UTF-8": build(b'{"a\xff":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}', 4),
}


@pytest.mark.parametrize("content", READ_BY_THE_REFERENCE.values(), ids=READ_BY_THE_REFERENCE)
def test_what_the_reference_reader_takes_is_taken_and_nothing_else(content: bytes) -> None:
    def takes(read: Callable[[bytes], object]) -> bool:
        try:
            read(content)
        except (SafetensorError, HeaderError):
            return False
        return True

    assert takes(lambda text: check(text, len(text))) == takes(deserialize)


@pytest.mark.parametrize(
    "header",
    [
        b' {"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}',
        b'{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}',
    ],
    ids=["begins with a space", "a name twice"],
)
def test_what_the_format_forbids_is_refused_though_the_reference_reader_takes_it(header: bytes) -> None:
    content = build(header, 4)
    deserialize(content)  # type: ignore[no-untyped-call] # the package has no types
    with pytest.raises(HeaderError):
        check(content, len(content))


def test_a_dtype_of_tomorrow_is_judged_by_its_offsets() -> None:
    content = build({"a": tensor(0, 3, dtype="F3_E1M1", shape=[8])}, 3)
    assert check(content, len(content)).tensors.keys() == {"a"}


WHOLE = build(
    {"__metadata__": {"format": "pt"}, "a": tensor(0, 16, "F32", [4]), "b": tensor(16, 20, "BF16", [2])}, 20
)


@given(
    st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=4),
    st.integers(0, len(WHOLE)),
)
def test_any_damage_is_either_harmless_or_a_header_error(changes: list[tuple[int, int]], cut: int) -> None:
    content = bytearray(WHOLE)
    for position, value in changes:
        content[position] = value
    try:
        header = check(bytes(content), len(content))
    except HeaderError:
        pass
    else:
        assert len(header.tensors) <= 3
    if cut < len(WHOLE):
        with pytest.raises(HeaderError):
            check(WHOLE[:cut], cut)
