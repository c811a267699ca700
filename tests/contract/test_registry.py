"""The registry against an API server in memory and against the sandbox's real one: the same cases, the same answers."""

import json
import os
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from lightkube import Client, KubeConfig

from support.api_server import FakeApiServer, refused
from support.login import ADMINISTRATOR, granted
from support.registry_places import (
    LIMITS,
    SPEC,
    THEIRS,
    InMemory,
    Meddled,
    Place,
    QuickClock,
    Real,
    entry,
    intents,
    iter_once,
    memory,
    models,
    operator_answers,
    registry,
)
from weighbridge.core.events import Event, Note, Warned
from weighbridge.errors import PreconditionError, StepFailedError
from weighbridge.kubernetes.client import WATSONX_IFM, Kind, Object, connect
from weighbridge.watsonx.entry import Entry
from weighbridge.watsonx.reconciled import Pace
from weighbridge.watsonx.record import UnrecordedWriteError
from weighbridge.watsonx.refusals import EntriesRefusedError
from weighbridge.watsonx.registry import WatsonxRegistry
from weighbridge_sandbox.layout import Layout
from weighbridge_sandbox.tenancy import create_operands, delete_operands


@pytest.fixture(scope="module")
def real(sandbox: Layout) -> Iterator[Real]:
    namespace = f"contract-registry-{os.getpid() % 10000}"
    create_operands(namespace)
    other = Client(KubeConfig.from_file(sandbox.kubeconfig), field_manager="team-a", trust_env=False)
    made = Real(granted("stage", namespace), connect(context=ADMINISTRATOR), other, namespace)
    try:
        yield made
    finally:
        made.close()
        other.close()
        delete_operands(namespace)


@pytest.fixture(params=["memory", pytest.param("sandbox", marks=pytest.mark.sandbox)])
def place(request: pytest.FixtureRequest) -> Place:
    """The custom resource with two entries of others, nothing of ours anywhere, its operator at rest."""
    if request.param == "memory":
        server = FakeApiServer()
        server.put_cr({**SPEC, "custom_foundation_models": THEIRS})
        server.put_status("Completed", completion="t0", versions={"reconciled": "11.0.0"})
        server.tick(10)
        return InMemory(server)
    made: Real = request.getfixturevalue("real")
    made.forget()
    spec = {**made.cr["spec"], "custom_foundation_models": THEIRS}
    for key in ("ignoreForMaintenance", "shutdown"):
        spec.pop(key, None)
    made.edit([{"op": "replace", "path": "/spec", "value": spec}])
    settle = registry(made, pace=Pace(settle=0.5))
    settle.await_reconciled(lambda _: None)
    made.forget()
    return made


def test_an_absent_resource_is_refused_and_never_made(place: Place) -> None:
    api = place.api_of("absent")
    absent = WatsonxRegistry(api, place.namespace, "absent", "elsewhere")
    for attempt in (absent.read, lambda: absent.write((), [entry("ours")])):
        with pytest.raises(PreconditionError, match="has no Watsonxaiifm") as caught:
            attempt()
        assert caught.value.code == "cr-absent"
    assert api.get(WATSONX_IFM, "absent", place.namespace) is None


def test_a_life_of_entries_leaves_everybody_elses_as_they_were(place: Place) -> None:
    before = place.cr["spec"]
    ours = registry(place)
    ours.write((), [entry("one"), entry("two")])
    assert models(place) == [*THEIRS, entry("one").value(), entry("two").value()]
    ours.write((), [entry("one", tags=["new"]), entry("two")])
    assert models(place) == [*THEIRS, entry("one", tags=["new"]).value(), entry("two").value()]
    ours.write((), [entry("two")])
    ours.write((), [])
    assert json.dumps(place.cr["spec"], sort_keys=True) == json.dumps(before, sort_keys=True)
    assert not place.cr["metadata"].get("annotations")
    assert set(intents(place) or {}) == {"_last-write"}, "the removal is still to be taken in by the operator"
    operator_answers(place)
    ours.await_reconciled(lambda _: None)
    assert intents(place) is None
    assert not ours.unconfirmed()


