"""The orchestrator on fakes of its ports: order, idempotence, what one model's failure does to the others."""

import os
import signal
import threading
import time
from dataclasses import replace
from typing import Any, cast

import pytest

from support.world import World, environment, listing
from weighbridge import messages, screens
from weighbridge.core.events import Warned
from weighbridge.core.step import Request
from weighbridge.domain.claims import ClaimFacts
from weighbridge.domain.digest import Json
from weighbridge.environment.types import Route
from weighbridge.errors import InputError, PreconditionError, StepFailedError


def test_first_apply_declares_brings_in_registers_and_waits_in_this_order() -> None:
    world = World(environment("one", "two"))

    applied = world.session().apply()

    assert world.calls == ["up storage", "sync one fetch", "sync two fetch", "up registration", "await"]
    assert applied.complete
    assert [entry["model_id"] for entry in world.entries] == ["theirs", "one", "two"]


def test_second_apply_writes_nothing() -> None:
    world = World(environment("one", "two"))
    world.session().apply()
    world.calls.clear()

    applied = world.session().apply()

    assert world.calls == []
    assert not applied.changed
    assert not applied.plan.pending
    assert [result.outcome.word for result in applied.results] == ["unchanged"] * 5


def test_an_edit_of_our_entry_is_pending_and_mended_without_moving_a_byte() -> None:
    world = World(environment("one"))
    world.session().apply()
    world.calls.clear()
    world.entries[-1]["tags"] = ["edited"]

    assert world.session().plan().pending
    world.session().apply()

    assert world.calls == ["up registration", "await"]
    assert "tags" not in world.entries[-1]


def test_a_changed_source_is_brought_in_beside_the_old_set_and_registered_anew() -> None:
    world = World(environment("one"))
    world.session().apply()
    before = world.entries[-1]["location"]
    world.calls.clear()
    world.sources["one"] = listing("2")

    plan = world.session().plan()
    world.session().apply()

    assert plan.bytes_to_move == listing("2").total_bytes
    assert world.calls == ["sync one fetch", "up registration", "await"]
    assert world.entries[-1]["location"] != before


def test_a_damaged_file_is_all_there_is_to_move() -> None:
    world = World(environment("one"))
    world.session().apply()
    world.flipped["one"] = ("config.json",)
    verified = world.session().verify()
    assert verified.damaged == ("one",)
    assert "    config.json" in verified.items[0].lines

    plan = world.session().plan()

    assert plan.bytes_to_move == 10
    assert "config.json" in next(step.reason for step in plan.steps if step.pending)


def test_a_volume_that_was_made_anew_does_not_count_as_holding_the_set() -> None:
    world = World(environment("one"))
    world.session().apply()
    [(name, claim)] = world.claims.items()
    world.claims[name] = replace(claim, uid="another")

    plan = world.session().plan()

    assert [step.value.kind for step in plan.steps if step.pending] == ["sync-weights"]


def test_one_model_that_fails_leaves_the_other_registered_and_itself_as_it_was() -> None:
    world = World(environment("one", "two"))
    world.session().apply()
    old = dict(world.ours["one"])
    world.sources = {"one": listing("2"), "two": listing("2")}
    world.broken["one"] = PreconditionError("the disk is gone")

    applied = world.session().apply()

    assert [str(failure.error.what) for failure in applied.failures] == ["the disk is gone"]
    assert world.ours["one"] == old
    assert world.ours["two"]["location"] != old["location"]
    assert str(world.receipts["two"].sub_path) in str(world.ours["two"])


def test_a_model_that_never_arrived_is_not_registered() -> None:
    world = World(environment("one", "two"))
    world.broken["one"] = PreconditionError("no")

    world.session().apply()

    assert list(world.ours) == ["two"]


def test_where_no_model_arrived_nothing_is_registered_and_nobody_is_waited_for() -> None:
    world = World(environment("one"))
    world.broken["one"] = PreconditionError("no")

    applied = world.session().apply()

    assert world.calls == ["up storage", "sync one fetch"]
    assert len(applied.failures) == 1


def test_the_next_route_is_tried_where_one_declines() -> None:
    world = World(environment("one", routes=("fetch", "push")))
    world.declining[Route.FETCH] = "the cluster cannot reach the source"

    applied = world.session().apply()

    assert "sync one push" in world.calls
    assert applied.complete


