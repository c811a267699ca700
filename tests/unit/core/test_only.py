"""``--only``: weights any day, the switch in the change window, each under its own login."""

from dataclasses import replace

import pytest

from support.world import World, environment, listing
from weighbridge.core.step import Request
from weighbridge.errors import PreconditionError

WEIGHTS, SWITCH = Request(only="weights"), Request(only="switch")


def test_weights_alone_touch_neither_the_custom_resource_nor_its_stack() -> None:
    world = World(environment("one"))
    world.refusing_registry = PreconditionError("this login may not look at it")

    applied = world.session().apply(WEIGHTS)

    assert world.calls == ["up storage", "sync one fetch"]
    assert applied.complete
    assert not world.session().plan(WEIGHTS).pending


def test_the_switch_alone_registers_what_was_brought_in_and_asks_no_source() -> None:
    world = World(environment("one", "two"))
    world.session().apply(WEIGHTS)
    world.calls.clear()
    before = dict(world.sources)
    world.sources.clear()

    plan = world.session().plan(SWITCH)
    world.session().apply(SWITCH)

    assert [planned.value.title for planned in plan.steps] == [
        "stack registration",
        "operator reconciles watsonxaiifm-cr",
    ]
    assert world.calls == ["up registration", "await"]
    assert list(world.ours) == ["one", "two"]
    world.sources = before
    assert not world.session().plan().pending, "both parts together are the whole"


def test_the_switch_registers_no_model_that_did_not_arrive_and_keeps_what_is_damaged_as_it_is() -> None:
    world = World(environment("one", "two", "three"))
    world.session().apply()
    standing = dict(world.ours["two"])
    for model_id in ("one", "two"):
        world.sources[model_id] = listing("2")
    world.session().apply(WEIGHTS)
    world.flipped["two"] = ("config.json",)
    world.session().verify(WEIGHTS)
    del world.ours["three"], world.receipts["three"]
    world.entries = [entry for entry in world.entries if entry["model_id"] != "three"]

    world.session().apply(SWITCH)

    assert world.ours["one"]["location"] != standing["location"]
    assert (world.ours["two"], list(world.ours)) == (standing, ["one", "two"])


def test_a_set_on_a_volume_that_was_made_anew_is_not_switched_to() -> None:
    world = World(environment("one"))
    world.session().apply(WEIGHTS)
    [(name, claim)] = world.claims.items()
    world.claims[name] = replace(claim, uid="another")

    applied = world.session().apply(SWITCH)

    assert (world.ours, applied.changed) == ({}, False)


@pytest.mark.parametrize("request_", [WEIGHTS, SWITCH], ids=["weights", "switch"])
def test_a_part_holds_the_environment_as_the_whole_does(request_: Request) -> None:
    world = World(environment("one"))
    world.other_run = "`apply` of jo@laptop"
    with pytest.raises(PreconditionError, match="jo@laptop"):
        world.session().apply(request_)
    assert world.calls == []
