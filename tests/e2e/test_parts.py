"""One plan, reviewed once and carried out in parts: weights any day, the switch in the change window, each by its own Role.

Tests run in order on one estate.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from lightkube.resources.rbac_authorization_v1 import RoleBinding

from support.estate import CR, Estate
from support.least_privilege import access, soon, user
from weighbridge.domain.access import Access
from weighbridge.domain.naming import job_name
from weighbridge.kubernetes.client import WATSONX_IFM
from weighbridge_sandbox.grants import allowed, log_in
from weighbridge_sandbox.kube import connect as administrator

pytestmark = pytest.mark.sandbox


@contextmanager
def without_role(estate: Estate, role: str, denied: Access) -> Iterator[None]:
    """The login less one of its Roles, while the context lasts; ``denied`` is what it may not do then."""
    estate.written()
    estate.held = True
    try:
        with administrator(field_manager="tests") as admin:
            admin.delete(RoleBinding, f"weighbridge-{estate.name}-{role}", namespace=estate.name)
            soon(lambda: not allowed(admin, user(estate), denied), f"{denied} denied")
        yield
    finally:
        estate.held = False
        estate.regranted()


def switching(estate: Estate) -> Access:
    return access(estate, "patch", "watsonxaiifm", CR, group=WATSONX_IFM.group)


def moving(estate: Estate) -> Access:
    return access(estate, "create", "jobs", job_name(estate.name, "llama-fetch", "fetch"), group="batch")


@pytest.fixture(scope="module")
def reviewed(estate: Estate) -> str:
    """The digest of the whole plan, before anything is done."""
    plan = estate.run("plan", "--json").json
    assert plan["pending"]
    assert plan["digest"] in estate.run("plan").out
    return str(plan["digest"])


def test_weights_are_brought_in_by_a_login_that_may_not_switch(estate: Estate, reviewed: str) -> None:
    before = estate.cr()["spec"]
    with without_role(estate, "switch", switching(estate)):
        done = estate.applied("--only", "weights", "--plan-digest", reviewed)
    assert [step["name"] for step in estate.run("plan", "--json", "--only", "weights").json["steps"]] == [
        "storage",
        "weights",
        "weights",
    ]
    assert {row["model_id"] for row in done["receipts"]} == {"llama-fetch", "llama-push"}
    assert estate.cr()["spec"] == before


def test_what_was_verified_is_switched_to_by_a_login_that_may_move_nothing(
    estate: Estate, reviewed: str
) -> None:
    pods = estate.pods_ever()
    unreachable = [
        {**model, "source": {"s3": {**model["source"]["s3"], "endpoint": "http://192.0.2.1"}}}
        for model in estate.environment["models"]
    ]
    with without_role(estate, "weights", moving(estate)):
        estate.applied("--only", "switch", "--plan-digest", reviewed, models=unreachable)
    assert [entry["model_id"] for entry in estate.entries()][-2:] == ["llama-fetch", "llama-push"]
    assert estate.pods_ever() == pods
    assert estate.run("plan", "--expect-no-changes").code == 0, "both parts together are the whole"


def test_a_plan_that_is_done_allows_nothing_more(estate: Estate, reviewed: str) -> None:
    assert not estate.applied("--plan-digest", reviewed)["changed"]
    index = next(i for i, entry in enumerate(estate.entries()) if entry["model_id"] == "llama-fetch")
    patch = {"op": "add", "path": f"/spec/custom_foundation_models/{index}/tags", "value": ["a foreign edit"]}
    estate.kube.json_patch(WATSONX_IFM, CR, estate.name, [patch])

    refused = estate.run("apply", "--plan-digest", reviewed)

    assert refused.code == 3, refused.said
    assert "a foreign edit" in refused.err, "what would be done is shown"
    now = estate.run("plan", "--json").json["digest"]
    assert reviewed in refused.err
    assert now in refused.err
    assert estate.entries()[index]["tags"] == ["a foreign edit"]
    estate.applied("--plan-digest", now)
    assert "tags" not in estate.entries()[index]


def test_another_team_s_edit_is_no_part_of_the_review(estate: Estate) -> None:
    models = [{**model, "tags": ["new"]} for model in estate.environment["models"]]
    digest = estate.run("plan", "--json", models=models).json["digest"]
    patch = {"op": "add", "path": "/spec/custom_foundation_models/0/tags", "value": ["theirs"]}
    estate.kube.json_patch(WATSONX_IFM, CR, estate.name, [patch])
    estate.applied("--plan-digest", digest, models=models)
    assert estate.entries()[0]["tags"] == ["theirs"]
    estate.applied()


def test_a_stack_is_run_by_its_own_context(estate: Estate) -> None:
    config = json.loads(estate.layout.kubeconfig.read_text())
    mine = estate.context(estate.name)
    token = next(row["user"]["token"] for row in config["users"] if row["name"] == mine)
    log_in(estate.layout, "switching-hours", estate.name, token)
    models = [{**model, "tags": ["by its own"]} for model in estate.environment["models"]]
    cluster = {**estate.environment["cluster"], "contexts": {"registration": "switching-hours"}}
    estate.applied(cluster=cluster, models=models)
    assert estate.entries()[-1]["tags"] == ["by its own"]
    assert estate.run("plan", "--expect-no-changes", models=models).code == 0, (
        "whose login it was changes nothing"
    )

    absent = {**cluster, "contexts": {"registration": "nobodys"}}
    refused = estate.run("plan", cluster=absent)
    assert refused.code == 3, refused.said
    assert "nobodys" in refused.err
    assert estate.run("apply", "--only", "weights", cluster=absent).code == 0, (
        "what is not run is not looked at"
    )


def test_wrong_words_are_wrong_input(estate: Estate) -> None:
    assert estate.run("apply", "--plan-digest", "w1.nonsense").code == 2
    assert estate.run("apply", "--only", "everything").code == 2
    refused = estate.run("verify", "--only", "switch")
    assert (refused.code, "nothing of `--only switch`" in refused.err) == (2, True)
