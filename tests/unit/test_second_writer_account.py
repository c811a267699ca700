"""The account of the second-writer run notices what it is there to notice."""

from typing import Any

import pytest

from support.second_writer import Edit, Version, account

OURS = {"m1"}
MINE = {"model_id": "m1", "tags": ["declared"]}
US = frozenset({("weighbridge", "t1")})
THEM = frozenset({("team-c", "t1")})


def theirs(*names: str) -> list[dict[str, Any]]:
    return [{"model_id": name} for name in names]


def version(
    number: int, models: list[dict[str, Any]], managers: frozenset[tuple[str, str]] = THEM
) -> Version:
    return Version(number, {"custom_foundation_models": models, "size": "small"}, managers)


def edit(*names: str) -> Edit:
    return Edit("add", "JSON patch", theirs(*names), 0)


START = version(1, theirs("a"))


def test_each_version_is_counted_once_by_its_side() -> None:
    versions = [
        START,
        version(2, theirs("a")),
        version(3, [*theirs("a"), MINE], US),
        version(5, [*theirs("b", "a"), MINE]),
        version(8, theirs("b", "a"), US),
    ]
    found = account(versions, {5: edit("b", "a")}, OURS, [MINE])
    assert (found.foreign_edits, found.ours, found.status) == (1, 2, 1)


@pytest.mark.parametrize(
    ("versions", "edits", "words"),
    [
        (
            [version(2, theirs("b", "a")), version(3, [*theirs("a"), MINE], US)],
            {2: edit("b", "a")},
            "changed somebody",
        ),
        ([version(2, [*theirs("a"), MINE, MINE], US)], {}, "twice"),
        ([version(2, [*theirs("a"), {"model_id": "m1"}], US)], {}, "nobody asked for"),
        ([version(2, theirs("a"))], {2: edit("b", "a")}, "not what the writer was told"),
        ([version(2, [MINE, *theirs("a", "b")])], {2: edit("a", "b")}, "changed our entries"),
        ([version(2, theirs("a", "b"))], {2: edit("a", "b"), 3: edit("c")}, "never to be seen"),
        ([version(2, [*theirs("a"), MINE])], {}, "nobody known"),
    ],
    ids=["undone", "twice", "undeclared", "not-written", "mixed", "unseen", "a-third"],
)
def test_what_must_not_happen_is_noticed(versions: list[Version], edits: dict[int, Edit], words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        account([START, *versions], edits, OURS, [MINE])
