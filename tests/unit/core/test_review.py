"""The review digest: what was reviewed may be done, in parts too, and nothing else."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.world import World, environment, listing
from weighbridge.core import review
from weighbridge.core.step import Request
from weighbridge.domain.digest import Json
from weighbridge.domain.stacks import Op, ResourceChange, StackPreview
from weighbridge.errors import InputError, PreconditionError

ROWS = st.lists(
    st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=5), max_size=3), max_size=6
)
ABOUT: Json = ["stage", "uid", "cpd-instance"]


@given(rows=ROWS, fewer=st.data())
def test_every_part_of_what_was_reviewed_is_allowed(rows: list[Any], fewer: st.DataObject) -> None:
    some = fewer.draw(st.lists(st.sampled_from(rows), unique_by=str) if rows else st.just([]))
    review.require_reviewed(review.digest_of(ABOUT, rows), ABOUT, some)


@given(rows=ROWS, other=st.dictionaries(st.text(max_size=3), st.integers(), min_size=1, max_size=2))
def test_nothing_else_is(rows: list[Any], other: dict[str, Json]) -> None:
    reviewed = review.digest_of(ABOUT, [row for row in rows if row != other])
    with pytest.raises(PreconditionError) as refused:
        review.require_reviewed(reviewed, ABOUT, [*rows, other])
    assert refused.value.code == "plan-changed"
    assert reviewed in refused.value.what
    assert review.digest_of(ABOUT, [*rows, other]) in refused.value.what


@given(rows=ROWS)
def test_order_and_repetition_mean_nothing(rows: list[Any]) -> None:
    assert review.digest_of(ABOUT, rows) == review.digest_of(ABOUT, [*reversed(rows), *rows])


def test_another_environment_or_cluster_is_another_plan() -> None:
    with pytest.raises(PreconditionError, match="another environment or another cluster"):
        review.require_reviewed(review.digest_of(["prod", "uid", "cpd-instance"], []), ABOUT, [])


@pytest.mark.parametrize(
    "text", ["", "w1.", "w1.abc", "sha256:" + "0" * 64, "w1.!!!!", "w2." + "A" * 14, "w1." + "A" * 15]
)
def test_what_no_plan_has_printed_is_wrong_input(text: str) -> None:
    world = World(environment("one"))
    with pytest.raises(InputError) as refused:
        world.session().apply(reviewed=text)
    assert (refused.value.code, world.calls) == ("digest-syntax", [])


def test_a_digest_is_short_enough_for_a_command_line() -> None:
    world = World(environment(*(f"model-{number}" for number in range(20))))
    digest = world.session().plan().digest
    assert len(digest) < 1000
    assert len(base64.urlsafe_b64decode(digest[3:] + "==")) == 10 * (1 + 20 + 20 + 1 + 20)


def test_the_reviewed_plan_is_carried_out_whole_or_in_parts() -> None:
    world = World(environment("one", "two"))
    digest = world.session().plan().digest

    world.session().apply(Request(only="weights"), reviewed=digest)
    world.session().apply(Request(only="switch"), reviewed=digest)
    again = world.session().apply(reviewed=digest)

    assert world.calls == ["up storage", "sync one fetch", "sync two fetch", "up registration", "await"]
    assert not again.changed


def test_a_source_that_changed_since_is_refused_before_a_byte_moves() -> None:
    world = World(environment("one"))
    digest = world.session().plan().digest
    world.sources["one"] = listing("2")

    with pytest.raises(PreconditionError, match="not reviewed") as refused:
        world.session().apply(reviewed=digest)

    assert (refused.value.exit_code, world.calls, world.held_for) == (3, [], ["apply"])


def test_a_foreign_edit_of_our_entry_is_refused_and_one_of_another_team_s_is_none_of_ours() -> None:
    world = World(environment("one"))
    world.session().apply()
    world.sources["one"] = listing("2")
    digest = world.session().plan().digest
    world.calls.clear()
    world.entries[0] = {**world.entries[0], "tags": ["theirs, edited"]}
    assert world.session().plan().digest == digest

    world.entries[1] = {**world.entries[1], "tags": ["ours, edited"]}
    with pytest.raises(PreconditionError, match="ours, edited"):
        world.session().apply(reviewed=digest)
    assert world.calls == []


def test_a_delete_and_an_update_never_share_a_digest() -> None:
    def shown(op: Op) -> str:
        world = World(environment("one"))
        world.session().apply()
        world.previews["storage"] = StackPreview(
            stack="storage", exists=True, changes=(ResourceChange("t", "n", op),), unchanged=0
        )
        return world.session().plan().digest

    assert len({shown(op) for op in (Op.UPDATE, Op.DELETE, Op.REPLACE)}) == 3


def test_what_is_kept_and_what_is_adopted_is_part_of_the_review() -> None:
    world = World(environment("one", "two"))
    world.session().apply()
    world.entries = [
        {**entry, "tags": ["theirs"]} if entry["model_id"] == "one" else entry for entry in world.entries
    ]
    del world.ours["one"]
    plans = world.session()
    with pytest.raises(PreconditionError):
        plans.plan()
    adopting = plans.plan(Request(adopt=frozenset({"one"})))
    assert any(isinstance(row, dict) and row.get("adopt") for row in adopting.shows)

    world.environment = environment("one")
    fewer = world.session().plan(Request(adopt=frozenset({"one"})))
    assert {"stack": "storage", "kept": "test-two-weights"} in fewer.shows
