"""Several models at once: all are brought in and verified, one's failure is its own, and an interruption ends them all."""

import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from support.environment_texts import SANDBOX
from support.world import FakeCluster, World, environment
from weighbridge.core.events import Note, StepEnded, StepStarted
from weighbridge.domain.quotas import room
from weighbridge.environment.file import load
from weighbridge.errors import (
    InputErrors,
    InterruptedByUserError,
    PreconditionError,
    StepFailedError,
)
from weighbridge.steps import SECTIONS
from weighbridge.transfers import TRANSFERS, models_at_once, pod_need

PATIENCE = 20.0
THREE = ("one", "two", "three")


def several(*models: str, at_once: int) -> World:
    return World(environment(*models, transfers={"models": at_once}))


def together(count: int) -> Callable[[str], None]:
    """Nobody goes on before so many are under way at once."""
    barrier = threading.Barrier(count)

    def meanwhile(_: str) -> None:
        barrier.wait(PATIENCE)

    return meanwhile


def words(world: World) -> dict[str, str]:
    return {event.title: event.outcome for event in world.events if isinstance(event, StepEnded)}


def test_two_models_are_brought_in_at_the_same_time() -> None:
    world = several("one", "two", at_once=2)
    world.meanwhile = together(2)
    applied = world.session().apply()
    assert (applied.complete, set(world.receipts), set(world.ours)) == (True, {"one", "two"}, {"one", "two"})
    titles = [result.planned.value.title for result in applied.results]
    assert titles[1:3] == ["weights one", "weights two"]


def test_where_one_fails_the_other_arrives() -> None:
    world = several("one", "two", at_once=2)
    world.meanwhile = together(2)
    world.broken["one"] = PreconditionError("the disk is gone")
    applied = world.session().apply()
    assert (applied.exit_code, set(world.ours)) == (4, {"two"})
    assert (words(world)["weights one"], words(world)["weights two"]) == ("failed", "done")


@pytest.mark.parametrize("code", ["unschedulable", "quota-exceeded", "volume-not-mounted"])
def test_where_the_cluster_has_room_for_one_the_other_is_tried_again_alone(code: str) -> None:
    world = several("one", "two", at_once=2)
    both, tries = together(2), {"sync one": 0, "sync two": 0}

    def meanwhile(what: str) -> None:
        tries[what] += 1
        if tries[what] == 1:
            both(what)
            if what == "sync two":
                raise StepFailedError("no node takes pod two", code=code)

    world.meanwhile = meanwhile
    applied = world.session().apply()
    assert (applied.complete, set(world.receipts), set(world.ours)) == (True, {"one", "two"}, {"one", "two"})
    assert tries == {"sync one": 1, "sync two": 2}
    assert "no node takes pod two: once more, with nothing beside it" in {
        event.text for event in world.events if isinstance(event, Note)
    }


def test_where_it_fails_alone_too_it_has_failed() -> None:
    world = several("one", "two", at_once=2)
    world.broken["two"] = StepFailedError("no node takes pod two", code="unschedulable")
    applied = world.session().apply()
    assert (applied.exit_code, set(world.ours)) == (4, {"one"})
    ended = [
        event.outcome
        for event in world.events
        if isinstance(event, StepEnded) and event.title == "weights two"
    ]
    assert ended == ["failed", "failed"]


def test_a_verification_that_found_no_room_is_tried_again_alone() -> None:
    world = several("one", "two", at_once=2)
    world.session().apply()
    refused = [StepFailedError("no node takes pod two", code="unschedulable")]

    def meanwhile(what: str) -> None:
        if what == "verify two" and refused:
            raise refused.pop()

    world.meanwhile = meanwhile
    assert [item.outcome.word for item in world.session().verify().items] == ["done", "done"]


def test_at_most_so_many_are_under_way() -> None:
    world = several(*THREE, at_once=2)
    most, under_way = [0], threading.Semaphore(2)

    def meanwhile(_: str) -> None:
        assert under_way.acquire(blocking=False), "a third one"
        threading.Event().wait(0.05)
        most[0] += 1
        under_way.release()

    world.meanwhile = meanwhile
    assert world.session().apply().complete
    assert most == [3]


def interrupts(world: World, count: int) -> Callable[[str], None]:
    """Ctrl-C as soon as so many are under way; then each waits until it is told to end."""
    barrier = threading.Barrier(count, action=lambda: signal.raise_signal(signal.SIGINT))

    def meanwhile(what: str) -> None:
        barrier.wait(PATIENCE)
        assert world.interrupted.wait(PATIENCE), "nobody told it to end"
        raise InterruptedByUserError(f"{what} was interrupted")

    return meanwhile


def test_an_interruption_ends_those_under_way_and_begins_no_other() -> None:
    world = several(*THREE, at_once=2)
    world.meanwhile = interrupts(world, 2)
    with pytest.raises(KeyboardInterrupt):
        world.session().apply()
    begun = {event.title for event in world.events if isinstance(event, StepStarted)}
    assert begun == {"stack storage", "weights one", "weights two"}
    assert (words(world)["weights one"], words(world)["weights two"]) == ("failed", "failed")
    assert world.held_for == ["apply"], "the environment was given back after they had ended"

    world.meanwhile = lambda _: None
    assert world.session().apply().complete, "the same command goes on"


