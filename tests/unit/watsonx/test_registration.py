import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.api_server import apply_json_patch
from weighbridge.domain.digest import Json
from weighbridge.errors import PreconditionError
from weighbridge.watsonx.entry import Entry
from weighbridge.watsonx.merge import ChangeKind, Merge, three_way
from weighbridge.watsonx.refusals import Reason, Refused


def entry(model_id: str, **more: Json) -> Entry:
    return Entry.of({"model_id": model_id, "location": {"pvc_name": "claim"}, **more})


def merged(old: list[Entry], live: Json, new: list[Entry], adopt: tuple[str, ...] = ()) -> Merge:
    result = three_way(old, live, new, adopt)
    assert isinstance(result, Merge), result
    return result


def refused(old: list[Entry], live: Json, new: list[Entry]) -> Refused:
    result = three_way(old, live, new)
    assert isinstance(result, Refused), result
    return result


THEIRS: list[Json] = [{"model_id": "theirs", "tags": ["a"]}, {"model_id": "also-theirs", "x": 1e-7}]


def test_a_new_entry_is_appended_after_everybody_elses() -> None:
    assert merged([], THEIRS, [entry("ours")]).after == [*THEIRS, entry("ours").value()]


def test_our_entry_is_updated_where_it_stands() -> None:
    live = [THEIRS[0], entry("ours").value(), THEIRS[1]]
    merge = merged([entry("ours")], live, [entry("ours", tags=["new"])])
    assert merge.after == [THEIRS[0], entry("ours", tags=["new"]).value(), THEIRS[1]]
    assert [(change.model_id, change.kind) for change in merge.changes] == [("ours", ChangeKind.UPDATE)]


def test_our_entry_is_removed_and_the_list_stays() -> None:
    assert merged([entry("ours")], [entry("ours").value()], []).after == []


