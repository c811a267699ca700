"""`weighbridge doctor` on the sandbox, under the generated Roles: healthy, ill in one way at a time, and short of each single rule."""

import contextlib
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from lightkube import Client
from lightkube.resources.rbac_authorization_v1 import ClusterRole, Role
from lightkube.types import PatchType

from support.estate import BIN, Estate
from support.least_privilege import access, soon, user, without
from weighbridge.core.finding import Level
from weighbridge.doctor.access import judge_access, missing_rules
from weighbridge.doctor.made import made_probes
from weighbridge.domain.access import Rule
from weighbridge.domain.naming import job_name
from weighbridge.environment.types import Environment
from weighbridge.kubernetes.client import JOB, Kind
from weighbridge.permissions import permissions
from weighbridge.wiring import opened
from weighbridge_sandbox.kube import connect as administrator

pytestmark = pytest.mark.sandbox

QUOTA = Kind("", "v1", "ResourceQuota", "resourcequotas")
LIMITS = Kind("", "v1", "LimitRange", "limitranges")
POLICY = Kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies")
AS_THE_SANDBOX_IS = {
    "reference",  # its image has no registry, so no digest either
    "class sandbox-rwx: access mode",  # nobody else's provisioner
    "class sandbox-rwx: growing",
}


@pytest.fixture(scope="module")
def admin(sandbox: object) -> Iterator[Client]:
    assert sandbox is not None
    with administrator(field_manager="tests") as client:
        yield client


def findings(
    estate: Estate, *arguments: str, expect: int, env: dict[str, str] | None = None, **changes: Any
) -> dict[str, dict[str, Any]]:
    """Of `doctor --json`, by area and name."""
    ran = estate.run("doctor", "--json", *arguments, env=env, **changes)
    assert ran.code == expect, ran.said
    return {f"{item['area']}, {item['name']}": item for item in ran.json["findings"]}


def bad(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: item["said"] for name, item in found.items() if item["level"] == "fail"}


def only(estate: Estate, model_id: str, **source: Any) -> list[dict[str, Any]]:
    [model] = [item for item in estate.environment["models"] if item["id"] == model_id]
    return [{**model, "source": {"s3": {**model["source"]["s3"], **source}}}]


