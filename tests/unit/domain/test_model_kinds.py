"""What bytes are is told of any bytes."""

import os
import pickle

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from weighbridge.domain.model.kinds import CODE, HARMLESS, NEEDED, OTHER_WEIGHTS, sniffed
from weighbridge.domain.model.looked_at import HEAD_BYTES, Peek
from weighbridge.mover.paths import REFUSED_SUFFIXES


@given(
    content=st.binary(max_size=300)
    | st.text(alphabet="(c]lidISVTUX\n'\\\\abq01.", max_size=60).map(str.encode),
    whole=st.booleans(),
)
@example(content=b"S'\\q'\n.", whole=True)
def test_no_content_stops_the_look_at_it(content: bytes, whole: bool) -> None:
    assert sniffed(Peek(content, content[-64:], whole=whole)) is None or content


def test_what_the_mover_refuses_by_name_the_judge_refuses_too() -> None:
    assert CODE.keys() >= set(REFUSED_SUFFIXES)
    assert not CODE.keys() & (NEEDED | HARMLESS | OTHER_WEIGHTS)


C_WORDS = b"".join(b"c%s\n" % word.encode() for word in ("at", "ats", "ow", "ows") * 300)


@pytest.mark.parametrize(
    "words",
    [
        b"cat\ndog\ntable\n", b"cos\nsin\ntan\n", b"item\nitems\n", b"cat\ndog\n.\nmouse\n", b"configs\nof model\n.gitignore\n",
        b"cat\ndog\nbird\n", b"cat\ndog\ncow\nhen\nbird\n", b"cat\ndog\nPet\nRed\n", b"cat\ndog\nVery\nR.\n", b"cat\ndog\nR.",
        b"(internal\nuse only)\n.", b"cat\ndog\nox\n", C_WORDS,
    ],
)  # fmt: skip
@pytest.mark.parametrize("whole", [True, False])
def test_the_words_of_a_vocabulary_are_no_pickle(words: bytes, whole: bool) -> None:
    assert sniffed(Peek(words if whole else words[:HEAD_BYTES], whole=whole)) is None


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("id",)


class Stateful:
    def __init__(self) -> None:
        self.words = ["a"] * 1000


@pytest.mark.parametrize(
    "content",
    [
        *(pickle.dumps(value, protocol) for value in (Evil(), Stateful(), [1, {"a": Evil()}], np.zeros(4)) for protocol in range(6)),
        b"cos\nsystem\n(S'id'\ntR.", b"cos\nsystem\n(S'id'\ntR and then no opcode", b"cos\nsystem\n(S'id'\nt20R.",
        b"cos\nsystem\n(S'id'\ntN0R.", b"cos\nsystem\n(S'id'\ntp1\n0g1\nR.", b"(S'id'\nios\nsystem\n.", b"(cos\nsystem\nS'id'\no.",
        b"S'os'\nS'system'\n\x93(S'id'\ntR.", b"cos\nEvil\n}b.", b"cos\nEvil\n)\x81.",
    ],
)  # fmt: skip
@pytest.mark.parametrize("whole", [True, False])
def test_a_pickle_that_calls_is_found_whatever_its_protocol(content: bytes, whole: bool) -> None:
    found = sniffed(Peek(content if whole else content[:HEAD_BYTES], whole=whole))
    assert found == "a pickle, which runs code when it is loaded"
