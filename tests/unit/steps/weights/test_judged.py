"""A flaw stops a model that is to be brought in, before anything is written; of a set that is in place it is only told."""

from dataclasses import replace

import pytest

from support.world import World, environment, listing
from weighbridge.domain.model.flaws import Flaw, warning
from weighbridge.domain.weights import SourceListing
from weighbridge.errors import PreconditionError

CODE = Flaw("source-refused-kind", "x.py: code of Python", "Leave it behind")
TWICE = warning("source-weights-twice", "consolidated.safetensors: 2 GiB twice", "Leave it behind")


def flawed(*flaws: Flaw, tag: str = "1") -> SourceListing:
    return replace(listing(tag), flaws=flaws)


def test_a_new_set_is_refused_before_anything_is_written() -> None:
    world = World(environment("one"), sources={"one": flawed(CODE, TWICE)})
    with pytest.raises(PreconditionError, match=r"x\.py: code of Python") as refused:
        world.session().plan()
    assert refused.value.code == "source-refused-kind"
    assert "model one" in refused.value.what
    with pytest.raises(PreconditionError):
        world.session().apply()
    assert world.calls == []


def test_what_is_only_suspect_is_told_and_brought_in() -> None:
    world = World(environment("one"), sources={"one": flawed(TWICE)})
    assert world.session().plan().warnings == ("one: consolidated.safetensors: 2 GiB twice; leave it behind",)
    assert world.session().apply().exit_code == 0


def test_a_set_that_is_in_place_is_only_told_of_and_stays_the_same() -> None:
    world = World(environment("one"))
    world.session().apply()
    world.sources["one"] = flawed(CODE)
    plan = world.session().plan()
    assert not any(step.pending for step in plan.steps)
    assert any("x.py: code of Python" in text and "in place" in text for text in plan.warnings)


def test_a_damaged_set_is_mended_and_not_judged_anew() -> None:
    world = World(environment("one"))
    world.session().apply()
    world.flipped["one"] = ("config.json",)
    world.session().verify()
    world.sources["one"] = flawed(CODE)
    assert world.session().plan().bytes_to_move == 10


def test_its_next_version_is_judged() -> None:
    world = World(environment("one"))
    world.session().apply()
    world.sources["one"] = flawed(CODE, tag="2")
    with pytest.raises(PreconditionError, match="code of Python"):
        world.session().plan()


def test_only_what_is_not_in_place_is_looked_at_whole() -> None:
    world = World(environment("one", "two"))
    world.session().apply()
    world.sources["two"] = listing("2")
    world.looks.clear()
    world.session().plan()
    assert sorted(world.looks) == [
        ("one", "list"),
        ("one", "look at one in place"),
        ("two", "list"),
        ("two", "look"),
    ]


def test_a_set_whose_volume_was_made_anew_is_looked_at_whole() -> None:
    world = World(environment("one"))
    world.session().apply()
    [name] = world.claims
    world.claims[name] = replace(world.claims[name], uid="uid-of-another")
    world.looks.clear()
    world.session().plan()
    assert world.looks == [("one", "list"), ("one", "look")]


def test_where_the_cluster_remembers_nothing_every_model_is_looked_at_whole() -> None:
    world = World(environment("one"))
    world.session().apply()
    world.receipts.clear()
    world.looks.clear()
    world.session().plan()
    assert world.looks == [("one", "list"), ("one", "look")]
