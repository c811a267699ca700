from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.watsonx.blame import only_others
from weighbridge.watsonx.entry import Entry


def element(model_id: str, claim: str = "theirs-claim", sub_path: str = "set") -> dict[str, Any]:
    return {"model_id": model_id, "location": {"pvc_name": claim, "sub_path": sub_path}}


OURS = element("llama-7b", "stage-llama-7b-weights", "llama-7b/0123456789ab")


def blamed(message: str, *theirs: str) -> tuple[str, ...]:
    live: Any = [OURS, *(element(model_id) for model_id in theirs)]
    return only_others(message, live, {"llama-7b": Entry.of(OURS)})


@pytest.mark.parametrize(
    ("message", "theirs", "expected"),
    [
        ("custom foundation model 'theirs': no claim", ["theirs", "more"], ("theirs",)),
        ("model theirs: claim 'theirs-claim' is not bound.", ["theirs"], ("theirs",)),
        ("model 'theirs': claim 'all-models' is not bound", ["theirs"], ()),
        ("model_id=theirs failed", ["theirs"], ("theirs",)),
        ("model 'llama-7b-chat': no claim", ["llama-7b-chat"], ("llama-7b-chat",)),
        ("model 'org/llama-7b' failed", ["org/llama-7b"], ("org/llama-7b",)),
        ("'one' and 'two' have no claim", ["one", "two"], ("one", "two")),
    ],
)
def test_a_message_that_names_others_and_nothing_else(
    message: str, theirs: list[str], expected: tuple[str, ...]
) -> None:
    assert blamed(message, *theirs) == expected


@pytest.mark.parametrize(
    ("message", "theirs"),
    [
        ("", ["theirs"]),
        ("no space left", ["theirs"]),
        ("'theirs' and 'llama-7b' have no claim", ["theirs"]),
        ("'theirs': no claim; LLAMA-7B too", ["theirs"]),
        ("'theirs' is fine, stage-llama-7b-weights is not bound", ["theirs"]),
        ("'theirs' is fine, llama-7b/0123456789ab is empty", ["theirs"]),
        ("'theirs' and two others", ["theirs"]),
        ("'theirs' was the first; all models failed", ["theirs"]),
        ("'theirs', 'nobody': no claim", ["theirs"]),
        ("'theirs': no claim ...", ["theirs"]),
        ("'theirs': lla\u200bma-7b", ["theirs"]),
        ("'theirs': ll\u0430ma-7b", ["theirs"]),
        ("'theirs': \x1b[8mllama-7b", ["theirs"]),
        ("the claim is not bound", ["claim", "the"]),
        ("model 'llama-7b': no claim", ["llama-7b': no claim", "model"]),
        ("llama-7b-chat failed", ["llama-7b-chat"]),
        ("model 'llama-7b-chat' failed", ["llama"]),
    ],
)
def test_where_it_cannot_be_told_it_may_be_ours(message: str, theirs: list[str]) -> None:
    assert blamed(message, *theirs) == ()


@given(st.lists(st.text(min_size=1, max_size=12), max_size=4), st.text(max_size=20), st.text(max_size=20))
def test_no_id_of_others_hides_a_message_that_names_ours(theirs: list[str], before: str, after: str) -> None:
    assert blamed(f"{before} 'llama-7b' {after}", *theirs, "theirs") == ()
    assert blamed(f"'theirs' {before} llama-7b {after}", *theirs, "theirs") == ()