def test_no_route_left_is_a_failure_that_gives_every_reason() -> None:
    world = World(environment("one"))
    world.declining[Route.FETCH] = "the cluster cannot reach the source"

    applied = world.session().apply()

    assert "fetch: the cluster cannot reach the source" in applied.failures[0].error.what


def test_destroy_takes_only_ours_and_keeps_the_volumes() -> None:
    world = World(environment("one"))
    world.session().apply()
    world.calls.clear()

    destroyed = world.session().destroy()

    assert world.calls == ["destroy registration", "await"]
    assert [entry["model_id"] for entry in world.entries] == ["theirs"]
    assert destroyed.message["kept_claims"] == ["test-one-weights"]


def test_destroy_of_weights_needs_every_claim_by_name() -> None:
    world = World(environment("one", "two"))
    world.session().apply()
    world.calls.clear()

    with pytest.raises(InputError, match="test-two-weights"):
        world.session().destroy(Request(typed=frozenset({"test-one-weights"})))
    assert world.calls == []

    world.session().destroy(Request(typed=frozenset({"test-one-weights", "test-two-weights"})))
    assert world.calls == ["destroy registration", "await", "destroy storage unprotected", "forget test"]


def test_destroy_of_weights_deletes_no_claim_whose_name_was_not_typed() -> None:
    world = World(environment("one", "two"))
    world.session().apply()
    world.calls.clear()
    world.environment = environment("one")  # the file no longer declares two: its claim was promised to stay

    with pytest.raises(PreconditionError, match="test-two-weights"):
        world.session().destroy(Request(typed=frozenset({"test-one-weights"})))
    assert world.calls == []

    world.session().destroy(Request(typed=frozenset({"test-one-weights", "test-two-weights"})))
    assert world.claims == {}


def test_destroy_with_a_lost_state_does_not_claim_that_the_entries_are_gone() -> None:
    world = World(environment("one"))
    world.session().apply()
    world.declared.clear()
    world.calls.clear()

    with pytest.raises(PreconditionError, match="one is still registered"):
        world.session().destroy(Request(typed=frozenset({"test-one-weights"})))

    assert world.calls == ["destroy registration"]
    assert "test-one-weights" in world.claims


def test_destroy_of_weights_that_the_state_has_lost_is_no_success_and_forgets_no_receipt() -> None:
    world = World(environment("one"))
    world.session().apply()
    del world.declared["storage"]

    with pytest.raises(StepFailedError, match="test-one-weights still stands"):
        world.session().destroy(Request(typed=frozenset({"test-one-weights"})))

    assert "one" in world.receipts


def test_an_old_verdict_is_not_given_for_a_model_that_could_not_be_read() -> None:
    world = World(environment("one"))
    world.session().apply()
    world.flipped["one"] = ("config.json",)
    assert world.session().verify().exit_code == 5
    world.unreadable["one"] = StepFailedError("the API server is away")

    again = world.session().verify()

    assert (again.exit_code, again.damaged) == (4, ())


def test_one_refused_model_beside_one_that_holds_already_is_a_failed_step_not_a_refusal() -> None:
    world = World(environment("one", "two"))
    world.session().apply()
    world.sources["one"] = listing("2")
    world.refused["one"] = PreconditionError("the image cannot be pulled")
    assert world.session().apply().exit_code == 4

    world.sources["two"] = listing("2")
    world.refused["two"] = PreconditionError("the image cannot be pulled")
    assert world.session().apply().exit_code == 3


def test_verify_refuses_where_nothing_was_ever_published() -> None:
    world = World(environment("one"))

    with pytest.raises(PreconditionError, match="nothing to verify of one") as refused:
        world.session().verify()

    assert refused.value.exit_code == 3


def test_adopting_a_model_that_the_file_does_not_declare_is_wrong_input() -> None:
    with pytest.raises(InputError, match="does not declare"):
        World(environment("one")).session().plan(Request(adopt=frozenset({"other"})))


def test_an_interruption_while_previews_run_ends_them() -> None:
    world = World(environment("one"), slow_seconds=10)
    began = time.monotonic()
    threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT]).start()

    with pytest.raises(KeyboardInterrupt):
        world.session().plan()

    assert time.monotonic() - began < 5
    assert world.cancelled.is_set()


def test_the_same_plan_has_the_same_digest_and_a_changed_source_another() -> None:
    one, two = World(environment("one")), World(environment("one"))
    assert one.session().plan().digest == two.session().plan().digest

    two.sources["one"] = listing("2")

    assert one.session().plan().digest != two.session().plan().digest