@contextlib.contextmanager
def there(estate: Estate, kind: Kind, name: str, spec: dict[str, Any]) -> Iterator[None]:
    """An object of somebody else's in the namespace, for the body."""
    metadata = {"name": name, "namespace": estate.name}
    estate.kube.create(
        kind, {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": spec}
    )
    try:
        yield
    finally:
        estate.kube.delete(kind, name, estate.name)


def test_a_healthy_environment_is_ok_and_nothing_is_written(estate: Estate) -> None:
    found = findings(estate, expect=0)
    assert bad(found) == {}
    warned = {item["name"] for item in found.values() if item["level"] == "warn"}
    assert warned == AS_THE_SANDBOX_IS | {"from pods"}
    assert found["cluster, login"]["said"] == user(estate)
    areas = {item["area"] for item in found.values()}
    assert areas == {
        *(
            "tools",
            "image",
            "source",
            "cluster",
            "permissions",
            "registration",
            "storage",
            "quota",
            "admission",
        ),
        *("state", "network", "pods"),
    }
    assert not list(estate.folder.glob("var/doctor/*")), "nothing is to be asked of anybody"
    assert estate.leftovers() == []
    assert estate.pods_ever() == set()
    assert estate.kube.list(Kind("", "v1", "Pod", "pods"), estate.name) == []


def test_pods_look_and_leave_nothing_behind(estate: Estate) -> None:
    """One model on a claim that is there and bound, fetched; one that is pushed, whose claim does not exist yet."""
    [fetched], [pushed] = only(estate, "llama-fetch"), only(estate, "llama-push")
    models = [{**fetched, "storage": {"existing_pvc": "team-a-models"}}, pushed]
    found = findings(estate, "--pods", expect=0, models=models)
    assert found["pods, pod of llama-fetch: login"]["level"] == "ok"
    assert "writable for user 1000700000" in found["pods, pod of llama-fetch: volume"]["said"]
    assert found["pods, pod of llama-push: rsync"]["level"] == "ok"
    assert "not there and bound yet" in found["pods, pod of llama-push: volume"]["said"]
    assert len(estate.pods_ever()) == 2
    assert estate.leftovers() == []
    assert estate.kube.list(Kind("", "v1", "Pod", "pods"), estate.name) == []


def test_a_wrong_key_is_told_from_a_wrong_bucket_a_closed_port_and_a_missing_variable(estate: Estate) -> None:
    one = only(estate, "llama-fetch")
    found = findings(estate, "--pods", expect=3, env={"SANDBOX_S3_SECRET_KEY": "wrong"}, models=one)
    assert "the secret key does not belong to" in bad(found)["source, login for llama-fetch"]
    assert "SignatureDoesNotMatch" in bad(found)["pods, pod of llama-fetch: login"]
    assert found["pods, pod of llama-fetch: connection"]["level"] == "ok"

    found = findings(estate, expect=3, models=only(estate, "llama-fetch", bucket="no-such-bucket"))
    assert list(bad(found)) == ["source, login for llama-fetch"]
    assert "'no-such-bucket' does not exist" in bad(found)["source, login for llama-fetch"]

    closed = "10.213.77.1:9"
    found = findings(estate, expect=3, models=only(estate, "llama-fetch", endpoint=f"http://{closed}"))
    assert list(bad(found)) == [f"source, {closed} from here: connection"]
    assert (
        found["source, login for llama-fetch"]["said"] == "not looked at, because its server was not reached"
    )

    credentials = {"access_key": {"env": "NOT_SET"}, "secret_key": {"env": "SANDBOX_S3_SECRET_KEY"}}
    found = findings(estate, expect=3, models=only(estate, "llama-fetch", credentials=credentials))
    assert list(bad(found)) == ["source, secret env:NOT_SET"]


def test_an_absent_storage_class_is_named(estate: Estate) -> None:
    [model] = only(estate, "llama-fetch")
    found = findings(estate, expect=3, models=[{**model, "storage": {"storage_class": "no-such-class"}}])
    assert list(bad(found)) == ["storage, class no-such-class"]


def test_a_quota_and_a_limit_range_that_are_too_small_are_named_and_so_is_what_admission_would_say(
    estate: Estate,
) -> None:
    hard = {"requests.storage": "200Mi"}  # the other teams' claims take 128 MiB of it
    limit = {"limits": [{"type": "Container", "max": {"memory": "300Mi"}}]}
    with there(estate, QUOTA, "tight", {"hard": hard}), there(estate, LIMITS, "small", limit):
        soon(
            lambda: "requests.storage" in ((estate.kube.get(QUOTA, "tight", estate.name) or {}).get("status", {}).get("used") or {}),
            "the quota counted",
        )  # fmt: skip
        found = findings(estate, expect=3)
    assert "requests.storage: 128Mi of 200Mi used" in bad(found)["quota, ResourceQuota tight"]
    assert "at most 300Mi of memory, ours has a limit of 512Mi" in bad(found)["quota, LimitRange small"]
    refused = {name: said for name, said in bad(found).items() if name.startswith("admission")}
    pod = next(said for name, said in refused.items() if "Pod " in name)
    assert "maximum memory usage per Container is 300Mi" in pod
    request = (estate.folder / "var" / "doctor" / f"{estate.name}-request.md").read_text()
    assert "ResourceQuota tight" in request
    assert "LimitRange small" in request


def test_a_policy_of_the_cluster_answers_beforehand_in_its_own_words(estate: Estate) -> None:
    """The generated policy still stands for another image than the one that is now wanted."""
    estate.written()
    estate.held = True
    try:
        found = findings(estate, expect=3, pods={"image": "registry.example.com/other:1"})
    finally:
        estate.held = False
    told = {name: said for name, said in bad(found).items() if name.startswith("admission")}
    assert {name.split()[1] for name in told} == {"Job", "Pod"}
    assert all("registry.example.com/other:1 is not this environment's" in said for said in told.values())


def test_a_network_policy_is_named_and_weighed_against_what_a_pod_found(estate: Estate) -> None:
    """The sandbox's network enforces no policies, so that the pod gets there all the same, and doctor says so."""
    one = only(estate, "llama-fetch")
    spec = {
        "podSelector": {"matchLabels": {"app.kubernetes.io/managed-by": "weighbridge"}},
        "policyTypes": ["Egress"],
    }
    name = "network, policies for 10.213.77.1:27070"
    with there(estate, POLICY, "no-way-out", spec):
        found = findings(estate, expect=3, models=one)
        assert "NetworkPolicy no-way-out selects our pods and does not allow" in bad(found)[name]
        found = findings(estate, "--pods", expect=0, models=one)
        assert found[name]["level"] == "warn"
        assert "nothing enforces it here" in found[name]["said"]


def test_an_interrupted_probe_is_removed(estate: Estate) -> None:
    """The image cannot be had, so the pod waits, and Ctrl-C comes."""
    changes = {"models": only(estate, "llama-fetch"), "pods": {"image": "weighbridge.local/absent:1"}}
    file = estate.written(**changes)
    command = [str(BIN / "weighbridge"), "doctor", str(file), "--pods"]
    with subprocess.Popen(
        command, cwd=estate.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        job = job_name(estate.name, "llama-fetch", "verify")
        soon(lambda: estate.kube.get(JOB, job, estate.name) is not None, "the probe's Job", seconds=120)
        soon(lambda: bool(estate.kube.list(Kind("", "v1", "Pod", "pods"), estate.name)), "its pod")
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=60)
    assert run.returncode == 130, said
    assert estate.leftovers() == []
    assert estate.kube.list(Kind("", "v1", "Pod", "pods"), estate.name) == []
    leases = Kind("coordination.k8s.io", "v1", "Lease", "leases")
    assert estate.kube.list(leases, estate.name) == []


# -- permissions -----------------------------------------------------------------------------------------------------


def settled(
    look: Callable[[], tuple[Rule, ...]], wanted: Callable[[tuple[Rule, ...]], bool]
) -> tuple[Rule, ...]:
    """What ``look`` gives once the API server has taken in the Roles, or at the latest after some seconds."""
    limit = time.monotonic() + 20
    while not wanted(found := look()) and time.monotonic() < limit:
        time.sleep(0.05)
    return found


def test_each_single_rule_that_is_taken_away_is_the_one_that_doctor_names(
    estate: Estate, admin: Client, tmp_path: Path
) -> None:
    """Every rule of `weighbridge rbac` in turn, on the real API server: the very judgement that doctor prints."""
    file = estate.written()
    environment = Environment.model_validate(yaml.safe_load(file.read_text()), strict=False)
    rules, label = permissions(environment), {"weighbridge.dev/environment": estate.name}
    client = cast("Any", admin)
    whole = [
        (kind, role.metadata.name, [rule.to_dict() for rule in role.rules])
        for kind, where in ((Role, {"namespace": estate.name}), (ClusterRole, {}))
        for role in client.list(kind, labels=label, **where)
    ]

    def stand(left_out: Rule | None) -> None:
        for kind, name, parts in whole:
            kept = [part for part in parts if left_out is None or not same(part, left_out)]
            where = {"namespace": estate.name} if kind is Role else {}
            client.patch(kind, name, {"rules": kept}, patch_type=PatchType.MERGE, **where)

    estate.held = True
    try:
        with (
            (tmp_path / "said").open("w") as said,
            opened(str(file), said, as_json=False, verbose=False) as session,
        ):
            probes = made_probes(session)

            def missing() -> tuple[Rule, ...]:
                asked = [item for rule in rules for item in rule.accesses(estate.name)]
                return missing_rules(rules, probes.allowed(asked), estate.name)

            for rule in rules:
                stand(rule)
                found = settled(missing, lambda found, rule=rule: [item.why for item in found] == [rule.why])  # type: ignore[misc]
                assert [(item.group, item.path, item.why) for item in found] == [
                    (rule.group, rule.path, rule.why)
                ]
                assert set(found[0].verbs) <= set(rule.verbs)
                assert found[0].names == rule.names
                lines = [
                    item
                    for item in judge_access(environment, rules, found)
                    if found[0].as_yaml() in str(item.remedy)
                ]
                assert [item.level for item in lines] == [Level.WARN if rule.optional else Level.FAIL]
            stand(None)
            assert settled(missing, lambda found: not found) == ()
    finally:
        stand(None)
        estate.held = False
    assert len(rules) >= 30


def same(part: dict[str, Any], rule: Rule) -> bool:
    return (
        part["apiGroups"] == [rule.group]
        and part["resources"] == [rule.path]
        and part["verbs"] == list(rule.verbs)
        and tuple(part.get("resourceNames") or ()) == rule.names
    )


def test_what_the_request_file_holds_mends_what_was_missing(
    estate: Estate, admin: Client, tmp_path: Path
) -> None:
    """Applied as it is written, by an administrator with kubectl."""
    request = tmp_path / "request.md"
    estate.written()
    taken = [
        access(estate, "patch", "watsonxaiifm", "watsonxaiifm-cr", group="watsonxaiifm.cpd.ibm.com"),
        access(estate, "get", "namespaces", "kube-system"),
    ]
    with without(estate, admin, *taken):
        found = findings(estate, f"--request={request}", expect=3)
        assert {name for name in bad(found) if name.startswith("permissions, ") and "role" not in name} == {
            "permissions, patch watsonxaiifm.watsonxaiifm.cpd.ibm.com",
            "permissions, get namespaces",
        }
        text = request.read_text()
        assert user(estate) in text
        manifest = tmp_path / "roles.yaml"
        manifest.write_text(text.split("```yaml\n")[1].split("```")[0])
        calls = [shlex.split(line) for line in re.findall(r"^kubectl create .*$", text, re.MULTILINE)]
        calls.insert(0, ["kubectl", "apply", "-f", str(manifest)])
        try:
            for call in calls:
                subprocess.run(
                    [*call, "--context=weighbridge-sandbox"],
                    check=True,
                    capture_output=True,
                    timeout=60,
                    env=os.environ,
                )
            soon(lambda: estate.run("doctor").code == 0, "doctor content with what was asked for", seconds=60)
        finally:
            wide = f"weighbridge-{estate.name}-{estate.name}-missing"
            for kind in ("clusterrolebinding", "clusterrole"):
                subprocess.run(
                    ["kubectl", "--context=weighbridge-sandbox", "delete", kind, wide],
                    check=False,
                    capture_output=True,
                    timeout=60,
                )
