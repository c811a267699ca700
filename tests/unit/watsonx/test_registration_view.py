from weighbridge.domain.digest import Json
from weighbridge.watsonx.entry import Entry
from weighbridge.watsonx.merge import Merge, three_way
from weighbridge.watsonx.record import Intent
from weighbridge.watsonx.view import (
    differences,
    planned_entries,
    seen_by_looking,
    standing_entries,
)


def entry(model_id: str, sub_path: str = "a", maximum: int = 10) -> Entry:
    parameters: Json = [{"name": "max_new_tokens", "default": 5, "max": maximum}]
    return Entry.of(
        {
            "model_id": model_id,
            "location": {"pvc_name": "p", "sub_path": sub_path},
            "parameters": parameters,
        }
    )


def test_the_list_is_shown_as_it_would_be_entry_by_entry() -> None:
    live: list[Json] = [
        {"model_id": "theirs"},
        entry("kept").value(),
        entry("changed").value(),
        "oddity",
        entry("gone").value(),
    ]
    old = [entry("kept"), entry("changed"), entry("gone")]
    merge = three_way(old, [*live], [entry("kept"), entry("changed", "b", 12), entry("new")])
    assert isinstance(merge, Merge)
    rows = planned_entries(merge)
    assert [(row.model_id, row.fate) for row in rows] == [
        ("theirs", "foreign"),
        ("kept", "keep"),
        ("changed", "update"),
        ('(no model_id: "oddity")', "foreign"),
        ("gone", "remove"),
        ("new", "add"),
    ]
    assert rows[2].changes == ('location.sub_path: "a" → "b"', "parameters[max_new_tokens].max: 10 → 12")


def test_where_nothing_is_wanted_ours_are_still_told_from_theirs() -> None:
    merge = three_way((), [{"model_id": "theirs"}, entry("ours").value()], ())
    assert isinstance(merge, Merge)
    assert [row.fate for row in planned_entries(merge, {"ours"})] == ["foreign", "keep"]


def test_parameters_are_compared_by_name_and_other_lists_by_place() -> None:
    assert list(differences({"tags": ["a", "b"]}, {"tags": ["a"]})) == ['tags[1]: "b" → absent']
    assert list(differences({"x": True}, {"x": 1})) == ["x: true → 1"]


def test_a_model_that_stands_there_twice_is_not_taken_as_looked_at() -> None:
    live = [entry("a").value(), entry("b").value(), entry("b", "other").value()]
    assert [seen.model_id for seen in seen_by_looking([*live], {"a", "b", "c"})] == ["a"]


def test_a_second_copy_of_ours_is_shown_as_going_and_the_first_as_it_will_be() -> None:
    live: list[Json] = [entry("a").value(), {"model_id": "theirs"}, entry("a").value()]
    for new, fates in (
        ([entry("a")], ["keep", "foreign", "remove"]),
        ([entry("a", "b")], ["update", "foreign", "remove"]),
        ([], ["remove", "foreign", "remove"]),
    ):
        merge = three_way([entry("a")], [*live], new)
        assert isinstance(merge, Merge)
        assert [row.fate for row in planned_entries(merge, {"a"})] == fates


def test_an_entry_is_ours_only_as_we_wrote_it_or_had_it_before_an_interrupted_write() -> None:
    intents = {
        "a": Intent(entry("a", "new"), entry("a", "old")),
        "b": Intent(entry("b", "new"), entry("b", "old")),
        "c": Intent(entry("c")),
        "gone": Intent(entry("gone")),
    }
    live = [
        entry("a", "new").value(),
        entry("b", "old").value(),
        entry("c", "edited").value(),
        entry("d").value(),
    ]
    found = standing_entries([*live], intents)
    assert {key: (row.owner, row.value) for key, row in found.items()} == {
        "a": ("ours", entry("a", "new").value()),
        "b": ("ours", entry("b", "old").value()),
        "c": ("edited", entry("c", "edited").value()),
        "d": ("foreign", entry("d").value()),
    }
    assert found["c"].written == entry("c").value()
    assert found["d"].written is None
