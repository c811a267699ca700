from weighbridge.watsonx.entry import Entry
from weighbridge.watsonx.reconciled import Baseline, Mark
from weighbridge.watsonx.record import (
    LAST_WRITE_KEY,
    Intent,
    Intents,
    confirmed,
    intend,
    parse_intents,
    settled,
)

MARK = Mark(
    "uid",
    "2026-01-01T00:00:00+00:00",
    Baseline(digest="d", running=False, completion=None, status_written_at=None, exact=True),
    (("a/b", "x"), ("gone", None)),
)


def entry(model_id: str, tag: str) -> Entry:
    return Entry.of({"model_id": model_id, "tags": [tag]})


def test_intents_survive_the_config_map() -> None:
    intents = Intents({"a/b": Intent(entry("a/b", "new"), entry("a/b", "old"))}, MARK)
    assert set(intents.data()) == {"a_b", LAST_WRITE_KEY}
    assert parse_intents(intents.data()) == intents


def test_before_a_write_both_what_stands_and_what_is_to_stand_are_ours() -> None:
    before = settled([entry("a", "1"), entry("leaving", "1")], MARK)
    intended = intend(before, [entry("a", "1"), entry("foreign", "x")], [entry("a", "2")], MARK)
    assert set(intended.known()) == {entry("a", "1"), entry("a", "2"), entry("leaving", "1")}
    assert set(settled([entry("a", "2")], MARK).known()) == {entry("a", "2")}


def test_a_text_edited_by_hand_counts_as_none() -> None:
    data = Intents({"a": Intent(entry("a", "1"))}, MARK).data()
    for text in ("", "{", "[]", "null", '{"entry": 3}', '{"entry": {"model_id": "a"}, "previous": 7}'):
        assert parse_intents({**data, "a": text}) == Intents({}, MARK)
        assert parse_intents({**data, LAST_WRITE_KEY: text}).mark is None


def test_the_record_of_a_removal_is_needed_until_the_operator_has_taken_it_in() -> None:
    removal = settled([], MARK)
    assert (removal.pending, removal.spent) == (True, False)
    assert parse_intents(removal.data()) == removal
    after = confirmed(removal, MARK)
    assert (after.pending, after.spent) == (False, True)
    assert Intents().spent


def test_confirming_forgets_what_was_removed_and_keeps_what_stands() -> None:
    interrupted = Intents({"a/b": Intent(entry("a/b", "1")), "gone": Intent(entry("gone", "1"))}, MARK)
    after = confirmed(interrupted, MARK)
    assert set(after.models) == {"a/b"}
    assert after.mark is not None
    assert after.mark.entries == (("a/b", "x"),)
