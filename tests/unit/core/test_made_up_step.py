"""A made-up step beside the real ones: nothing but its own room and its place in the list makes it work everywhere."""

from pathlib import Path
from typing import Any, cast

import pytest

from support.made_up import BellsStep, Tower
from support.world import World, environment
from weighbridge import messages, screens
from weighbridge.core.declared import SPEC
from weighbridge.core.events import StepEnded
from weighbridge.core.step import Request
from weighbridge.errors import InputError, PreconditionError
from weighbridge.steps import STEPS


def world_with_bells(*models: str) -> tuple[World, Tower]:
    tower = Tower()
    world = World(environment(*models), steps=(*STEPS, BellsStep()), ports={"tower": tower})
    return world, tower


def test_it_is_planned_and_run_in_its_place() -> None:
    world, tower = world_with_bells("one", "two")

    applied = world.session().apply()

    assert [result.planned.value.title for result in applied.results][-4:] == [
        "operator reconciles watsonxaiifm-cr",
        "stack bells",
        "bell one",
        "bell two",
    ]
    assert (applied.complete, tower.hung) == (True, {"one", "two"})
    assert world.calls[-1] == "up bells"
    assert not world.session().plan().pending
    assert not world.session().apply().changed


def test_it_is_skipped_where_what_it_needs_failed_and_the_other_item_is_not() -> None:
    world, tower = world_with_bells("one", "two")
    world.broken["one"] = PreconditionError("the disk is gone")

    applied = world.session().apply()

    words = {result.planned.value.title: result.outcome.word for result in applied.results}
    assert (words["bell one"], words["bell two"], tower.hung) == ("skipped", "done", {"two"})
    assert applied.exit_code == 4
    assert not applied.complete
    [ended] = [event for event in world.events if isinstance(event, StepEnded) and event.title == "bell one"]
    assert (ended.outcome, ended.detail) == ("skipped", "it needs weights one")


def test_what_needs_a_skipped_one_is_skipped_too() -> None:
    world, tower = world_with_bells("one")
    world.failing.add("storage")

    applied = world.session().apply()

    words = {result.planned.value.title: result.outcome.word for result in applied.results}
    assert words == {
        "stack storage": "failed",
        "weights one": "skipped",
        "stack registration": "skipped",
        "operator reconciles watsonxaiifm-cr": "skipped",
        "stack bells": "done",
        "bell one": "skipped",
    }
    assert tower.hung == set()


def test_it_is_shown_to_a_person_and_to_a_program() -> None:
    world, tower = world_with_bells("one")

    plan = world.session().plan()
    screen = screens.plan_screen(plan, "test")
    message = cast("dict[str, Any]", messages.plan_message(plan))
    assert "• bell one: it does not hang yet\n    made of bronze" in screen
    assert "bells that hang: 0" in screen
    assert message["bells"] == []
    row = message["steps"][-1]
    assert (row["name"], row["item"], row["title"]) == ("bells", "one", "bell one")
    assert set(row["needs"]) == {message["steps"][-2]["key"], message["steps"][1]["key"]}
    assert list(message["stacks"]) == ["storage", "registration", "bells"]

    applied = world.session().apply()
    done = cast("dict[str, Any]", messages.applied_message(applied, 0))
    assert "  one sounds" in screens.applied_screen(applied, "test", 0)
    assert (done["tones"], done["steps"][-1]["tone"]) == (["one"], "c")

    status = world.session().status()
    told = cast("dict[str, Any]", messages.status_message(status, "test"))
    assert (told["tower"], told["models"][0]["hangs"]) == ("stands", True)
    assert "✓ one: verified 2026-01-02T03:04:05Z, registered, hangs" in screens.status_screen(status)
    assert "the tower stands" in screens.status_screen(status)

    tower.cracked = frozenset({"one"})
    verified = world.session().verify()
    assert (verified.exit_code, verified.damaged) == (5, ("one",))
    assert "one is cracked" in screens.verified_screen(verified, "test")


def test_it_is_rendered_tidied_and_destroyed() -> None:
    world, tower = world_with_bells("one")
    world.session().apply()
    world.unfinished = frozenset({"one"})

    rendered = world.session().render(Path("/out"))
    assert rendered.files["tower/tower.yaml"] == "kind: Tower\n"
    assert "ring /out" in rendered.usage

    destroyed = world.session().destroy()
    assert tower.rung == ["tidied one"]
    assert (tower.hung, destroyed.message["silent"]) == (set(), True)
    assert world.calls.index("destroy bells") < world.calls.index("destroy registration")
    assert screens.destroyed_screen(destroyed).startswith("It is silent.")


def test_a_group_alone_is_planned_run_and_verified() -> None:
    world, tower = world_with_bells("one")

    plan = world.session().plan(Request(only="tower"))
    assert [planned.value.title for planned in plan.steps] == ["stack bells", "bell one"]
    world.session().apply(Request(only="tower"))
    assert (world.calls, tower.hung) == (["up bells"], {"one"})
    assert world.session().verify(Request(only="tower")).exit_code == 0
    with pytest.raises(InputError, match="nothing of `--only switch` can be verified"):
        world.session().verify(Request(only="switch"))


def test_a_stack_s_own_context_must_lead_to_the_same_cluster() -> None:
    world, _ = world_with_bells("one")
    cluster = world.environment.cluster.model_copy(update={"contexts": {"bells": "elsewhere"}})
    world.environment = world.environment.model_copy(update={"cluster": cluster})
    plan = world.session().plan()
    assert plan.facts.known(SPEC, "bells").cluster.context == "elsewhere"
    assert plan.facts.known(SPEC, "storage").cluster.context == "here"

    world.elsewhere["elsewhere"] = "uid-2"
    with pytest.raises(PreconditionError, match="uid-2") as refused:
        world.session().apply()
    assert (refused.value.code, world.calls) == ("other-cluster", [])
