"""The verbs under the right to change an environment: who has to have it, and what its loss does."""

from collections.abc import Callable

import pytest

from support.world import World, environment, listing
from weighbridge import cli
from weighbridge.core.events import Warned
from weighbridge.core.session import Session
from weighbridge.core.step import Request
from weighbridge.domain.lease import LockRequest
from weighbridge.errors import InputError, PreconditionError, StepFailedError


def applied_world() -> World:
    world = World(environment("one", "two"))
    world.session().apply()
    world.calls.clear()
    world.held_for.clear()
    return world


@pytest.mark.parametrize(
    ("verb", "call"),
    [
        ("apply", lambda session: session.apply()),
        ("verify", lambda session: session.verify()),
        ("destroy", lambda session: session.destroy()),
    ],
)
def test_what_writes_is_refused_while_another_run_is_under_way_and_else_holds_the_environment(
    verb: str, call: Callable[[Session], object]
) -> None:
    world = applied_world()
    world.other_run = "`apply` of jo@laptop"
    with pytest.raises(PreconditionError, match="jo@laptop"):
        call(world.session())
    assert (world.calls, world.held_for) == ([], [])

    world.other_run = None
    call(world.session())
    assert world.held_for == [verb]


def test_what_only_looks_is_never_refused_and_says_whose_run_is_under_way() -> None:
    world = applied_world()
    world.other_run = "`apply` of jo@laptop"
    assert world.session().plan().warnings == ("a run is under way: `apply` of jo@laptop",)
    assert world.session().status().warnings == ("a run is under way: `apply` of jo@laptop",)
    assert world.held_for == []


def test_who_takes_over_runs_and_says_so() -> None:
    world = applied_world()
    world.other_run = "`apply` of jo@laptop"
    world.session().apply(lock_request=LockRequest(take_over=True))
    assert Warned("taken over, as asked, from `apply` of jo@laptop") in world.events
    assert world.held_for == ["apply"]


@pytest.mark.parametrize(
    ("during", "begun"),
    [
        ("up storage", ["up storage"]),
        ("sync one fetch", ["up storage", "sync one fetch"]),
        ("sync two fetch", ["up storage", "sync one fetch", "sync two fetch"]),
        ("await", ["up storage", "sync one fetch", "sync two fetch", "up registration", "await"]),
    ],
)
def test_a_run_that_lost_the_environment_begins_no_further_step_and_ends_what_is_under_way(
    during: str, begun: list[str]
) -> None:
    world = World(environment("one", "two"), loses_during=during)
    with pytest.raises(StepFailedError) as lost:
        world.session().apply()
    assert (lost.value.code, lost.value.exit_code) == ("lease-lost", 4)
    assert world.calls == begun
    assert world.cancelled.is_set()
    assert world.held_for == ["apply"]


def test_a_destroy_that_lost_the_environment_deletes_no_volume() -> None:
    world = applied_world()
    world.loses_during = "destroy registration"
    with pytest.raises(StepFailedError, match="lost environment"):
        world.session().destroy(Request(typed=frozenset({"test-one-weights", "test-two-weights"})))
    assert "destroy storage unprotected" not in world.calls
    assert set(world.claims) == {"test-one-weights", "test-two-weights"}


def test_what_a_dead_run_left_is_settled_before_anything_is_planned_or_written() -> None:
    world = applied_world()
    world.unsettled = PreconditionError("the lock of a run elsewhere", code="stack-locked")
    for call in (world.session().apply, world.session().destroy):
        with pytest.raises(PreconditionError, match="the lock of a run elsewhere"):
            call()
    assert world.calls == []
    assert world.held_for == ["apply", "destroy"]


def test_what_a_dead_run_left_of_finished_models_goes_and_a_job_still_at_work_stays() -> None:
    world = applied_world()
    world.sources["two"] = listing("2")
    world.unfinished = frozenset({"one", "two"})
    world.session().apply()
    assert world.calls[0] == "tidy one"
    assert world.unfinished == {"two"}, "its sync goes on with what is there"

    world.calls.clear()
    world.session().destroy()
    assert world.calls[0] == "tidy two"


def test_a_run_that_lost_the_environment_removes_nothing_more() -> None:
    world = applied_world()
    world.unfinished = frozenset({"one", "two"})
    world.loses_during = "tidy one"
    with pytest.raises(StepFailedError, match="lost environment"):
        world.session().apply()
    assert world.calls == ["tidy one"]


def test_wrong_input_is_found_before_anybody_is_asked_for_the_environment() -> None:
    world = applied_world()
    world.other_run = "`apply` of jo@laptop"
    with pytest.raises(InputError):
        world.session().apply(Request(adopt=frozenset({"unknown"})))


@pytest.mark.parametrize("verb", ["apply", "verify", "destroy"])
def test_the_command_line_refuses_at_once_unless_it_is_told_to_wait_or_to_take_over(verb: str) -> None:
    plain = cli.parser().parse_args([verb, "stage"])
    assert (plain.wait, plain.take_over) == (0.0, False)
    told = cli.parser().parse_args([verb, "stage", "--wait", "90", "--take-over"])
    assert (told.wait, told.take_over) == (90.0, True)


@pytest.mark.parametrize("wait", ["-1", "inf", "nan", "long"])
def test_a_wait_without_an_end_is_wrong_input(wait: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        cli.parser().parse_args(["apply", "stage", f"--wait={wait}"])
    assert refused.value.code == 2
    assert "--wait" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["plan", "status", "check", "render"])
def test_what_only_looks_has_nothing_to_wait_for(verb: str) -> None:
    with pytest.raises(SystemExit):
        cli.parser().parse_args([verb, "stage", "--wait", "1"])
