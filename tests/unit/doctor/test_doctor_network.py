"""NetworkPolicies as Kubernetes means them: the table is after "Network Policies", "Behavior of to and from selectors"."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.core.finding import Level
from weighbridge.steps.weights.network import egress, judge_egress, selects

LABELS = {"app.kubernetes.io/managed-by": "weighbridge", "team": "models"}
ADDRESS = "192.0.2.7"


def policy(name: str = "p", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"podSelector": {}, **spec}}


def out(*rules: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return policy(policyTypes=["Egress"], egress=list(rules), **spec)


BLOCK = {"ipBlock": {"cidr": "192.0.2.0/24"}}
DNS = {"ports": [{"protocol": "UDP", "port": 53}]}


@pytest.mark.parametrize(
    ("policies", "allowed", "selecting"),
    [
        ([], True, False),
        ([policy()], True, False),  # ingress only
        ([policy(policyTypes=["Ingress"])], True, False),
        ([policy(egress=[])], False, True),  # policyTypes by default: Egress, where there is an egress
        ([out()], False, True),
        ([out({})], True, True),
        ([out({"to": [BLOCK]})], True, True),
        ([out({"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]})], False, True),
        ([out({"to": [{"ipBlock": {"cidr": "192.0.2.0/24", "except": ["192.0.2.7/32"]}}]})], False, True),
        ([out({"to": [BLOCK], "ports": [{"port": 443}]})], True, True),
        ([out({"to": [BLOCK], "ports": [{"port": 80}]})], False, True),
        ([out({"ports": [{"port": 400, "endPort": 500}]})], True, True),
        ([out({"ports": [{"protocol": "UDP", "port": 443}]})], False, True),
        ([out({"ports": [{"protocol": "TCP"}]})], True, True),
        ([out(podSelector={"matchLabels": {"team": "other"}})], True, False),
        ([out(podSelector={"matchLabels": {"team": "models"}})], False, True),
        ([out(podSelector={"matchExpressions": [{"key": "job-name", "operator": "Exists"}]})], True, False),
        ([out(), out({"to": [BLOCK]})], True, True),  # policies add up
    ],
)
def test_egress(policies: list[dict[str, Any]], allowed: bool, selecting: bool) -> None:
    found = egress(policies, LABELS, [ADDRESS], 443)
    assert found.allowed is allowed
    assert bool(found.selecting) is selecting


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({}, True),
        ({"matchExpressions": [{"key": "team", "operator": "In", "values": ["models"]}]}, True),
        ({"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["models"]}]}, False),
        ({"matchExpressions": [{"key": "x", "operator": "NotIn", "values": ["models"]}]}, True),
        ({"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]}, True),
        ({"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}, False),
        (
            {"matchLabels": {"team": "models"}, "matchExpressions": [{"key": "x", "operator": "Exists"}]},
            False,
        ),
    ],
)
def test_selectors(selector: dict[str, Any], expected: bool) -> None:
    assert selects(selector, LABELS) is expected


@given(st.lists(st.sampled_from([out(), out({"to": [BLOCK]}), out(DNS), policy()]), max_size=4))
def test_a_further_policy_that_selects_the_pod_never_takes_away_what_another_allows(
    policies: list[dict[str, Any]],
) -> None:
    before = egress([*policies, out({"to": [BLOCK]})], LABELS, [ADDRESS], 443)
    assert before.allowed


@pytest.mark.parametrize(
    ("policies", "only_way", "reached", "level", "word"),
    [
        ([], True, None, Level.OK, "no NetworkPolicy"),
        ([], True, False, Level.OK, "something else"),
        ([out()], True, None, Level.FAIL, "NetworkPolicy p"),
        ([out()], False, None, Level.WARN, "NetworkPolicy p"),
        ([out()], True, False, Level.FAIL, "does not allow the way"),
        ([out()], True, True, Level.WARN, "nothing enforces"),
        ([out({"to": [BLOCK]})], True, None, Level.FAIL, "name resolution"),
        ([out({"to": [BLOCK]}, DNS)], True, None, Level.OK, "allows it"),
        ([out({"to": [BLOCK]}, DNS)], True, False, Level.WARN, "did not get there"),
        (
            [out({"to": [{"namespaceSelector": {}}]}, DNS)],
            True,
            None,
            Level.OK,
            "if what stands there are pods",
        ),
    ],
)
def test_what_is_said_of_them(
    policies: list[dict[str, Any]], only_way: bool, reached: bool | None, level: Level, word: str
) -> None:
    [found] = judge_egress(
        policies, LABELS, "s3.example.com:443", [ADDRESS], 443, only_way=only_way, reached=reached
    )
    assert found.level is level
    assert word in found.said


def test_a_server_named_by_its_address_needs_no_name_resolution() -> None:
    [found] = judge_egress([out({"to": [BLOCK]})], LABELS, f"{ADDRESS}:443", [ADDRESS], 443, only_way=True)
    assert found.level is Level.OK
