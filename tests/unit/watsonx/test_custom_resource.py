from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.watsonx.custom_resource import parse_custom_resource
from weighbridge.watsonx.reconciled import Baseline, Mark, overwritten

MINIMAL: dict[str, Any] = {
    "metadata": {"name": "cr", "namespace": "ns", "uid": "u", "resourceVersion": "1"},
    "spec": {},
}


def with_spec(**spec: Any) -> dict[str, Any]:
    return {**MINIMAL, "spec": spec}


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ({"ignoreForMaintenance": True}, "ignoreForMaintenance"),
        ({"shutdown": "true"}, "shutdown"),
        ({"shutdown": "force"}, '"force"'),
        ({"version": "12.0.0"}, "12.0.0, reconciled is 11.0.0"),
    ],
)
def test_what_forbids_a_change_is_named(spec: dict[str, Any], word: str) -> None:
    raw = {**with_spec(**spec), "status": {"versions": {"reconciled": "11.0.0"}}}
    assert word in str(parse_custom_resource(raw).obstacle())


@pytest.mark.parametrize(
    "spec", [{}, {"shutdown": "false"}, {"ignoreForMaintenance": False, "version": "11.0.0"}]
)
def test_an_ordinary_resource_may_be_changed(spec: dict[str, Any]) -> None:
    raw = {**with_spec(**spec), "status": {"versions": {"reconciled": "11.0.0"}}}
    assert parse_custom_resource(raw).obstacle() is None


@pytest.mark.parametrize(
    ("place", "key", "tool"),
    [
        ("annotations", "argocd.argoproj.io/tracking-id", "Argo CD"),
        ("labels", "argocd.argoproj.io/instance", "Argo CD"),
        ("labels", "kustomize.toolkit.fluxcd.io/name", "Flux"),
    ],
)
def test_a_gitops_owner_is_recognised(place: str, key: str, tool: str) -> None:
    raw = {**MINIMAL, "metadata": {**MINIMAL["metadata"], place: {key: "models"}}}
    (found,) = parse_custom_resource(raw).gitops
    assert (found.tool, key in found.evidence) == (tool, True)


def test_an_instance_label_that_helm_sets_too_is_no_gitops_owner() -> None:
    raw = {**MINIMAL, "metadata": {**MINIMAL["metadata"], "labels": {"app.kubernetes.io/instance": "x"}}}
    assert parse_custom_resource(raw).gitops == ()


def test_writers_are_told_apart_by_what_they_own() -> None:
    fields = [
        {"manager": "a", "time": "2026-01-01T00:00:09Z", "fieldsV1": {"f:metadata": {}}},
        {"manager": "b", "time": "2026-01-01T00:00:02Z", "fieldsV1": {"f:spec": {"f:version": {}}}},
        {
            "manager": "c",
            "time": "2026-01-01T00:00:01Z",
            "fieldsV1": {"f:spec": {"f:custom_foundation_models": {}}},
        },
        {
            "manager": "d",
            "time": "2026-01-01T00:00:08Z",
            "subresource": "status",
            "fieldsV1": {"f:status": {}},
        },
    ]
    live = parse_custom_resource({**MINIMAL, "metadata": {**MINIMAL["metadata"], "managedFields": fields}})
    newest, ours, models = live.spec_written(), live.spec_written("c"), live.models_writer
    assert (newest and newest.manager, ours and ours.manager, models and models.manager) == ("b", "c", "c")
    assert str(live.status_written_at) == "2026-01-01 00:00:08+00:00"


@pytest.mark.parametrize(
    ("owned", "last"),
    [
        ({"a": "09", "b": "08"}, "a"),
        ({"a": "09", "b": "09"}, None),
        ({}, None),
    ],
    ids=["the newest", "two within a second", "the list is gone"],
)
def test_who_wrote_the_list_last_is_said_only_where_it_is_known(
    owned: dict[str, str], last: str | None
) -> None:
    fields = [
        {
            "manager": manager,
            "time": f"2026-01-01T00:00:{second}Z",
            "fieldsV1": {"f:spec": {"f:custom_foundation_models": {}}},
        }
        for manager, second in owned.items()
    ]
    bot = {"manager": "bot", "time": "2026-01-01T00:00:30Z", "fieldsV1": {"f:spec": {"f:license": {}}}}
    live = parse_custom_resource(
        {**MINIMAL, "metadata": {**MINIMAL["metadata"], "managedFields": [*fields, bot]}}
    )
    mark = Mark(
        cr_uid=live.uid,
        written_at=None,
        baseline=Baseline.of(live, exact=True),
        entries=(("ours", "sha256:0"),),
    )
    undone = overwritten(mark, live)
    assert undone is not None
    assert (f": {last} at" in undone.reason) == (last is not None)
    assert ("wrote the list last" in undone.reason) == (last is not None)
    assert ("the newest write of the spec by others is that of bot" in undone.reason) == (last is None)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
keys = st.sampled_from(
    [
        "conditions",
        "watsonxaiifmStatus",
        "progress",
        "versions",
        "custom_foundation_models",
        "shutdown",
        "managedFields",
    ]
)


@given(st.dictionaries(keys, json_values), st.dictionaries(keys, json_values), json_values)
def test_any_shape_is_read_without_failing(spec: dict[str, Any], status: dict[str, Any], fields: Any) -> None:
    raw = {"metadata": {"managedFields": fields, "annotations": fields}, "spec": spec, "status": status}
    live = parse_custom_resource(raw)
    assert live.status.describe()
    assert live.models == spec.get("custom_foundation_models")
    assert isinstance(live.obstacle(), str | None)
    assert isinstance(live.status.ready, bool)
