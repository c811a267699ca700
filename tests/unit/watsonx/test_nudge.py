from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.api_server import apply_json_patch
from weighbridge.watsonx.entry import Entry
from weighbridge.watsonx.nudge import find_nudge, named_models


def element(model_id: str, **more: Any) -> dict[str, Any]:
    return {"model_id": model_id, "location": {"pvc_name": "claim"}, **more}


def stages(live: list[Any], ours: dict[str, Entry], message: str = "") -> list[list[Any]]:
    """The list after each patch of the nudge."""
    nudge = find_nudge(live, ours, message)
    assert nudge is not None
    seen, body = [], {"spec": {"custom_foundation_models": live}}
    for number in range(len(nudge.patches)):
        body = apply_json_patch(body, nudge.operations(number))
        seen.append(body["spec"]["custom_foundation_models"])
    return seen


NAMES = st.text("abcdefgh-", min_size=1, max_size=6)


@given(st.lists(NAMES, unique=True, min_size=2, max_size=8), st.data())
def test_one_patch_changes_the_list_without_touching_others_or_missing_ours(
    names: list[str], data: st.DataObject
) -> None:
    live = [element(name, tags=[name]) for name in names]
    mine = data.draw(st.lists(st.sampled_from(names), unique=True, min_size=1))
    ours = {name: Entry.of(element(name, tags=[name])) for name in mine}
    (after,) = stages(live, ours)
    assert after != live, "an operator only notices a list that differs"
    assert sorted(after, key=str) == sorted(live, key=str)
    theirs = [row for row in live if row["model_id"] not in ours]
    assert [row for row in after if row["model_id"] not in ours] == theirs


def test_an_entry_alone_in_the_list_goes_and_comes_back() -> None:
    alone = element("ours", number=0.5)
    assert stages([alone], {"ours": Entry.of(alone)}) == [[], [alone]]


def test_the_entry_that_the_operator_names_is_the_one_that_moves() -> None:
    live = [element("one"), element("theirs"), element("two")]
    ours = {name: Entry.of(element(name)) for name in ("one", "two")}
    moved = stages(live, ours, "custom foundation model 'one': sub_path 'x' does not exist")
    assert [row["model_id"] for row in moved[0]] == ["theirs", "two", "one"]
    assert [row["model_id"] for row in stages(live, ours)[0]] == ["one", "two", "theirs"]


@pytest.mark.parametrize(
    "live",
    [
        None,
        {},
        [],
        [element("theirs")],
        [element("ours", tags=["edited"]), element("theirs")],
        [element("ours"), element("ours")],
    ],
)
def test_what_is_not_there_once_and_as_we_wrote_it_is_not_moved(live: Any) -> None:
    assert find_nudge(live, {"ours": Entry.of(element("ours"))}, "") is None


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ("custom foundation model 'llama-7b': no claim", ("llama-7b",)),
        ("model llama-7b.", ("llama-7b",)),
        ("llama-7b-chat: no claim", ()),
        ("a/llama-7b, x.llama-7b and llama-7b.5", ()),
        ("llama-7b; org/llama-8b", ("llama-7b", "org/llama-8b")),
        ("", ()),
    ],
)
def test_models_are_named_as_whole_words(message: str, named: tuple[str, ...]) -> None:
    assert named_models(message, ["llama-7b", "org/llama-8b"]) == named
