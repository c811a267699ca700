"""Permissions, room by room: what each environment needs, and that no rule is wider than it has to be."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weighbridge.domain.access import Role, Rule, least_role, of_role
from weighbridge.domain.naming import job_name
from weighbridge.environment.types import Environment
from weighbridge.permissions import missing_rule, permissions

PAIR = {"access_key": {"env": "K"}, "secret_key": {"env": "S"}}
EXISTING = {"secret": "models-s3"}


def environment(*models: dict[str, Any], name: str = "stage") -> Environment:
    document = {
        "name": name,
        "cluster": {"context": "c", "namespace": "cpd"},
        "platform": {"version": "5.2"},
        "state": {"backend": "file://./state", "passphrase": {"env": "P"}},
        "pods": {"image": "registry.example.com/python@sha256:" + "0" * 64},
        "models": [*models],
    }
    return Environment.model_validate(document, strict=False)


def model(
    model_id: str, *routes: str, credentials: dict[str, Any] | None = None, **storage: str
) -> dict[str, Any]:
    source = {"bucket": "b-b", "endpoint": "https://s3.example.com", "credentials": credentials or PAIR}
    return {
        "id": model_id,
        "source": {"s3": source},
        "storage": storage or {"storage_class": "fast"},
        "routes": [*routes],
    }


MODELS = st.lists(
    st.builds(
        model,
        st.sampled_from(["a", "Big/Model_1", "b.c"]),
        st.sampled_from(["fetch", "push"]),
        credentials=st.sampled_from([PAIR, EXISTING]),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda found: found["id"],
)


def named(rules: tuple[Rule, ...], resource: str, verb: str) -> set[str]:
    return {
        name
        for rule in rules
        if rule.path == resource and verb in rule.verbs
        for name in rule.names or ("*",)
    }


@settings(deadline=None, max_examples=40)
@given(MODELS)
def test_plan_gets_and_the_api_server_knows_every_name(models: list[dict[str, Any]]) -> None:
    for rule in of_role(permissions(environment(*models)), Role.PLAN, namespaced=True):
        assert rule.verbs == ("get",)
        assert rule.names


@settings(deadline=None, max_examples=40)
@given(MODELS)
def test_only_what_has_no_name_yet_is_allowed_without_one(models: list[dict[str, Any]]) -> None:
    free = {
        (verb, rule.path)
        for rule in permissions(environment(*models))
        if not rule.names
        for verb in rule.verbs
    }
    assert free <= {
        ("list", "storageclasses"),
        ("list", "persistentvolumeclaims"),
        ("get", "csidrivers"),
        ("list", "resourcequotas"),
        ("list", "limitranges"),
        ("list", "networkpolicies"),
        ("create", "leases"),
        ("create", "configmaps"),
        ("list", "pods"),
        ("get", "pods/log"),
        ("list", "events"),
    }


@settings(deadline=None, max_examples=40)
@given(MODELS)
def test_every_access_that_is_denied_leads_back_to_its_rule(models: list[dict[str, Any]]) -> None:
    """A refused command names a rule that allows what it lacked, and a Role that really holds it."""
    rules = permissions(environment(*models))
    for rule in rules:
        for access in rule.accesses("cpd"):
            found = missing_rule(access)
            assert found is not None
            assert (found.group, found.path, found.verbs) == (rule.group, rule.path, (access.verb,))
            assert found.names in {(), (access.name,)}
            assert least_role(found) in rule.needed_by or any(
                access in other.accesses("cpd") and least_role(found) in other.needed_by for other in rules
            )


@settings(deadline=None, max_examples=40)
@given(MODELS)
def test_no_access_stands_twice_in_a_role(models: list[dict[str, Any]]) -> None:
    rules = permissions(environment(*models))
    for role in Role:
        asked = [access for rule in of_role(rules, role, namespaced=True) for access in rule.accesses("cpd")]
        assert len(asked) == len(set(asked))


def test_with_an_existing_secret_fetching_takes_one_get_of_it_and_no_other_secret_verb() -> None:
    rules = permissions(environment(model("m", "fetch", credentials=EXISTING)))
    secrets = [rule for rule in rules if rule.resource == "secrets"]
    assert [(rule.verbs, rule.names) for rule in secrets] == [(("get",), ("models-s3",))]


def test_keys_by_reference_take_a_short_lived_secret_where_they_are_fetched_with() -> None:
    rules = permissions(environment(model("m", "fetch"), model("n", "push")))
    keys, password = job_name("stage", "m", "credentials"), job_name("stage", "n", "rsync")
    assert named(rules, "secrets", "create") == {keys, password}
    optional = {rule.names: rule.optional for rule in rules if rule.resource == "secrets"}
    former = ("wb-stage-m-credentials", "wb-stage-n-rsync")
    assert optional == {(keys,): False, (password,): True, former: True}


def test_what_an_earlier_version_left_is_removed_by_its_names_and_never_made() -> None:
    rules = permissions(environment(model("m", "fetch", "push")))
    for resource, name in (
        ("jobs", "wb-stage-m-verify"),
        ("configmaps", "wb-stage-m-publish"),
        ("pods", "wb-stage-m-rsync"),
        ("secrets", "wb-stage-m-credentials"),
    ):
        assert {
            verb for rule in rules for verb in rule.verbs if rule.resource == resource and name in rule.names
        } == {
            "get",
            "delete",
        }
        assert name not in named(rules, resource, "create")


def test_fetching_takes_neither_exec_nor_port_forward_nor_bare_pods() -> None:
    rules = permissions(environment(model("m", "fetch")))
    assert not {rule.path for rule in rules} & {"pods/exec", "pods/portforward"}
    assert not named(rules, "pods", "create")


def test_somebody_elses_claim_is_only_looked_at() -> None:
    rules = permissions(environment(model("m", "fetch", existing_pvc="theirs"), model("n", "fetch")))
    assert named(rules, "persistentvolumeclaims", "get") == {"theirs", "stage-n-weights"}
    for verb in ("create", "patch", "delete"):
        assert named(rules, "persistentvolumeclaims", verb) == {"stage-n-weights"}
    only = permissions(environment(model("m", "fetch", existing_pvc="theirs")))
    assert named(only, "persistentvolumeclaims", "create") == set()
    assert not named(only, "storageclasses", "get")


@pytest.mark.parametrize("role", Role)
def test_no_role_can_watch_escalate_or_touch_what_is_the_clusters(role: Role) -> None:
    rules = permissions(environment(model("m", "fetch", "push")))
    mine = [rule for rule in rules if role in rule.needed_by]
    assert not {verb for rule in mine for verb in rule.verbs} & {
        "watch",
        "*",
        "bind",
        "escalate",
        "impersonate",
    }
    assert {verb for rule in mine if not rule.namespaced for verb in rule.verbs} <= {"get", "list"}