def test_an_entry_as_somebody_put_it_there_before_is_never_taken_for_our_removal(place: Place) -> None:
    ours = registry(place)
    ours.write((), [entry("ours")])
    ours.write((), [])
    place.edit([{"op": "add", "path": "/spec/custom_foundation_models/-", "value": entry("ours").value()}])
    with pytest.raises(StepFailedError, match="not as it was written") as caught:
        ours.await_reconciled(lambda _: None)
    assert caught.value.code == "registration-overwritten"


def test_a_removal_interrupted_before_it_was_recorded_is_waited_for_by_the_next_run(place: Place) -> None:
    registry(place).write((), [entry("ours")])
    api = Meddled(place.api, instead={"merge": [None, KeyboardInterrupt()]})  # type: ignore[list-item]
    with pytest.raises(KeyboardInterrupt):
        registry(place, api).write((), [])
    assert models(place) == THEIRS
    again = registry(place)
    assert again.unconfirmed()
    operator_answers(place)
    again.await_reconciled(lambda _: None)
    assert intents(place) is None


def test_a_completed_of_the_second_of_the_removal_but_before_it_is_no_answer() -> None:
    place, ours = memory()
    ours.write((), [entry("ours")])
    place.server.tick()
    place.server.put_status("Completed", completion="t1", versions={"reconciled": "11.0.0"})
    ours.await_reconciled(lambda _: None)
    ours.write((), [])
    with pytest.raises(StepFailedError, match="has not picked up the write") as caught:
        ours.await_reconciled(lambda _: None)
    assert caught.value.code == "reconcile-deadline"
    assert ours.unconfirmed(), "the next run must wait on"
    place.server.put_status("Completed", completion="t2", versions={"reconciled": "11.0.0"})
    assert ours.await_reconciled(lambda _: None).startswith("Completed 100%")
    assert place.server.intents() is None


def test_a_removal_from_a_resource_that_is_gone_or_made_anew_needs_no_answer() -> None:
    for anew in (False, True):
        place, ours = memory()
        ours.write((), [entry("ours")])
        ours.write((), [])
        key = next(key for key in place.server.objects if key[0] == WATSONX_IFM.plural)
        del place.server.objects[key]
        if anew:
            place.server.put_cr(SPEC, uid="another")
        assert ours.await_reconciled(lambda _: None).endswith("is gone")
        assert place.server.intents() is None


def test_a_write_interrupted_before_its_record_is_finished_by_waiting_alone() -> None:
    place, ours = memory()
    api = Meddled(place.api, instead={"merge": [None, KeyboardInterrupt()]})  # type: ignore[list-item]
    with pytest.raises(KeyboardInterrupt):
        registry(place, api).write((), [entry("ours")])
    assert models(place) == [*THEIRS, entry("ours").value()]
    assert ours.look((entry("ours").value(),), frozenset()).unreconciled is not None
    operator_answers(place)
    assert ours.await_reconciled(lambda _: None).startswith("Completed 100%")
    assert ours.look((entry("ours").value(),), frozenset()).unreconciled is None


def test_a_model_that_others_register_after_we_removed_ours_is_theirs_and_troubles_nobody() -> None:
    place, ours = memory()
    ours.write((), [entry("ours"), entry("moving")])
    ours.write((), [entry("ours")])
    operator_answers(place)
    ours.await_reconciled(lambda _: None)
    place.edit([{"op": "add", "path": "/spec/custom_foundation_models/-", "value": entry("moving").value()}])
    state = ours.look((entry("ours").value(),), frozenset())
    assert state.unreconciled is None
    assert state.standing["moving"].owner == "foreign"


def test_a_second_write_of_the_same_writes_nothing_at_all(place: Place) -> None:
    first = registry(place).write((), [entry("ours")])
    assert [change.model_id for change in first.changes] == ["ours"]
    recorded, generation = intents(place), place.cr["metadata"]["generation"]
    second = registry(place).write((), [entry("ours")])
    assert second.changes == ()
    assert second.written_at == first.written_at
    assert place.cr["metadata"]["generation"] == generation
    assert intents(place) == recorded