def test_a_claim_of_our_name_that_somebody_else_made_is_not_taken_over() -> None:
    world = World(environment("one"))
    world.claims["test-one-weights"] = ClaimFacts(
        name="test-one-weights",
        uid="theirs",
        phase="Bound",
        requested_bytes=1,
        storage_class="fast",
        owner=None,
    )

    with pytest.raises(PreconditionError, match="that somebody else made"):
        world.session().apply()

    assert world.calls == []


def test_a_claim_of_ours_that_the_state_has_lost_is_taken_back() -> None:
    world = World(environment("one"))
    world.session().apply()
    world.declared.clear()
    world.events.clear()

    plan = world.session().plan()
    assert (plan.previews["storage"].taken_back, plan.previews["registration"].taken_back) == (
        ("test-one-weights",),
        ("watsonxaiifm-cr",),
    )
    screen = screens.plan_screen(plan, "test")
    assert "< t watsonxaiifm-cr  (in the cluster, not in the state: will be taken into the state)" in screen
    applied = world.session().apply()

    assert applied.complete
    assert applied.changed
    details = {result.planned.value.title: result.outcome.detail for result in applied.results}
    assert details["stack storage"] == "test-one-weights taken into the state as it stands"
    assert "await" not in world.calls[4:], "what did not change is not waited for"


def test_an_interrupted_destroy_is_waited_for_by_the_next_one() -> None:
    world = World(environment("one"))
    world.session().apply()
    world.interrupting = True
    with pytest.raises(KeyboardInterrupt):
        world.session().destroy()
    world.calls.clear()

    destroyed = world.session().destroy()

    assert world.calls == ["destroy registration", "await"]
    assert destroyed.message["operator"] == "Completed, 100 %"
    assert world.session().destroy().message["operator"] == "nothing was registered"


def test_a_destroy_whose_state_is_lost_says_so_before_it_waits_for_anybody() -> None:
    world = World(environment("one"))
    world.session().apply()
    world.declared.clear()
    world.reconciled = False
    world.calls.clear()

    with pytest.raises(PreconditionError, match="one is still registered"):
        world.session().destroy()

    assert world.calls == ["destroy registration"]


def test_a_destroy_that_left_an_edited_entry_of_ours_behind_is_no_success() -> None:
    world = World(environment("one"))
    world.session().apply()
    world.entries[-1] = {**world.entries[-1], "tags": ["edited"]}
    world.declared.clear()

    with pytest.raises(PreconditionError, match="one is still registered"):
        world.session().destroy()


def test_a_model_that_fails_keeps_what_stands_and_what_was_edited_of_it_is_mended() -> None:
    world = World(environment("one", "two"))
    world.session().apply()
    written = dict(world.ours["one"])
    world.entries[1] = {**world.entries[1], "tags": ["edited"]}
    world.sources = {"one": listing("2"), "two": listing("2")}
    world.broken["one"] = PreconditionError("the disk is gone")

    world.session().apply()

    assert world.entries[1] == written


def test_status_shows_the_entry_that_stands_and_whose_it_is() -> None:
    world = World(environment("one", "two", "three"))
    world.session().apply()
    edited: dict[str, Json] = {**world.entries[1], "tags": ["edited"]}
    world.entries[1] = edited
    del world.ours["two"]  # nothing shows that it is ours
    world.entries = [entry for entry in world.entries if entry["model_id"] != "three"]

    status = world.session().status()
    message = messages.status_message(status, "test")
    screen = screens.status_screen(status)

    rows = {row["model"]: row for row in cast("dict[str, Any]", message)["models"]}
    assert [(row["registered"], row["entry_owner"]) for row in rows.values()] == [
        (True, "edited"),
        (False, "foreign"),
        (False, None),
    ]
    assert rows["one"]["entry"] == edited
    assert "one  (ours, edited since by somebody)" in screen
    assert "two  (not ours)" in screen
    assert "! one: verified" in screen, "an edited entry is nothing to be content with"


def test_who_else_keeps_the_resource_is_said_by_plan_and_apply() -> None:
    world = World(environment("one"), warnings=("it is kept by Argo CD",))

    plan = world.session().plan()
    applied = world.session().apply()

    assert "it is kept by Argo CD" in screens.plan_screen(plan, "test")
    assert Warned("it is kept by Argo CD") in world.events
    for message in (messages.plan_message(plan), messages.applied_message(applied, 0)):
        assert isinstance(message, dict)
        assert message["warnings"] == ["it is kept by Argo CD"]
