"""Whose an entry is: crashes, refusals and lost races between each two steps of a write, while others write as they like."""

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from support.api_server import refused
from support.registry_places import (
    THEIRS,
    InMemory,
    Meddled,
    entry,
    iter_once,
    memory,
    models,
    operator_answers,
    registry,
)
from weighbridge.core.events import Event, Warned
from weighbridge.errors import ForbiddenError, PreconditionError, StepFailedError, WeighbridgeError
from weighbridge.watsonx.entry import Entry
from weighbridge.watsonx.ownership import resolved
from weighbridge.watsonx.record import LAST_WRITE_KEY, parse_intents
from weighbridge.watsonx.refusals import EntriesRefusedError

LIST = "/spec/custom_foundation_models"


def killed(place: InMemory, *wanted: Entry, after: bool = False) -> None:
    """A run of ours that dies before its patch, or after it and before that is recorded."""
    died: Any = [None, KeyboardInterrupt()] if after else [KeyboardInterrupt()]
    api = Meddled(place.api, instead={"merge" if after else "json_patch": died})
    with pytest.raises(KeyboardInterrupt):
        registry(place, api).write((), wanted)


def others_add(place: InMemory, *added: Entry) -> None:
    for one in added:
        place.edit([{"op": "add", "path": f"{LIST}/-", "value": one.value()}])


def owner(place: InMemory, model_id: str = "ours") -> str | None:
    found = registry(place).look((), frozenset()).standing.get(model_id)
    return None if found is None else found.owner


NEVER: dict[str, Exception] = {
    "refused as invalid": refused(422, "no"),
    "refused": refused(400, "no"),
    "forbidden": ForbiddenError("no", code="cluster-forbidden"),
}


@pytest.mark.parametrize("answer", NEVER.values(), ids=NEVER)
def test_an_intent_that_was_refused_is_taken_back(answer: Exception) -> None:
    place, ours = memory()
    api = Meddled(place.api, instead={"json_patch": [answer] * 9})
    with pytest.raises(WeighbridgeError):
        registry(place, api).write((), [entry("ours")])
    assert place.server.intents() is None
    others_add(place, entry("ours"))
    assert owner(place) == "foreign"
    with pytest.raises(EntriesRefusedError, match="nothing shows that we did it"):
        ours.write((), [entry("ours")])
    ours.write((), [])
    assert models(place) == [*THEIRS, entry("ours").value()]


def test_a_refused_change_leaves_the_record_of_what_stands() -> None:
    place, ours = memory()
    ours.write((), [entry("ours")])
    operator_answers(place)
    ours.await_reconciled(lambda _: None)
    before = place.server.intents()
    api = Meddled(place.api, instead={"json_patch": [refused(422, "no")] * 9})
    with pytest.raises(StepFailedError, match="does not accept"):
        registry(place, api).write((), [entry("ours", tags=["new"])])
    assert place.server.intents() == before


@pytest.mark.parametrize("theirs", [entry("ours"), entry("ours", tags=["other"])], ids=["equal", "other"])
def test_a_race_that_is_lost_to_an_entry_of_our_id_is_theirs(theirs: Entry) -> None:
    place, ours = memory()
    api = Meddled(place.api, before_patch=iter_once(lambda: others_add(place, theirs)))
    with pytest.raises(EntriesRefusedError, match="registered already"):
        registry(place, api).write((), [entry("ours")])
    assert place.server.intents() is None
    assert owner(place) == "foreign"
    ours.write((), [])
    assert models(place)[-1] == theirs.value()


def test_a_write_that_never_came_through_leaves_no_record() -> None:
    place, _ = memory()
    api = Meddled(place.api, instead={"json_patch": [refused(409, "conflict")] * 100_000})
    with pytest.raises(StepFailedError, match="could not write"):
        registry(place, api).write((), [entry("ours")])
    assert place.server.intents() is None


@pytest.mark.parametrize("later", [False, True], ids=["at once", "after others wrote more"])
def test_an_equal_entry_of_others_after_a_run_that_died_before_its_patch_is_not_adopted(
    *, later: bool
) -> None:
    place, ours = memory()
    killed(place, entry("ours"))
    others_add(place, entry("ours"), *([entry("more")] if later else []))
    standing = models(place)
    assert owner(place) == "foreign"
    said: list[Event] = []
    if later:  # nobody can tell: it is as wanted, so it stays, and that is said
        state = ours.look((entry("ours").value(),), frozenset())
        assert ("ours", "foreign") in [(row.model_id, row.fate) for row in state.entries]
        assert any("--adopt ours" in text for text in state.warnings)
        ours.write((), [entry("ours")], observer=said.append)
        assert any("nothing shows that it is ours" in one.text for one in said if isinstance(one, Warned))
        with pytest.raises(EntriesRefusedError, match="nothing shows that it is ours") as caught:
            ours.write((), [entry("ours", tags=["new"])])
        assert caught.value.code == "entry-unproven"
    else:
        with pytest.raises(EntriesRefusedError, match="nothing shows that we did it"):
            ours.write((), [entry("ours")])
        assert place.server.intents() is None, "the stale intent is gone"
    ours.write((), [])
    assert models(place) == standing
    assert owner(place) == "foreign"
    ours.write((), [entry("ours", tags=["new"])], frozenset({"ours"}))
    assert entry("ours", tags=["new"]).value() in models(place)