def test_the_time_of_a_write_is_the_api_servers(place: Place) -> None:
    written = registry(place).write((), [entry("ours")])
    (field,) = [row for row in place.cr["metadata"]["managedFields"] if row["manager"] == "weighbridge"]
    assert written.written_at == field["time"].replace("Z", "+00:00")


@pytest.mark.parametrize("value", ["absent", None])
def test_an_absent_list_is_made(place: Place, value: str | None) -> None:
    place.edit([{"op": "remove", "path": "/spec/custom_foundation_models"}])
    if value is None:
        place.edit([{"op": "add", "path": "/spec/custom_foundation_models", "value": None}])
    api = Meddled(place.api, before_patch=iter_once(place.touch_status))
    registry(place, api).write((), [entry("ours")])
    assert models(place) == [entry("ours").value()]


@pytest.mark.parametrize("value", [{"a": 1}, "text"])
def test_what_is_no_list_is_refused_and_left(place: Place, value: Any) -> None:
    place.edit([{"op": "replace", "path": "/spec/custom_foundation_models", "value": value}])
    with pytest.raises(EntriesRefusedError, match="is no list"):
        registry(place).write((), [entry("ours")])
    assert place.cr["spec"]["custom_foundation_models"] == value


def test_others_who_write_between_our_look_and_our_write_lose_nothing(place: Place) -> None:
    added = iter(range(100))

    def meddle() -> None:
        new = {"model_id": f"late-{next(added)}", "location": {"pvc_name": "team-b-models"}}
        place.edit([{"op": "add", "path": "/spec/custom_foundation_models/0", "value": new}])

    api = Meddled(place.api, before_patch=iter_once(meddle, 5))
    registry(place, api).write((), [entry("ours")])
    names = [row["model_id"] for row in models(place)]
    assert names == [*(f"late-{number}" for number in (4, 3, 2, 1, 0)), "theirs", "others", "ours"]


def test_a_status_that_changes_meanwhile_is_no_conflict(place: Place) -> None:
    api = Meddled(place.api, before_patch=place.touch_status, instead={})
    tries: list[Exception | None] = [None, StepFailedError("a second try was needed")]
    api.instead["json_patch"] = tries
    registry(place, api).write((), [entry("ours")])
    assert models(place)[-1] == entry("ours").value()


@pytest.mark.parametrize("number", [1e-7, 1e-05, 1e21, 123456.789, 0.1])
def test_numbers_that_languages_write_differently_do_not_stop_us(place: Place, number: float) -> None:
    odd = {"model_id": "odd", "location": {"pvc_name": "team-b-models"}, "number": number}
    place.edit([{"op": "add", "path": "/spec/custom_foundation_models/0", "value": odd}])
    api = Meddled(place.api, before_patch=iter_once(place.touch_status))
    registry(place, api).write((), [entry("ours")])
    assert models(place) == [odd, *THEIRS, entry("ours").value()]


def test_an_entry_of_somebody_elses_is_refused_then_adopted_when_asked(place: Place) -> None:
    foreign = {"model_id": "ours", "location": {"pvc_name": "team-b-models"}}
    place.edit([{"op": "add", "path": "/spec/custom_foundation_models/0", "value": foreign}])
    with pytest.raises(EntriesRefusedError, match="by somebody else") as caught:
        registry(place).write((), [entry("ours")])
    assert "team-b-models" in caught.value.what
    assert intents(place) is None
    written = registry(place).write((), [entry("ours")], frozenset({"ours"}))
    assert written.changes[0].adopted
    assert models(place) == [entry("ours").value(), *THEIRS]


def test_our_entry_edited_by_somebody_is_neither_overwritten_nor_removed_unseen(place: Place) -> None:
    registry(place).write((), [entry("ours")])
    place.edit([{"op": "add", "path": "/spec/custom_foundation_models/2/tags", "value": ["edited"]}])
    for wanted in ([entry("ours", tags=["new"])], []):
        with pytest.raises(EntriesRefusedError, match="changed by somebody") as caught:
            registry(place).write((), wanted)
        assert "edited" in caught.value.what
    assert models(place)[2]["tags"] == ["edited"]


