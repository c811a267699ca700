"""What a command says that lacks one rule of `weighbridge rbac`, and what goes on without some. Tests run in order on one estate."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from lightkube import Client

from support.estate import Estate
from support.least_privilege import access, user, without
from weighbridge.domain.naming import job_name
from weighbridge.kubernetes.client import SECRET
from weighbridge_sandbox.grants import allowed
from weighbridge_sandbox.kube import connect as administrator

pytestmark = pytest.mark.sandbox

IFM = "watsonxaiifm.cpd.ibm.com"


@pytest.fixture(scope="module")
def admin(sandbox: object) -> Iterator[Client]:
    assert sandbox is not None
    with administrator(field_manager="tests") as client:
        yield client


@dataclass(frozen=True)
class Lack:
    """Who holds a rule, the command that meets its absence, and the access."""

    holder: str
    command: str
    verb: str
    resource: str
    name: str | None
    group: str = ""

    def __str__(self) -> str:
        return f"{self.command} without {self.verb} {self.resource}"


LACKS = [
    Lack("plan", "status", "get", "watsonxaiifm", "watsonxaiifm-cr", IFM),
    Lack("plan", "plan", "get", "configmaps", "weighbridge-{env}-receipts"),
    Lack("plan", "plan", "get", "persistentvolumeclaims", "{env}-llama-fetch-weights"),
    Lack("cluster", "plan", "get", "namespaces", "kube-system"),
    Lack("weights", "apply", "create", "persistentvolumeclaims", "{env}-llama-fetch-weights"),
    Lack("weights", "apply", "create", "secrets", "{credentials}"),
    Lack("weights", "apply", "create", "jobs", "{fetch}", "batch"),
    Lack("weights", "apply", "list", "pods", None),
    Lack("switch", "apply", "create", "configmaps", None),
    Lack("switch", "apply", "patch", "watsonxaiifm", "watsonxaiifm-cr", IFM),
    Lack("switch", "destroy", "patch", "configmaps", "weighbridge-{env}-intents"),
]
"""In the order of a first apply: each goes one step further."""


def only(estate: Estate, model_id: str) -> list[dict[str, Any]]:
    return [model for model in estate.environment["models"] if model["id"] == model_id]


@pytest.mark.parametrize("lack", LACKS, ids=str)
def test_a_command_that_lacks_one_rule_names_it(estate: Estate, admin: Client, lack: Lack) -> None:
    one = only(estate, "llama-fetch")
    estate.written(models=one)
    arguments = ["--yes"] if lack.command == "destroy" else []
    if lack.command == "destroy":
        estate.applied(models=one)
    made = {kind: job_name(estate.name, "llama-fetch", kind) for kind in ("credentials", "fetch")}
    name = lack.name and lack.name.format(env=estate.name, **made)
    asked = access(estate, lack.verb, lack.resource, name, group=lack.group)
    with without(estate, admin, asked):
        ran = estate.run(lack.command, *arguments, models=one)
    assert ran.code in {3, 4}, ran.said
    assert "Traceback" not in ran.said
    assert f"`{user(estate)}` may not {asked}" in ran.said
    named = f", resourceNames: [{asked.name}]" if asked.name else ""
    rule = f'{{apiGroups: ["{lack.group}"], resources: [{lack.resource}], verbs: [{lack.verb}]{named}}}'
    assert rule in ran.said
    assert ("the ClusterRole" if lack.holder == "cluster" else f"Role `{lack.holder}`") in ran.said
    assert estate.leftovers() == []


def test_what_is_only_comfort_stops_nothing(estate: Estate, admin: Client) -> None:
    one = only(estate, "llama-fetch")
    estate.written(models=one)
    optional = [
        access(estate, "get", "namespaces", estate.name),
        access(estate, "get", "storageclasses", "sandbox-rwx", group="storage.k8s.io"),
        access(estate, "list", "storageclasses", group="storage.k8s.io"),
        access(estate, "list", "events"),
        access(estate, "get", "pods/log"),
    ]
    with without(estate, admin, *optional):
        ran = estate.run("apply", models=one)
        assert ran.code == 0, ran.said
        ran = estate.run("verify", models=one)
        assert ran.code == 0, ran.said


def test_an_existing_secret_spares_every_permission_on_secrets_but_one_get(
    estate: Estate, admin: Client
) -> None:
    layout = estate.layout
    keys = {"AWS_ACCESS_KEY_ID": layout.s3_access_key, "AWS_SECRET_ACCESS_KEY": layout.s3_secret_key}
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "models-s3", "namespace": estate.name},
        "stringData": {key: file.read_text().strip() for key, file in keys.items()},
    }
    estate.kube.create(SECRET, body)
    model = estate.model("by-secret", "fetch")
    model["source"]["s3"]["credentials"] = {"secret": "models-s3"}
    applied = estate.applied(models=[model])
    assert applied["complete"]
    for verb in ("create", "patch", "delete", "update", "list"):
        asked = access(estate, verb, "secrets", job_name(estate.name, "by-secret", "credentials"))
        assert not allowed(admin, user(estate), asked)
    assert allowed(admin, user(estate), access(estate, "get", "secrets", "models-s3"))


def test_where_secrets_may_not_be_made_a_push_goes_by_exec(estate: Estate, admin: Client) -> None:
    model = estate.model("no-secrets", "push")
    estate.written(models=[model])
    pod = job_name(estate.name, "no-secrets", "rsync")
    denied = [access(estate, verb, "secrets", pod) for verb in ("get", "create", "patch", "delete")]
    with without(estate, admin, *denied):
        ran = estate.run("apply", "--verbose", models=[model])
        assert ran.code == 0, ran.said
        assert "the files go by exec, which needs no password" in ran.said
        assert estate.leftovers() == []


def test_where_a_push_has_no_way_left_the_rules_that_would_open_one_are_named(
    estate: Estate, admin: Client
) -> None:
    model = estate.model("no-way", "push")
    estate.written(models=[model])
    pod = job_name(estate.name, "no-way", "rsync")
    denied = [access(estate, "create", "secrets", pod)]
    denied += [access(estate, verb, "pods/exec", pod) for verb in ("get", "create")]
    with without(estate, admin, *denied):
        ran = estate.run("apply", models=[model])
        assert ran.code in {3, 4}, ran.said
        for rule in ("resources: [secrets], verbs: [create]", "resources: [pods/exec], verbs: ["):
            assert rule in ran.said
        assert estate.leftovers() == []


def test_without_port_forward_a_push_goes_by_exec(estate: Estate, admin: Client) -> None:
    model = estate.model("no-forward", "push")
    estate.written(models=[model])
    pod = job_name(estate.name, "no-forward", "rsync")
    with without(
        estate, admin, *(access(estate, verb, "pods/portforward", pod) for verb in ("get", "create"))
    ):
        ran = estate.run("apply", "--verbose", models=[model])
        assert ran.code == 0, ran.said
        assert "using exec instead" in ran.said