def test_the_same_id_registered_by_others_after_a_run_that_died_before_its_patch_is_theirs() -> None:
    place, ours = memory()
    killed(place, entry("ours"))
    assert not ours.unconfirmed(), "nothing was written, so nothing is waited for"
    others_add(place, entry("ours", tags=["theirs"]))
    assert owner(place) == "foreign"
    assert [row.fate for row in ours.look((), frozenset()).entries] == ["foreign"] * 3
    ours.write((), [])
    assert models(place)[-1] == entry("ours", tags=["theirs"]).value()


def test_a_run_that_died_after_its_patch_is_finished_also_where_others_have_written_since() -> None:
    place, ours = memory()
    killed(place, entry("ours"), after=True)
    others_add(place, entry("more"))
    written = ours.write((), [entry("ours")])
    assert written.unproven == {"ours"}
    assert models(place) == [*THEIRS, entry("ours").value(), entry("more").value()]
    again = ours.write((), [entry("ours")], frozenset({"ours"}))
    assert again.unproven == frozenset()
    assert owner(place) == "ours"


def test_what_one_look_has_shown_of_an_interrupted_write_is_kept() -> None:
    place, ours = memory()
    killed(place, entry("ours"), after=True)
    operator_answers(place)
    ours.await_reconciled(lambda _: None)
    others_add(place, entry("more"))
    assert owner(place) == "ours"


def test_a_change_that_was_done_shows_that_what_was_added_with_it_is_ours() -> None:
    place, ours = memory()
    ours.write((), [entry("old")])
    killed(place, entry("old", tags=["new"]), entry("ours"), after=True)
    others_add(place, entry("more"))
    assert (owner(place, "old"), owner(place)) == ("ours", "ours")


def test_a_change_that_was_not_done_shows_that_what_was_to_be_added_with_it_is_theirs() -> None:
    place, ours = memory()
    ours.write((), [entry("old")])
    killed(place, entry("old", tags=["new"]), entry("ours"))
    others_add(place, entry("ours"), entry("more"))
    assert (owner(place, "old"), owner(place)) == ("ours", "foreign")
    ours.write((), [entry("old", tags=["new"])])
    assert entry("ours").value() in models(place)


def test_an_adoption_that_was_not_carried_out_leaves_the_entry_theirs() -> None:
    place, ours = memory()
    theirs = entry("ours", tags=["theirs"])
    others_add(place, theirs)
    api = Meddled(place.api, instead={"json_patch": [KeyboardInterrupt()]})  # type: ignore[list-item]
    with pytest.raises(KeyboardInterrupt):
        registry(place, api).write((), [entry("ours")], frozenset({"ours"}))
    assert owner(place) == "foreign"
    with pytest.raises(EntriesRefusedError, match="by somebody else"):
        ours.write((), [entry("ours")])
    ours.write((), [])
    assert models(place)[-1] == theirs.value()


@pytest.mark.parametrize("after", [False, True], ids=["before the patch", "after it"])
def test_what_others_register_after_an_interrupted_removal_is_theirs(*, after: bool) -> None:
    place, ours = memory()
    ours.write((), [entry("ours"), entry("stays")])
    killed(place, entry("stays"), after=after)
    if not after:
        assert owner(place) == "ours"
        return
    others_add(place, entry("ours", tags=["theirs"]))
    assert owner(place) == "foreign"
    ours.write((entry("ours"), entry("stays")), [])  # as a state that was not saved has it
    assert models(place) == [*THEIRS, entry("ours", tags=["theirs"]).value()]


def test_an_entry_that_others_removed_since_the_plan_is_not_put_back_unseen() -> None:
    place, ours = memory()
    ours.write((), [entry("ours")])
    place.edit([{"op": "remove", "path": f"{LIST}/2"}])
    seen = {"ours": entry("ours").digest, "new": ""}
    with pytest.raises(EntriesRefusedError, match="removed by somebody since the plan") as caught:
        ours.write((), [entry("ours"), entry("new")], seen=seen)
    assert caught.value.code == "entry-removed"
    assert models(place) == THEIRS
    ours.write((), [entry("ours"), entry("new")], seen={"ours": "", "new": ""})
    assert len(models(place)) == 4


def test_a_record_of_an_earlier_version_that_was_interrupted_counts_as_intended() -> None:
    place, ours = memory()
    killed(place, entry("ours"))
    data = place.server.intents()
    assert data is not None
    assert '"intended"' in data["_last-write"]
    raw = json.loads(data[LAST_WRITE_KEY])
    del raw["intended"]
    data[LAST_WRITE_KEY] = json.dumps(raw)
    old = parse_intents(data)
    assert resolved(old, ours.read()).models == {}
    others_add(place, entry("ours"))
    assert set(resolved(old, ours.read()).unproven) == {"ours"}