def test_an_entry_replaced_since_the_plan_is_left_also_where_it_happens_between_our_look_and_our_write(
    place: Place,
) -> None:
    registry(place).write((), [entry("ours")])
    seen = {"ours": entry("ours").digest, "new": ""}

    def replace() -> None:
        replaced = {"op": "replace", "path": "/spec/custom_foundation_models/2", "value": theirs.value()}
        place.edit([replaced])

    theirs = entry("ours", tags=["replaced"])
    api = Meddled(place.api, before_patch=iter_once(replace))
    for old in ((), (theirs,)):  # the second time, a refresh has shown it
        with pytest.raises(EntriesRefusedError, match="replaced by somebody since the plan") as caught:
            registry(place, api).write(old, [entry("ours", tags=["new"]), entry("new")], seen=seen)
        assert caught.value.code == "entry-replaced"
        assert theirs.text in caught.value.what
        assert entry("ours").text in caught.value.what
        assert models(place) == [*THEIRS, theirs.value()]
    later = {"ours": theirs.digest, "new": ""}
    registry(place).write((theirs,), [entry("ours", tags=["new"]), entry("new")], seen=later)
    assert models(place)[2:] == [entry("ours", tags=["new"]).value(), entry("new").value()]


def test_interrupted_before_the_patch_the_next_run_knows_both_versions(place: Place) -> None:
    registry(place).write((), [entry("ours")])
    api = Meddled(place.api, instead={"json_patch": [KeyboardInterrupt()]})  # type: ignore[list-item]
    with pytest.raises(KeyboardInterrupt):
        registry(place, api).write((), [entry("ours", tags=["second"])])
    registry(place).write((), [entry("ours", tags=["third"])])
    assert models(place)[2:] == [entry("ours", tags=["third"]).value()]


def test_interrupted_after_the_patch_nothing_is_lost_and_the_record_is_finished(place: Place) -> None:
    registry(place).write((), [entry("ours")])
    api = Meddled(place.api, instead={"merge": [None, StepFailedError("gone away")]})
    with pytest.raises(UnrecordedWriteError, match="gone away") as caught:
        registry(place, api).write((), [entry("ours", tags=["second"])])
    assert caught.value.written.live.models == models(place)
    after = registry(place).write((), [entry("ours", tags=["second"])])
    assert after.changes == ()
    assert after.written_at == caught.value.written.written_at
    registry(place).write((), [])
    assert models(place) == THEIRS


def _others_add(place: Place, *added: Entry) -> None:
    for one in added:
        place.edit([{"op": "add", "path": "/spec/custom_foundation_models/-", "value": one.value()}])


@pytest.mark.parametrize("more", [(), (entry("more"),)], ids=["at once", "and more"])
def test_what_others_register_after_a_run_that_died_before_its_patch_is_theirs(
    place: Place, more: tuple[Entry, ...]
) -> None:
    api = Meddled(place.api, instead={"json_patch": [KeyboardInterrupt()]})  # type: ignore[list-item]
    with pytest.raises(KeyboardInterrupt):
        registry(place, api).write((), [entry("ours")])
    _others_add(place, entry("ours"), *more)
    assert registry(place).look((), frozenset()).standing["ours"].owner == "foreign"
    registry(place).write((), [])
    assert models(place) == [*THEIRS, entry("ours").value(), *(one.value() for one in more)]


def test_managed_fields_show_that_a_run_that_died_after_its_patch_has_written(place: Place) -> None:
    api = Meddled(place.api, instead={"merge": [None, KeyboardInterrupt()]})  # type: ignore[list-item]
    with pytest.raises(KeyboardInterrupt):
        registry(place, api).write((), [entry("ours")])
    place.touch_status()
    assert registry(place).look((), frozenset()).standing["ours"].owner == "ours"
    _others_add(place, entry("more"))
    left = registry(place).write((), [entry("ours")])
    assert left.unproven == {"ours"}, "others own the list now"
    assert registry(place).write((), [entry("ours")], frozenset({"ours"})).unproven == frozenset()
    registry(place).write((), [])
    assert models(place) == [*THEIRS, entry("more").value()]


