"""The publishing Job is told what was sent, and a later run can tell whether a Job it finds was."""

import json
from typing import Any, cast

import pytest

from weighbridge.domain.weights import SourceListing
from weighbridge.environment.types import Environment
from weighbridge.errors import DefectError
from weighbridge.manifests.surroundings import Surroundings
from weighbridge.mover.order import parse_order
from weighbridge.steps.weights.bundle import ORDER_ANNOTATION, render_weights
from weighbridge.steps.weights.publication import completed, on_record, same_order, same_work

SET = "sha256:" + "cd" * 32


@pytest.fixture
def rendered(environment: Environment, listing: SourceListing, around: Surroundings) -> dict[str, Any]:
    bundle = render_weights(environment, environment.models[1], listing, around)
    variables = cast("dict[str, Any]", bundle.variables)
    return {"documents": bundle.files["publish.yaml"], "order": variables["weights_jobs"]["publish"]["order"]}


@pytest.fixture
def sent(listing: SourceListing) -> dict[str, str]:
    return {file.path: f"{number:064x}" for number, file in enumerate(listing.files)}


def of(documents: list[dict[str, Any]]) -> tuple[str, str]:
    """The text of the order, and what the Job says of it."""
    return documents[0]["data"]["order.json"], documents[1]["metadata"]["annotations"][ORDER_ANNOTATION]


def test_the_mover_is_told_every_digest_and_nothing_else_changes(
    rendered: dict[str, Any], sent: dict[str, str]
) -> None:
    documents = completed(rendered["documents"], SET, sent)
    order = parse_order(json.loads(documents[0]["data"]["order.json"]))  # type: ignore[index,call-overload,arg-type]
    assert order.expect_set_digest == SET
    assert {file.path: file.sha256 for file in order.files} == sent
    changed = json.loads(json.dumps(documents))
    before = json.loads(json.dumps(rendered["documents"]))
    for found in (changed, before):
        del found[0]["data"]["order.json"]
        del found[1]["metadata"]["annotations"]
    assert changed == before


def test_an_order_that_what_was_sent_does_not_cover_is_not_completed(
    rendered: dict[str, Any], sent: dict[str, str]
) -> None:
    del sent["config.json"]
    with pytest.raises(DefectError, match="config"):
        completed(rendered["documents"], SET, sent)


def test_a_job_is_followed_only_if_it_was_told_what_was_sent_of_the_same_work(
    rendered: dict[str, Any], sent: dict[str, str]
) -> None:
    documents = cast("list[dict[str, Any]]", completed(rendered["documents"], SET, sent))
    text, annotation = of(documents)
    assert same_work(text, annotation, rendered["order"])
    # of another sender: still the same work, and proven by what that one sent
    other = of(
        cast("list[dict[str, Any]]", completed(rendered["documents"], SET, dict.fromkeys(sent, "ef" * 32)))
    )
    assert other[1] != annotation
    assert same_work(*other, rendered["order"])
    # the order was exchanged under the Job
    assert not same_work(other[0], annotation, rendered["order"])
    # as rendered: nobody said what was sent
    assert not same_work(*of(rendered["documents"]), rendered["order"])
    # other work
    assert not same_work(text, annotation, "sha256:" + "00" * 32)
    # no order, or none that can be read
    for broken in (None, "", "[]", "{", '{"expect_set_digest": "x"}'):
        assert not same_work(broken, annotation, rendered["order"])


@pytest.mark.parametrize(("verb", "key"), [("fetch", "recorded_set_digest"), ("verify", "expect_set_digest")])
def test_a_mover_is_told_what_is_on_record(
    environment: Environment, listing: SourceListing, around: Surroundings, verb: Any, key: str
) -> None:
    """Also by a playbook that is run by hand, whose order was rendered before anything was on record."""
    bundle = render_weights(environment, environment.models[1], listing, around)
    variables = cast("dict[str, Any]", bundle.variables)
    order = variables["weights_jobs"][verb]["order"]
    rendered = cast("list[dict[str, Any]]", list(bundle.files[f"{verb}.yaml"]))
    text, annotation = of(cast("list[dict[str, Any]]", on_record(rendered, verb, SET)))
    assert getattr(parse_order(json.loads(text)), key) == SET
    assert same_order(text, annotation, order, verb, SET)
    # the record is another one by now, or there is none
    assert not same_order(text, annotation, order, verb, "sha256:" + "ef" * 32)
    assert not same_order(text, annotation, order, verb, None)
    # told nothing, where something is on record
    plain = of(rendered)
    assert of(cast("list[dict[str, Any]]", on_record(rendered, verb, None))) == plain
    assert same_order(*plain, order, verb, None)
    assert not same_order(*plain, order, verb, SET)
    # the order was exchanged under the Job, or cannot be read
    assert not same_order(plain[0], annotation, order, verb, SET)
    assert not same_order(None, annotation, order, verb, SET)
