from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pulumi.automation import EngineEvent

from weighbridge.core.events import Event, ResourceChanged
from weighbridge.domain.stacks import Op, PropertyChange, ResourceChange
from weighbridge.engines.pulumi.events import Recorder

CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"


def urn(name: str, kind: str = CLAIM) -> str:
    return f"urn:pulumi:stage::weighbridge-storage::{kind}::{name}"


def state(inputs: dict[str, Any] | None = None, outputs: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"type": CLAIM, "urn": "", "inputs": inputs or {}, "outputs": outputs or {}}


def step(op: str, name: str, kind: str = CLAIM, **more: Any) -> dict[str, Any]:
    return {"op": op, "urn": urn(name, kind), "type": kind, **more}


def planned(**metadata: Any) -> dict[str, Any]:
    return {"resourcePreEvent": {"metadata": metadata}}


def finished(*, planning: bool = False, **metadata: Any) -> dict[str, Any]:
    return {"resOutputsEvent": {"metadata": metadata, "planning": planning}}


def heard(*events: dict[str, Any], ignored: tuple[str, ...] = ()) -> tuple[Recorder, list[Event]]:
    told: list[Event] = []
    recorder = Recorder("storage", told.append, ignored)
    for event in events:
        recorder(EngineEvent.from_json(event))
    return recorder, told


@pytest.mark.parametrize(
    ("op", "shown"),
    [
        ("create", Op.CREATE),
        ("update", Op.UPDATE),
        ("delete", Op.DELETE),
        ("import", Op.IMPORT),
        ("replace", Op.REPLACE),
        ("create-replacement", Op.REPLACE),
        ("delete-replaced", Op.REPLACE),
    ],
)
def test_every_operation_that_changes_something_is_shown(op: str, shown: Op) -> None:
    recorder, _ = heard(planned(**step(op, "a")))
    assert recorder.changes() == (ResourceChange("v1/PersistentVolumeClaim", "a", shown),)


def test_a_replacement_in_three_events_is_one_change() -> None:
    recorder, _ = heard(
        *(planned(**step(op, "a")) for op in ("create-replacement", "replace", "delete-replaced"))
    )
    assert [change.op for change in recorder.changes()] == [Op.REPLACE]


def test_changes_come_sorted_and_pulumis_bookkeeping_does_not_count() -> None:
    recorder, told = heard(
        planned(**step("create", "weighbridge-storage-stage", "pulumi:pulumi:Stack")),
        planned(**step("create", "cluster", "pulumi:providers:kubernetes")),
        planned(**step("create", "b")),
        planned(**step("create", "a")),
        finished(**step("create", "cluster", "pulumi:providers:kubernetes")),
    )
    assert [change.name for change in recorder.changes()] == ["a", "b"]
    assert told == []


def test_what_stays_is_counted_without_what_is_no_longer_declared() -> None:
    recorder, _ = heard(*(planned(**step("same", name)) for name in "abc"), ignored=(urn("c"),))
    assert recorder.unchanged == 2
    assert recorder.changes() == ()


def test_a_property_is_shown_with_both_values_also_where_its_name_holds_dots() -> None:
    path = 'metadata.labels["app.kubernetes.io/managed-by"]'
    recorder, _ = heard(
        planned(
            **step("update", "a"),
            old=state(
                inputs={"metadata": {"labels": {"app.kubernetes.io/managed-by": "weighbridge"}}},
                outputs={"metadata": {"labels": {"app.kubernetes.io/managed-by": "somebody"}}},
            ),
            new=state(inputs={"metadata": {"labels": {"app.kubernetes.io/managed-by": "weighbridge"}}}),
            detailedDiff={path: {"diffKind": "update", "inputDiff": False}},
        )
    )
    assert recorder.changes()[0].diffs == (PropertyChange(path, "update", "somebody", "weighbridge"),)


def test_a_property_below_a_list_is_shown() -> None:
    entry = {"m.1": {"parameters": [{"default": 1}, {"default": 2}]}}
    wanted = {"m.1": {"parameters": [{"default": 1}, {"default": 3}]}}
    recorder, _ = heard(
        planned(
            **step("update", "cr", "weighbridge:index:Registrations"),
            old=state(inputs={"entries": entry}),
            new=state(inputs={"entries": wanted}),
            detailedDiff={
                'entries["m.1"].parameters[1].default': {"diffKind": "update-replace", "inputDiff": True}
            },
        )
    )
    change = recorder.changes()[0]
    assert change.type == "weighbridge/Registrations"
    assert change.diffs == (PropertyChange('entries["m.1"].parameters[1].default', "update", 2, 3),)


@example('["\\0"]')
@given(st.text(alphabet='.[]"\\a0', max_size=12))
def test_no_property_path_however_odd_breaks_a_preview(path: str) -> None:
    recorder, _ = heard(
        planned(
            **step("update", "a"),
            old=state(inputs={"a": [1]}),
            new=state(inputs={"a": {"0": 1}}),
            detailedDiff={path: {"diffKind": "update", "inputDiff": True}},
        )
    )
    assert recorder.changes()[0].diffs[0].path == path


def test_an_edit_from_outside_is_told_from_our_own_change() -> None:
    refreshed = step("refresh", "a", old=state(outputs={"x": 1}), new=state(outputs={"x": 2}))
    calm = step("refresh", "b", old=state(outputs={"x": 1}), new=state(outputs={"x": 1}))
    recorder, _ = heard(
        planned(**step("refresh", "a")),
        finished(**refreshed),
        finished(**calm),
        planned(**step("update", "a")),
        planned(**step("update", "b")),
    )
    assert [(change.name, change.drifted) for change in recorder.changes()] == [("a", True), ("b", False)]


def test_an_update_tells_the_observer_once_a_resource_is_done_and_a_preview_never() -> None:
    _, told = heard(planned(**step("create", "a")), finished(**step("create", "a")))
    assert told == [ResourceChanged("storage", "v1/PersistentVolumeClaim", "a", "create")]
    _, told = heard(finished(**step("create", "a"), planning=True))
    assert told == []


def test_only_outputs_that_we_name_are_kept() -> None:
    outputs = {"clusterUid": "u", "kubeconfig": "planted"}
    recorder, _ = heard(
        finished(**step("same", "s", "pulumi:pulumi:Stack"), new={"type": "", "urn": "", "outputs": outputs})
    )
    assert recorder.outputs == {"clusterUid": "u"}


def test_diagnostics_keep_their_resource_and_debug_lines_are_dropped() -> None:
    recorder, _ = heard(
        {"diagnosticEvent": {"message": "rpc done\n", "color": "never", "severity": "debug"}},
        {
            "diagnosticEvent": {
                "message": " it broke \n",
                "color": "never",
                "severity": "error",
                "urn": urn("a"),
            }
        },
    )
    assert [(row.severity, row.text, row.resource) for row in recorder.diagnostics] == [
        ("error", "it broke", "a")
    ]