def test_a_write_that_the_api_server_does_not_take_leaves_no_record(place: Place) -> None:
    class Invalid(Meddled):
        def json_patch(
            self, kind: Kind, name: str, namespace: str | None, operations: Sequence[Object]
        ) -> Object:
            wrong = {"op": "replace", "path": "/spec/custom_foundation_models/99", "value": {}}
            if isinstance(place, InMemory):
                raise refused(422, "no such path")
            return self.inner.json_patch(kind, name, namespace, [*operations, wrong])

    with pytest.raises(StepFailedError):
        registry(place, Invalid(place.api)).write((), [entry("ours")])
    assert intents(place) is None
    assert models(place) == THEIRS


def test_a_write_whose_answer_got_lost_is_found_done(place: Place) -> None:
    class Lossy(Meddled):
        def json_patch(
            self, kind: Kind, name: str, namespace: str | None, operations: Sequence[Object]
        ) -> Object:
            self.inner.json_patch(kind, name, namespace, operations)
            raise PreconditionError("no answer", code="cluster-unreachable")

    written = registry(place, Lossy(place.api)).write((), [entry("ours")])
    assert models(place) == [*THEIRS, entry("ours").value()]
    assert written.written_at is not None


def test_an_api_server_that_stays_away_ends_the_write_in_time(place: Place) -> None:
    away = PreconditionError("no answer", code="cluster-unreachable")
    api = Meddled(place.api, instead={"get": [away] * 1000})
    clock = QuickClock(InMemory(FakeApiServer()))
    attempt = WatsonxRegistry(api, place.namespace, place.name, "stage", limits=LIMITS, clock=clock)
    with pytest.raises(PreconditionError, match="no answer"):
        attempt.write((), [entry("ours")])
    assert LIMITS.write <= clock.now < LIMITS.write + 5


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("ignoreForMaintenance", True, "maintenance"),
        ("shutdown", "true", "shut down"),
        ("version", "99.0.0", "upgrade"),
    ],
)
def test_nothing_is_written_while_the_owner_forbids_it(place: Place, key: str, value: Any, word: str) -> None:
    # The operator must not take up the new version before we look, so the look itself brings it.
    kept = place.cr["spec"].get(key)
    operation = {"op": "add", "path": f"/spec/{key}", "value": value}

    class Changing(Meddled):
        def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object | None:
            found = super().get(kind, name, namespace)
            if found is not None and kind is WATSONX_IFM:
                found["spec"] = {**found["spec"], operation["path"].rpartition("/")[2]: operation["value"]}
            return found

    with pytest.raises(PreconditionError, match=word) as caught:
        registry(place, Changing(place.api)).write((), [entry("ours")])
    assert caught.value.code == "cr-not-writable"
    assert place.cr["spec"].get(key) == kept
    assert models(place) == THEIRS


@pytest.mark.parametrize(
    ("key", "value"), [("ignoreForMaintenance", True), ("shutdown", "true"), ("version", "99.0.0")]
)
def test_a_plan_refuses_what_the_owner_forbids_in_the_words_of_the_write(key: str, value: Any) -> None:
    place, ours = memory()
    ours.write((), [entry("ours")])
    place.edit([{"op": "add", "path": f"/spec/{key}", "value": value}])
    for wanted in ((), (entry("ours").value(),)):
        assert ours.look(wanted, frozenset()).entries, "where nothing would change, nothing is refused"
    changed = entry("ours", tags=["new"])
    with pytest.raises(PreconditionError) as looked:
        ours.look((changed.value(),), frozenset())
    with pytest.raises(PreconditionError) as written:
        ours.write((), [changed])
    assert (looked.value.what, looked.value.code) == (written.value.what, "cr-not-writable")
    assert looked.value.exit_code == 3


def test_a_gitops_owner_is_named_by_a_look() -> None:
    place, ours = memory()
    assert ours.look((), frozenset()).warnings == ()
    tracked = {"argocd.argoproj.io/tracking-id": "ifm:cr"}
    place.edit([{"op": "add", "path": "/metadata/annotations", "value": tracked}])
    [warning] = ours.look((entry("ours").value(),), frozenset()).warnings
    assert "Argo CD" in warning