def test_an_interruption_ends_verifications_too() -> None:
    world = several("one", "two", at_once=2)
    world.session().apply()
    world.meanwhile = interrupts(world, 2)
    with pytest.raises(KeyboardInterrupt):
        world.session().verify()
    assert world.held_for == ["apply", "verify"]


def test_the_loss_of_the_environment_ends_all_of_them() -> None:
    world = several("one", "two", at_once=2)

    def meanwhile(what: str) -> None:
        if what == "sync one":
            world.lost = True
            signal.raise_signal(signal.SIGINT)  # as the thread that renews the Lease does
        assert world.interrupted.wait(PATIENCE)
        raise InterruptedByUserError(f"{what} was interrupted")

    world.meanwhile = meanwhile
    with pytest.raises(StepFailedError) as lost:
        world.session().apply()
    assert lost.value.code == "lease-lost"


def test_one_at_a_time_stays_in_the_main_thread_in_the_order_of_the_file() -> None:
    world = several(*THREE, at_once=1)
    threads = []
    world.meanwhile = lambda what: threads.append((what, threading.current_thread()))
    world.session().apply()
    world.session().verify()
    main = threading.main_thread()
    assert threads == [(f"{verb} {model}", main) for verb in ("sync", "verify") for model in THREE]


def test_verifications_side_by_side_are_told_in_the_order_of_the_file() -> None:
    world = several(*THREE, at_once=3)
    world.session().apply()
    world.flipped["two"] = ("config.json",)
    later = threading.Event()

    def meanwhile(what: str) -> None:
        if what == "verify three":
            later.set()
        assert later.wait(PATIENCE), "the first waits for the last"

    world.meanwhile = meanwhile
    verified = world.session().verify()
    assert [item.item for item in verified.items] == [*THREE]
    assert (verified.exit_code, verified.damaged) == (5, ("two",))
    recorded = {facts["model"]: facts["outcome"] for event, facts in world.journal if event == "verified"}
    assert recorded == {"one": "done", "two": "failed", "three": "done"}
    assert {f"verify {model}" for model in THREE} <= words(world).keys()


# -- how many ------------------------------------------------------------------------------------------------------------


def quota(hard: dict[str, str], used: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    return {"spec": {"hard": hard, **spec}, "status": {"hard": hard, "used": used or {}}}


@pytest.mark.parametrize(
    ("quotas", "width"),
    [
        (None, 1),
        ((), 4),
        ((quota({"requests.nvidia.com/gpu": "0"}),), 4),
        ((quota({"pods": "10"}, {"pods": "7"}),), 3),
        ((quota({"pods": "10"}, {"pods": "7"}), quota({"requests.memory": "1Gi"}, {"requests.memory": "512Mi"})), 2),
        ((quota({"limits.cpu": "100"}),), 4),
        ((quota({"count/jobs.batch": "1"}),), 1),
        ((quota({"pods": "3"}, {"pods": "3"}),), 1),
        ((quota({"pods": "3"}, {"pods": "9"}),), 1),
        ((quota({"pods": "1"}, scopes=["BestEffort"]),), 4),
    ],
)  # fmt: skip
def test_without_a_word_it_is_as_many_as_the_quotas_leave_room_for_and_four_at_most(
    quotas: Sequence[dict[str, Any]] | None, width: int
) -> None:
    world = World(environment("one"), quotas=quotas)
    assert models_at_once(world.environment, FakeCluster(world)) == width


def test_a_quota_that_is_used_up_has_no_room() -> None:
    need = pod_need(environment("one"))
    assert room([quota({"pods": "3"}, {"pods": "9"})], need) == 0
    assert room([], need) is None


def found(text: str, folder: Path) -> str:
    path = folder / "sandbox.yaml"
    path.write_text(text)
    with pytest.raises(InputErrors) as refused:
        load(str(path), folder, SECTIONS)
    return str(refused.value)


@pytest.mark.parametrize(
    ("section", "key", "remedy"),
    [
        ("{models: 0}", "transfers.models", "write a number from 1 to 16"),
        ("{models: 17}", "transfers.models", "write a number from 1 to 16"),
        ("{models: four}", "transfers.models", "whole number"),
        ("{model: 4}", "transfers.model", "did you mean models?"),
        ("{}", "transfers", "models"),
    ],
)
def test_a_mistake_is_shown_with_file_line_and_key(
    section: str, key: str, remedy: str, tmp_path: Path
) -> None:
    line = len(SANDBOX.splitlines()) + 1
    text = found(f"{SANDBOX.rstrip()}\ntransfers: {section}\n", tmp_path)
    assert f"sandbox.yaml:{line}" in text
    assert key in text
    assert remedy in text


def test_what_the_file_says_is_read(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.yaml"
    path.write_text(f"{SANDBOX.rstrip()}\ntransfers: {{models: 3}}\n")
    read = TRANSFERS.read(load(str(path), tmp_path, SECTIONS).environment)
    assert read is not None
    assert read.models == 3
