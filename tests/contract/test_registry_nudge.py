"""What happens after the operator ended ``Failed``, in memory."""

from dataclasses import replace

import pytest

from support.registry_places import LIMITS, THEIRS, InMemory, Meddled, QuickClock, entry, memory, models
from weighbridge.core.events import Event, Warned
from weighbridge.errors import StepFailedError
from weighbridge.watsonx.reconciling import ReconcilingRegistry


def asked(said: list[Event]) -> list[str]:
    """What was announced of asking the operator again."""
    return [event.text for event in said if isinstance(event, Warned) and "look again" in event.text]


class Failing(QuickClock):
    """Time that passes for an operator in memory: it answers the edits at ``answers`` with the given states, each some
    seconds after the edit.
    """

    def __init__(self, place: InMemory, *answers: str, message: str = "'ours': no claim") -> None:
        super().__init__(place)
        self.message = message
        self.memory, self.answers = place, list(answers)
        self.generation, self.since, self.ended = place.cr["metadata"]["generation"], 0.0, 0

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.memory.server.tick(seconds)
        generation = self.memory.cr["metadata"]["generation"]
        if generation == self.generation:
            self.since = self.now
        elif self.now - self.since > 3 and self.answers:
            self.generation, self.ended = generation, self.ended + 1
            state = self.answers.pop(0)
            self.memory.server.put_status(
                state, completion=f"u{self.ended}", message=self.message if state == "Failed" else ""
            )


def failing(*answers: str, message: str = "'ours': no claim") -> tuple[InMemory, ReconcilingRegistry]:
    """As :func:`memory`, with an operator that gives these answers."""
    place, ours = memory()
    return place, replace(
        ours, clock=Failing(place, *answers, message=message), limits=replace(LIMITS, reconcile=90)
    )


def test_an_operator_that_failed_is_asked_once_and_its_second_answer_counts() -> None:
    place, ours = failing("Failed", "Completed")
    ours.write((), [entry("ours")])
    said: list[Event] = []
    assert ours.await_reconciled(said.append).startswith("Completed")
    [announced] = asked(said)
    assert "'ours': no claim" in announced
    assert "the entry of ours" in announced
    assert [row["model_id"] for row in models(place)] == ["theirs", "ours", "others"]
    assert [row for row in models(place) if row["model_id"] != "ours"] == THEIRS
    assert not place.cr["metadata"].get("annotations")
    assert not ours.unconfirmed()
    assert ours.write((), [entry("ours")]).changes == (), "its place in the list is nothing to mend"


def test_a_second_failure_is_the_steps_and_names_our_models() -> None:
    place, ours = failing("Failed", "Failed", "Completed")
    ours.write((), [entry("ours")])
    said: list[Event] = []
    with pytest.raises(StepFailedError, match="it names ours of environment stage") as caught:
        ours.await_reconciled(said.append)
    assert (caught.value.code, len(asked(said))) == ("operator-failed", 1)
    assert ours.unconfirmed(), "the next apply waits, and asks, again"
    assert ours.await_reconciled(said.append).startswith("Completed")
    assert len(asked(said)) == 2
    assert [row["model_id"] for row in models(place)] == ["theirs", "others", "ours"]


def test_a_failure_of_before_is_asked_about_though_nothing_of_ours_changes() -> None:
    place, ours = failing("Completed", "Failed", "Completed")
    ours.write((), [entry("ours")])
    ours.await_reconciled(lambda _: None)
    place.edit([{"op": "add", "path": "/spec/somebody", "value": "else"}])
    ours.clock.sleep(1)
    ours.clock.sleep(5)
    wanted = (entry("ours").value(),)
    assert "no claim" in str(ours.look(wanted, frozenset()).unreconciled)
    said: list[Event] = []
    assert ours.await_reconciled(said.append).startswith("Completed")
    assert len(asked(said)) == 1
    assert ours.look(wanted, frozenset()).unreconciled is None


def test_nobody_is_asked_where_nothing_of_ours_stands_or_the_owner_forbids_it() -> None:
    place, ours = failing("Completed", "Failed")
    ours.write((), [entry("ours")])
    ours.await_reconciled(lambda _: None)
    ours.write((), [])
    said: list[Event] = []
    with pytest.raises(StepFailedError, match="environment stage has no entry there"):
        ours.await_reconciled(said.append)
    place, ours = failing("Failed")
    ours.write((), [entry("ours")])
    place.edit([{"op": "add", "path": "/spec/shutdown", "value": "true"}])
    with pytest.raises(StepFailedError, match="no claim"):
        ours.await_reconciled(said.append)
    assert asked(said) == []
    assert models(place) == [*THEIRS, entry("ours").value()]


def test_an_entry_alone_in_the_list_comes_back_whoever_writes_in_between() -> None:
    place, ours = failing("Failed", "Completed")
    place.edit([{"op": "replace", "path": "/spec/custom_foundation_models", "value": []}])
    late = {"model_id": "late", "location": {"pvc_name": "team-b-models"}}
    ours.write((), [entry("ours")])

    def meddle() -> None:
        if models(place) == []:
            place.edit([{"op": "add", "path": "/spec/custom_foundation_models/-", "value": late}])

    ours = replace(ours, kube=Meddled(place.api, before_patch=meddle))
    assert ours.await_reconciled(lambda _: None).startswith("Completed")
    assert models(place) == [late, entry("ours").value()]


def test_a_failure_for_an_entry_of_others_alone_is_warned_of_and_the_run_goes_on() -> None:
    message = "custom foundation model 'theirs': claim 'team-b-models' is not bound"
    _, ours = failing("Failed", message=message)
    ours.write((), [entry("ours")])
    said: list[Event] = []
    assert "others alone" in ours.await_reconciled(said.append)
    [warned] = [event.text for event in said if isinstance(event, Warned)]
    assert message in warned
    assert asked(said) == [], "nothing of ours is moved for it"
    state = ours.look((entry("ours").value(),), frozenset())
    assert state.unreconciled is None
    assert any(message in text for text in state.warnings)
    assert not ours.unconfirmed()


@pytest.mark.parametrize(
    "message",
    [
        "custom foundation models 'theirs', 'ours': no claim",
        "model 'theirs' and 1 more failed",
        "model 'theirs' failed: team-a-models is not bound",
        "no space left on the volume",
        "model 'theirs' is fine; model 'unknown' failed",
    ],
)
def test_a_failure_that_may_be_ours_fails_as_ever(message: str) -> None:
    _, ours = failing("Failed", "Failed", message=message)
    ours.write((), [entry("ours")])
    with pytest.raises(StepFailedError) as caught:
        ours.await_reconciled(lambda _: None)
    assert caught.value.code == "operator-failed"


def test_a_failure_for_others_does_not_hide_that_ours_was_changed() -> None:
    place, ours = failing("Failed", message="model 'theirs': no claim")
    ours.write((), [entry("ours")])
    place.edit([{"op": "add", "path": "/spec/custom_foundation_models/2/tags", "value": ["edited"]}])
    with pytest.raises(StepFailedError) as caught:
        ours.await_reconciled(lambda _: None)
    assert caught.value.code == "registration-overwritten"