def test_an_absent_list_is_made_and_guarded_by_the_version() -> None:
    merge = merged([], None, [entry("ours")])
    assert merge.patch("7") == [
        {"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
        {"op": "add", "path": "/spec/custom_foundation_models", "value": [entry("ours").value()]},
    ]
    with pytest.raises(ValueError, match="absent list"):
        merge.patch()


def test_nothing_is_written_where_the_list_is_absent_and_nothing_is_wanted() -> None:
    assert merged([entry("ours")], None, []).is_empty


def test_an_entry_of_somebody_elses_is_refused_with_both_shown_unless_adopted() -> None:
    foreign = entry("ours", tags=["foreign"])
    result = refused([], [foreign.value()], [entry("ours")])
    error = result.error("CR ns/cr")
    assert isinstance(error, PreconditionError)
    assert foreign.text in error.what
    assert entry("ours").text in error.what
    assert "adopt" in (error.remedy or "")
    adopted = merged([], [foreign.value()], [entry("ours")], ("ours",))
    assert adopted.after == [entry("ours").value()]
    assert adopted.changes[0].adopted


def test_values_can_be_kept_out_of_a_refusal() -> None:
    error = refused([], [entry("ours", tags=["hush"]).value()], [entry("ours")]).error("CR")
    assert "hush" not in error.without_values().what
    assert "ours" in error.without_values().what


def test_an_equal_entry_that_nothing_shows_to_be_ours_is_refused_because_destroy_would_remove_it() -> None:
    result = refused([], [entry("ours").value()], [entry("ours")])
    assert [refusal.reason for refusal in result.refusals] == [Reason.FOREIGN_EQUAL]


@pytest.mark.parametrize("wanted", [[entry("ours", tags=["new"])], []], ids=["update", "removal"])
def test_our_entry_changed_to_what_we_did_not_write_is_refused_with_all_versions(wanted: list[Entry]) -> None:
    live = entry("ours", tags=["edited"])
    result = refused([entry("ours")], [live.value()], wanted)
    labels = [label for label, _ in result.refusals[0].versions()]
    assert labels == ["written", "live", "wanted"][: 2 + len(wanted)]
    assert result.refusals[0].reason is Reason.CHANGED


def test_a_live_entry_that_is_what_we_want_already_is_left_alone() -> None:
    assert merged(
        [entry("ours")], [entry("ours", tags=["new"]).value()], [entry("ours", tags=["new"])]
    ).is_empty


def test_an_entry_that_somebody_removed_is_put_back() -> None:
    assert merged([entry("ours")], THEIRS, [entry("ours")]).after[-1] == entry("ours").value()


def test_equal_copies_of_our_entry_become_one() -> None:
    live = [entry("ours").value(), THEIRS[0], entry("ours").value()]
    assert merged([entry("ours")], live, [entry("ours")]).after == [entry("ours").value(), THEIRS[0]]


def test_a_copy_of_our_entry_that_differs_is_refused() -> None:
    live: list[Json] = [entry("ours").value(), entry("ours", tags=["copy"]).value()]
    assert refused([entry("ours")], live, [entry("ours")]).refusals[0].reason is Reason.CHANGED


EDITED = entry("ours", tags=["edited"])
AGAIN = entry("ours", tags=["edited again"])


@pytest.mark.parametrize("wanted", [[entry("ours", tags=["new"])], []], ids=["update", "removal"])
@pytest.mark.parametrize("adopt", [(), ("ours",)], ids=["", "adopted"])
@pytest.mark.parametrize("shown", [(), (AGAIN,)], ids=["", "also shown by a refresh"])
def test_what_was_replaced_since_the_plan_is_refused_with_both_shown(
    wanted: list[Entry], adopt: tuple[str, ...], shown: tuple[Entry, ...]
) -> None:
    written, live = entry("ours"), [THEIRS[0], AGAIN.value()]
    result = three_way([written, *shown], live, wanted, adopt, {"ours": written.digest})
    assert isinstance(result, Refused)
    error = result.error("CR")
    assert error.code == "entry-replaced"
    labels = [label for label, _ in result.refusals[0].versions()]
    assert labels == ["seen", "live", "wanted"][: 2 + len(wanted)]
    assert written.text in error.what
    assert AGAIN.text in error.what
    assert "edited" not in error.without_values().what


def test_of_what_the_plan_saw_and_we_did_not_write_the_digest_is_shown() -> None:
    result = three_way([entry("ours"), AGAIN], [AGAIN.value()], [entry("ours")], (), {"ours": EDITED.digest})
    assert isinstance(result, Refused)
    assert EDITED.digest in result.error("CR").what


@pytest.mark.parametrize("adopt", [(), ("ours",)], ids=["", "adopted"])
def test_an_entry_that_came_after_the_plan_is_not_overwritten(adopt: tuple[str, ...]) -> None:
    result = three_way([], [EDITED.value()], [entry("ours")], adopt, {"ours": ""})
    assert isinstance(result, Refused)
    assert result.error("CR").code == ("entry-replaced" if adopt else "entry-foreign")


@pytest.mark.parametrize(
    "seen", [{"ours": EDITED.digest}, {"another": ""}, {}], ids=["as seen", "not compared", ""]
)
def test_what_stands_as_the_plan_saw_it_is_changed_as_planned(seen: dict[str, str]) -> None:
    result = three_way([entry("ours"), EDITED], [EDITED.value(), THEIRS[0]], [entry("ours")], (), seen)
    assert isinstance(result, Merge)
    assert result.after == [entry("ours").value(), THEIRS[0]]


@pytest.mark.parametrize("seen", [entry("ours").digest, ""])
def test_what_is_there_already_or_there_no_more_was_not_replaced(seen: str) -> None:
    new = entry("ours", tags=["new"])
    same = three_way([entry("ours")], [new.value()], [new], (), {"ours": seen})
    assert isinstance(same, Merge)
    assert same.is_empty
    back = three_way([entry("ours")], THEIRS, [new], (), {"ours": seen})
    assert isinstance(back, Merge)
    assert back.after == [*THEIRS, new.value()]
    assert isinstance(three_way([entry("ours")], THEIRS, [], (), {"ours": seen}), Merge)


def test_a_second_copy_that_came_after_the_plan_is_not_overwritten() -> None:
    live: list[Json] = [EDITED.value(), entry("ours").value()]
    result = three_way([entry("ours"), EDITED], live, [AGAIN], (), {"ours": entry("ours").digest})
    assert isinstance(result, Refused)
    assert result.refusals[0].reason is Reason.REPLACED


@pytest.mark.parametrize("live", [{}, "text", 3, True, {"model_id": "ours"}])
def test_what_is_no_list_is_refused_and_shown(live: Json) -> None:
    error = refused([], live, [entry("ours")]).error("CR")
    assert json.dumps(live) in error.what


def test_a_model_wanted_twice_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="twice"):
        three_way([], [], [entry("ours"), entry("ours", tags=["b"])])