# -- any order of things


IDS = ("a", "b", "c")
AWAY = PreconditionError("no answer", code="cluster-unreachable")
DIED: Any = KeyboardInterrupt()
FAULTS: dict[str, dict[str, list[Exception | None]]] = {
    "none": {},
    "killed before the record": {"merge": [DIED]},
    "killed before the patch": {"json_patch": [DIED]},
    "killed after the patch": {"merge": [None, DIED]},
    "not recorded": {"merge": [None, StepFailedError("gone away")]},
    "lost the request": {"json_patch": [AWAY]},
    "refused": {"json_patch": [refused(422, "no")] * 9},
    "forbidden": {"json_patch": [ForbiddenError("no", code="cluster-forbidden")]},
}


class Owners(RuleBasedStateMachine):
    """Ours and theirs on one list. Who made an entry is known here, and to nobody else.

    Others never edit or remove what we made: then nobody could tell, and it is shown as ours, edited.
    """

    @initialize()
    def start(self) -> None:
        self.place, self.ours = memory()
        self.theirs: dict[str, Any] = {}
        self.wanted: dict[str, Entry] = {}
        self.late = 0

    def standing(self) -> dict[str, Any]:
        return {row["model_id"]: row for row in models(self.place)}

    @rule(model_id=st.sampled_from(IDS), tag=st.sampled_from(["1", "2"]))
    def others_register(self, model_id: str, tag: str) -> None:
        made, kept = entry(model_id, tags=[tag]), self.ours.intents()
        leaving = kept.mark is not None and kept.mark.intended is not None and model_id in kept.mark.removed
        if leaving and kept.models[model_id].entry == made:
            return  # what stands as we wrote it, in the middle of an interrupted removal, is ours
        if model_id not in self.standing():
            others_add(self.place, made)
            self.theirs[model_id] = made.value()

    @rule(model_id=st.sampled_from(IDS))
    def others_remove_theirs(self, model_id: str) -> None:
        if model_id in self.theirs:
            index = [row["model_id"] for row in models(self.place)].index(model_id)
            self.place.edit([{"op": "remove", "path": f"{LIST}/{index}"}])
            del self.theirs[model_id]

    @rule()
    def others_do_something_else(self) -> None:
        self.late += 1
        others_add(self.place, entry(f"late-{self.late}"))

    @rule()
    def the_operator_answers(self) -> None:
        operator_answers(self.place)

    def meddled(self, fault: str) -> Meddled:
        if fault != "lost the answer":
            return Meddled(
                self.place.api, instead={key: [*row] for key, row in FAULTS.get(fault, {}).items()}
            )
        inner, lost = self.place.api, [True]

        class Lossy(Meddled):
            def json_patch(self, *asked: Any) -> Any:
                found = inner.json_patch(*asked)
                if lost and lost.pop():
                    raise AWAY
                return found

        return Lossy(inner)

    @rule(
        wanted=st.dictionaries(st.sampled_from(IDS), st.sampled_from(["1", "2"])),
        fault=st.sampled_from(["raced", "lost the answer", *FAULTS]),
        rival=st.sampled_from(IDS),
        tag=st.sampled_from(["1", "2"]),
    )
    def we_write(self, wanted: dict[str, str], fault: str, rival: str, tag: str) -> None:
        new = [entry(key, tags=[value]) for key, value in wanted.items()]
        api = self.meddled(fault)
        if fault == "raced":
            api.before_patch = iter_once(lambda: self.others_register(rival, tag))
        before = copy.deepcopy(self.theirs)
        try:
            registry(self.place, api).write((), new)
        except (WeighbridgeError, KeyboardInterrupt):
            return
        assert all(row == self.theirs[key] for key, row in self.standing().items() if key in before)

    @rule()
    def a_status_is_asked_for(self) -> None:
        self.ours.look((), frozenset())

    @precondition(lambda self: self.place.server.intents() is not None)
    @rule()
    def a_wait_begins(self) -> None:
        self.ours.unconfirmed()

    @invariant()
    def theirs_stand_as_they_made_them(self) -> None:
        if hasattr(self, "place"):
            standing = self.standing()
            assert {key: standing.get(key) for key in self.theirs} == self.theirs

    @invariant()
    def theirs_are_never_shown_as_ours(self) -> None:
        if hasattr(self, "place"):
            shown = self.ours.look((), frozenset()).standing
            assert {key for key in self.theirs if shown[key].owner != "foreign"} == set()

    @invariant()
    def others_stand_before_everything(self) -> None:
        if hasattr(self, "place"):
            assert [row for row in models(self.place) if row in THEIRS] == THEIRS


Owners.TestCase.settings = settings(
    max_examples=100, stateful_step_count=12, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestOwners = Owners.TestCase