def test_what_stands_after_an_interrupted_change_is_shown_and_not_what_was_meant() -> None:
    place, ours = memory()
    ours.write((), [entry("ours")])
    api = Meddled(place.api, instead={"json_patch": [KeyboardInterrupt()]})  # type: ignore[list-item]
    with pytest.raises(KeyboardInterrupt):
        registry(place, api).write((), [entry("ours", tags=["second"])])
    standing = ours.look((), frozenset()).ours["ours"]
    assert (standing.value, standing.owner) == (entry("ours").value(), "ours")


def test_a_gitops_owner_is_named_before_the_write(place: Place) -> None:
    place.edit(
        [
            {
                "op": "add",
                "path": "/metadata/annotations",
                "value": {"argocd.argoproj.io/tracking-id": "ifm:cr"},
            }
        ]
    )
    said: list[Event] = []
    try:
        registry(place).write((), [entry("ours")], observer=said.append)
    finally:
        place.edit([{"op": "remove", "path": "/metadata/annotations"}])
    assert any("Argo CD" in event.text for event in said if isinstance(event, Warned))


def test_looking_shows_the_whole_list_and_writes_nothing(place: Place) -> None:
    registry(place).write((), [entry("kept"), entry("changed")])  # they go into the list by id
    place.edit([{"op": "add", "path": "/spec/custom_foundation_models/2/tags", "value": ["edited"]}])
    recorded, version = intents(place), place.cr["metadata"]["generation"]
    wanted = [entry("kept").value(), entry("changed").value(), entry("new").value()]
    state = registry(place).look(tuple(wanted), frozenset())
    fates = [(row.model_id, row.fate) for row in state.entries]
    assert fates == [
        ("theirs", "foreign"),
        ("others", "foreign"),
        ("changed", "update"),
        ("kept", "keep"),
        ("new", "add"),
    ]
    assert state.entries[2].changes == ('tags: ["edited"] → absent',)
    assert {key: (row.owner, row.value) for key, row in state.ours.items()} == {
        "kept": ("ours", entry("kept").value()),
        "changed": ("edited", entry("changed", tags=["edited"]).value()),
    }
    assert state.ours["changed"].written == entry("changed").value()
    assert state.standing["theirs"].owner == "foreign"
    bare = registry(place).look((), frozenset())
    assert [row.fate for row in bare.entries] == ["foreign", "foreign", "keep", "keep"]
    assert (intents(place), place.cr["metadata"]["generation"]) == (recorded, version)


def test_looking_at_a_foreign_entry_of_a_wanted_model_refuses(place: Place) -> None:
    with pytest.raises(EntriesRefusedError, match="theirs is registered already"):
        registry(place).look((entry("theirs").value(),), frozenset())


@pytest.mark.sandbox
def test_the_operator_is_waited_for_and_not_asked_twice(real: Real) -> None:
    real.forget()
    fresh = registry(real)
    fresh.await_reconciled(lambda _: None)
    written = fresh.write((), [entry("ours")])
    assert fresh.look((), frozenset()).unreconciled is not None
    said: list[Event] = []
    seen = fresh.await_reconciled(said.append)
    assert seen.startswith("Completed 100%")
    status = [row for row in real.cr["metadata"]["managedFields"] if row.get("subresource") == "status"]
    assert max(row["time"] for row in status).replace("Z", "+00:00") >= str(written.written_at)
    assert any(
        "not picked up" in event.text or "InProgress" in event.text
        for event in said
        if isinstance(event, Note)
    )
    assert registry(real).look((), frozenset()).unreconciled is None
    assert registry(real).await_reconciled(lambda _: None) == "confirmed earlier"
    fresh.write((), [])


@pytest.mark.sandbox
def test_the_operators_message_comes_back_when_it_fails(real: Real) -> None:
    broken = Entry.of({"model_id": "broken", "location": {"pvc_name": "no-such-claim", "sub_path": "x"}})
    fresh = registry(real)
    fresh.write((), [broken])
    said: list[Event] = []
    with pytest.raises(StepFailedError, match="no-such-claim") as caught:
        fresh.await_reconciled(said.append)
    assert caught.value.code == "operator-failed"
    assert "it names broken of environment stage" in caught.value.what
    assert len([event for event in said if isinstance(event, Warned)]) == 1
    assert "no-such-claim" in str(registry(real).look((), frozenset()).unreconciled)
    fresh.write((), [])