@pytest.mark.parametrize(
    "value", [None, 1, "x", [], {}, {"model_id": ""}, {"model_id": 3}, {"model_id": None}]
)
def test_what_is_no_entry_is_no_entry(value: Json) -> None:
    with pytest.raises(ValueError, match="model_id"):
        Entry.of(value)


def test_entries_are_equal_as_json_is() -> None:
    assert entry("a", x=1) == entry("a", x=1.0)
    assert entry("a", x=1) != entry("a", x=True)
    assert Entry.of({"model_id": "a", "b": 1, "c": 2}) == Entry.of({"c": 2, "b": 1, "model_id": "a"})
    assert len({entry("a", x=1), entry("a", x=1.0)}) == 1


# -- for any list whatever

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
ids = st.sampled_from(["a", "b", "c", "d/e"])
entries = st.builds(
    lambda model_id, body: {**body, "model_id": model_id},
    ids,
    st.dictionaries(st.text(max_size=3), values, max_size=2),
)
lists = st.none() | st.lists(entries | values, max_size=6)


def unique(rows: list[dict[str, Any]]) -> list[Entry]:
    return list({row["model_id"]: Entry.of(row) for row in rows}.values())


wanted_lists = st.lists(entries, max_size=3).map(unique)
known_lists = st.lists(entries, max_size=4).map(lambda rows: [Entry.of(row) for row in rows])


def of_others(live: Any, touched: set[str]) -> list[Any]:
    return [row for row in live or [] if not (isinstance(row, dict) and row.get("model_id") in touched)]


@given(known_lists, lists, wanted_lists, st.frozensets(ids))
def test_whatever_is_there_others_keep_their_elements_and_their_order(
    old: list[Entry], live: Json, new: list[Entry], adopt: frozenset[str]
) -> None:
    result = three_way(old, live, new, adopt)
    if isinstance(result, Refused):
        return
    touched = {row.model_id for row in (*old, *new)}
    assert json.dumps(of_others(result.after, touched)) == json.dumps(of_others(live, touched))
    present = [
        Entry.of(row) for row in result.after if isinstance(row, dict) and row.get("model_id") in touched
    ]
    assert sorted(row.digest for row in present) == sorted(row.digest for row in new)


@given(known_lists, lists, wanted_lists, st.frozensets(ids))
def test_the_patch_makes_exactly_the_merged_list_and_touches_no_other_key(
    old: list[Entry], live: Json, new: list[Entry], adopt: frozenset[str]
) -> None:
    result = three_way(old, live, new, adopt)
    if isinstance(result, Refused):
        return
    spec = {"license": {"accept": True}, "other": [1, 2.5]} | (
        {} if live is None else {"custom_foundation_models": live}
    )
    body = {"metadata": {"resourceVersion": "9"}, "spec": spec}
    after = apply_json_patch(body, list(result.patch("9")))
    if live is not None:
        guard, *operations = result.patch()
        assert json.dumps(guard["value"]) == json.dumps(live)
        assert operations == result.patch("9")[1:]
    made = after["spec"].pop("custom_foundation_models", None)
    assert (made or []) == result.after
    assert after["spec"] == {"license": {"accept": True}, "other": [1, 2.5]}
    assert result.is_empty == (made == live)


@given(known_lists, lists, wanted_lists, st.frozensets(ids))
def test_a_second_merge_is_empty(
    old: list[Entry], live: Json, new: list[Entry], adopt: frozenset[str]
) -> None:
    first = three_way(old, live, new, adopt)
    if isinstance(first, Refused):
        return
    second = three_way(new, first.after, new)
    assert isinstance(second, Merge)
    assert second.is_empty
    assert second.changes == ()


@given(known_lists, lists, wanted_lists)
def test_nothing_unknown_is_ever_changed_without_being_asked(
    old: list[Entry], live: Json, new: list[Entry]
) -> None:
    result = three_way(old, live, new)
    if isinstance(result, Refused):
        assert all(refusal.remedy() for refusal in result.refusals)
        return
    for change in result.changes:
        assert not change.adopted
        if change.before is not None:
            assert change.before in old or change.before == change.after


@given(lists, wanted_lists)
def test_adding_and_removing_leaves_what_was_there(live: Json, new: list[Entry]) -> None:
    there = three_way([], live, new)
    if isinstance(there, Refused):
        return
    back = three_way(new, there.after, [])
    assert isinstance(back, Merge)
    assert json.dumps(back.after) == json.dumps(live or [])
