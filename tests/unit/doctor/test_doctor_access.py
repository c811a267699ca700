"""Permissions: every single denied access leads to its rule, narrowed, and to the file for the administrators."""

from datetime import UTC, datetime
from typing import Any, cast

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from support.levels import worst
from support.world import environment
from weighbridge.core.finding import Diagnosis, Finding, Level
from weighbridge.doctor.access import judge_access, missing_rules
from weighbridge.doctor.request import request_text
from weighbridge.domain.access import Access, Rule
from weighbridge.permissions import permissions

ENVIRONMENT = environment("one", "two", routes=("fetch", "push"))
RULES = permissions(ENVIRONMENT)
SPACE = "cpd-instance"
ALL = [access for rule in RULES for access in rule.accesses(SPACE)]
NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


def judged(denied: set[Access], rules: tuple[Rule, ...] = RULES) -> tuple[list[Finding], tuple[Rule, ...]]:
    answers = {access: access not in denied for rule in rules for access in rule.accesses(SPACE)}
    missing = missing_rules(rules, answers, SPACE)
    return judge_access(ENVIRONMENT, rules, missing), missing


def test_with_everything_allowed_each_role_is_ok() -> None:
    found, missing = judged(set())
    assert [item.name for item in found] == ["role plan", "role weights", "role switch", "route push"]
    assert worst(found) is Level.OK
    assert not missing


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.path}: {rule.why}")
def test_a_rule_that_is_not_there_is_the_one_that_is_named(rule: Rule) -> None:
    """All that only this rule allows is denied: what others allow too (any name of a ConfigMap, say) stays."""
    elsewhere = {access for other in RULES if other is not rule for access in other.accesses(SPACE)}
    wider = {(access.verb, access.group, access.path) for access in elsewhere if access.name is None}
    denied = {
        access
        for access in rule.accesses(SPACE)
        if access not in elsewhere and (access.verb, access.group, access.path) not in wider
    }
    assert denied
    found, missing = judged(denied)
    assert [(item.path, item.group, item.why) for item in missing] == [(rule.path, rule.group, rule.why)]
    assert {access for item in missing for access in item.accesses(SPACE)} == denied
    lines = [item for item in found if item.theirs]
    [told] = [item for item in lines if item.name != "route push"]
    assert missing[0].as_yaml() in str(told.remedy)
    assert told.level is (Level.WARN if rule.optional else Level.FAIL)


@given(st.sets(st.sampled_from(ALL), min_size=1, max_size=12))
def test_what_is_asked_for_covers_everything_denied_and_stays_within_the_rules(denied: set[Access]) -> None:
    _, missing = judged(denied)
    asked = {access for rule in missing for access in rule.accesses(SPACE)}
    assert denied <= asked <= set(ALL)


@settings(max_examples=25)
@given(st.sets(st.sampled_from(ALL), min_size=1, max_size=6))
def test_the_request_holds_the_missing_rules_as_roles_that_can_be_applied(denied: set[Access]) -> None:
    found, missing = judged(denied)
    diagnosis = Diagnosis(
        environment="test",
        where="here",
        findings=tuple(found),
        user="system:serviceaccount:tools:pipeline",
        missing=missing,
    )
    text = request_text(ENVIRONMENT, diagnosis, NOW)
    block = text.split("```yaml\n")[1].split("```")[0]
    roles = cast("list[dict[str, Any]]", list(yaml.safe_load_all(block)))
    assert {role["kind"] for role in roles} <= {"Role", "ClusterRole"}
    allowed = {
        (verb, group, path, name)
        for role in roles
        for rule in role["rules"]
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for path in rule["resources"]
        for name in rule.get("resourceNames", [None])
    }
    assert {(item.verb, item.group, item.path, item.name) for item in denied} <= allowed
    for role in roles:
        binding = "rolebinding" if role["kind"] == "Role" else "clusterrolebinding"
        assert f"kubectl create {binding} {role['metadata']['name']}" in text
    assert "'--serviceaccount=tools:pipeline'" in text


@pytest.mark.parametrize(
    ("user", "option"),
    [("jane@example.com", "'--user=jane@example.com'"), (None, "'--user=OUR-USER'"),
     ("system:serviceaccount:a:b", "'--serviceaccount=a:b'")],
)  # fmt: skip
def test_the_binding_is_for_whoever_we_are(user: str | None, option: str) -> None:
    found, missing = judged({ALL[0]})
    diagnosis = Diagnosis(environment="test", where="here", findings=tuple(found), user=user, missing=missing)
    assert option in request_text(ENVIRONMENT, diagnosis, NOW)


def test_a_request_without_anything_to_ask_says_so() -> None:
    diagnosis = Diagnosis(environment="test", where="here", findings=())
    assert "Nothing is missing." in request_text(ENVIRONMENT, diagnosis, NOW)


FORWARD = {access for access in ALL if access.subresource == "portforward"}
EXEC = {access for access in ALL if access.subresource == "exec"}
PASSWORDS = {access for access in ALL if access.resource == "secrets" and str(access.name).endswith("-rsync")}


@pytest.mark.parametrize(
    ("denied", "routes", "level", "said"),
    [
        (set(), ("push",), Level.OK, "by pods/portforward"),
        (EXEC, ("push",), Level.OK, "by pods/portforward"),
        (FORWARD, ("push",), Level.OK, "by pods/exec"),
        (PASSWORDS, ("push",), Level.OK, "by pods/exec"),
        (FORWARD | EXEC, ("push",), Level.FAIL, "one has no other route"),
        (PASSWORDS | EXEC, ("push",), Level.FAIL, "one has no other route"),
        (FORWARD | EXEC, ("fetch", "push"), Level.WARN, "the route fetch is left"),
    ],
)
def test_one_way_to_push_is_enough(
    denied: set[Access], routes: tuple[str, ...], level: Level, said: str
) -> None:
    env = environment("one", routes=routes)
    rules = permissions(env)
    answers = {access: access not in denied for rule in rules for access in rule.accesses(SPACE)}
    found = judge_access(env, rules, missing_rules(rules, answers, SPACE))
    [line] = [item for item in found if item.name == "route push"]
    assert line.level is level
    assert said in line.said
