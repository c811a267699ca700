"""The whole examination over a fake world: it never stops at the first failure, says what it did not look at, and why."""

import threading
from contextlib import closing
from pathlib import Path

import pytest

from support.probes import FakeProbes, ProbePorts
from support.world import FakeCluster, World, environment
from weighbridge.core.finding import Diagnosis, Finding, Level
from weighbridge.doctor.examine import examine
from weighbridge.domain.model.flaws import Flaw, warning
from weighbridge.environment.types import Environment
from weighbridge.errors import ForbiddenError, PreconditionError, StepFailedError
from weighbridge.kubernetes.client import connect
from weighbridge.probing.deadline import within
from weighbridge.probing.probes import PodReport

KUBECONFIG = """
current-context: here
clusters: [{{name: c, cluster: {{server: {server}}}}}]
contexts: [{{name: here, context: {{cluster: c}}}}]
"""


def diagnose(
    probes: FakeProbes, found: Environment | None = None, *, pods: bool = False, seconds: float = 30
) -> Diagnosis:
    env = found or environment("one", "two", routes=("fetch", "push"))

    return examine(env, ProbePorts(probes), pods=pods, seconds=seconds)


def failing(diagnosis: Diagnosis) -> list[Finding]:
    return [finding for finding in diagnosis.findings if finding.level is Level.FAIL]


def line(diagnosis: Diagnosis, area: str, name: str) -> Finding:
    return next(item for item in diagnosis.findings if item.area == area and item.name.startswith(name))


def test_a_healthy_world_is_ok_and_starts_no_pod() -> None:
    probes = FakeProbes()
    diagnosis = diagnose(probes)
    assert diagnosis.exit_code == 0
    assert not failing(diagnosis)
    assert [item.name for item in diagnosis.findings if item.level is Level.WARN] == ["from pods"]
    assert "pod" not in probes.asked
    assert not diagnosis.asked


@pytest.mark.parametrize(
    "probe",
    ["tools", "references", "reach", "listing one", "where", "server", "uid", "allowed", "namespace", "served_versions", "custom_resource", "operators", "storage_class", "csi_driver", "claim", "quotas", "limit_ranges", "network_policies", "rehearse", "under_way", "states"],
)  # fmt: skip
def test_whatever_breaks_everything_that_does_not_depend_on_it_is_looked_at(probe: str) -> None:
    """Each broken probe gives a line that carries its words, and every other independent probe is still used."""
    broken = FakeProbes(broken={probe: PreconditionError("it is broken", remedy="mend it", code="broken")})
    diagnosis = diagnose(broken)
    told = [item for item in diagnosis.findings if item.said == "it is broken"]
    assert told
    assert all(item.remedy == "mend it" and item.level is not Level.OK for item in told)
    depending = {
        "where": {"server"},
        "server": {"uid"},
        "reach": {"listing one", "listing two", "rehearse"},
        "served_versions": set(),
        "storage_class": {"csi_driver"},
    }.get(probe, set())
    healthy = FakeProbes()
    diagnose(healthy)
    if probe in {"where", "server"}:
        assert {"tools", "states", "listing one"} <= set(broken.asked)
        for area in ("permissions", "registration", "storage", "quota", "admission", "network"):
            assert "not looked at, because the cluster was not reached" in line(diagnosis, area, "").said
    else:
        assert set(healthy.asked) - depending <= set(broken.asked)
    for name in depending & set(broken.asked):
        assert name == probe


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("token: 2020-99-99", "looks like a date or a number and is none"),
        ("[" * 600, "nested too deeply"),
        (KUBECONFIG.format(server="'https://x\ny'"), "cluster.server is no http"),
        (KUBECONFIG.format(server="https://u:PLANTED@x"), "cluster.server has a user or a password in it"),
    ],
    ids=["date", "depth", "URL", "password"],
)
def test_a_kubeconfig_that_cannot_be_used_is_a_line_and_the_rest_is_looked_at(
    tmp_path: Path, content: str, words: str
) -> None:
    """By the connection that the doctor makes."""
    (tmp_path / "config").write_text(content)

    class Probes(FakeProbes):
        @property
        def where(self) -> str:
            with closing(connect(context=None, environ={"KUBECONFIG": str(tmp_path / "config")})) as kube:
                return kube.where

    probes = Probes()
    diagnosis = diagnose(probes)
    found = line(diagnosis, "cluster", "kubeconfig")
    assert words in found.said
    assert found.remedy
    assert "PLANTED" not in str(diagnosis)
    assert {"tools", "states"} <= set(probes.asked)


def test_a_source_that_is_not_reached_is_not_taken_for_a_wrong_login() -> None:
    refused = ({"stage": "dns", "ok": False, "code": "dns-failed", "said": "does not resolve"},)
    diagnosis = diagnose(FakeProbes(way=refused))
    assert [item.name for item in failing(diagnosis)] == ["s3.example.com from here: name"]
    assert "its server was not reached" in line(diagnosis, "source", "login for one").said
    assert (
        "its name failed"
        in line(diagnosis, "source", "s3.example.com from here: connection, TLS, answer").said
    )
    assert "could not be listed" in line(diagnosis, "admission", "objects of one").said


def test_a_missing_secret_is_told_once_and_the_login_waits_for_it() -> None:
    missing = PreconditionError("environment variable KEY is not set", code="secret-missing")
    diagnosis = diagnose(
        FakeProbes(broken={"env:KEY": missing, "listing one": missing, "listing two": missing})
    )
    assert [item.name for item in failing(diagnosis)] == ["secret env:KEY"]
    assert (
        line(diagnosis, "source", "login for one").said
        == "not looked at, because its keys are missing (see secrets)"
    )


def test_what_may_not_be_read_is_no_failure_by_itself() -> None:
    denied = ForbiddenError(
        "`someone` may not list resourcequotas", remedy="ask for the rule", code="cluster-forbidden"
    )
    diagnosis = diagnose(FakeProbes(broken={"quotas": denied}))
    assert diagnosis.exit_code == 0
    assert "may not list resourcequotas" in line(diagnosis, "quota", "ResourceQuota").said
    assert line(diagnosis, "quota", "ResourceQuota").remedy == "ask for the rule"


def test_a_probe_that_never_answers_is_given_up_and_the_rest_goes_on() -> None:
    never = threading.Event()

    def hang() -> None:
        never.wait(30)

    diagnosis = diagnose(FakeProbes(hang=hang), seconds=3)
    never.set()
    assert [item.said for item in failing(diagnosis)] == ["no answer within 3 s"]
    assert line(diagnosis, "state", "stack storage").level is Level.OK


def test_within_gives_results_errors_and_up() -> None:
    assert within(5, "x", lambda: 7) == 7
    with pytest.raises(PreconditionError, match="no"):
        within(5, "x", lambda: (_ for _ in ()).throw(PreconditionError("no")))
    stop = threading.Event()
    with pytest.raises(StepFailedError, match=r"within 0\.05 s"):
        within(0.05, "x", stop.wait)
    stop.set()


def test_a_pod_mounts_the_claim_only_where_it_is_bound() -> None:
    bound = {
        "metadata": {
            "name": "test-one-weights",
            "uid": "u",
            "labels": {"weighbridge.dev/environment": "test"},
        },
        "spec": {"accessModes": ["ReadWriteMany"], "storageClassName": "fast"},
        "status": {"phase": "Bound", "capacity": {"storage": "64Mi"}},
    }
    pending = {**bound, "status": {"phase": "Pending"}}
    probes = FakeProbes(claims={"test-one-weights": bound, "test-two-weights": pending})
    diagnosis = diagnose(probes, pods=True)
    assert probes.mounted == [("one", True), ("two", False)]
    assert "not there and bound" in line(diagnosis, "pods", "pod of two: volume").said


BLOCKING = {"metadata": {"name": "deny-egress"}, "spec": {"podSelector": {}, "policyTypes": ["Egress"]}}


def test_the_policy_that_keeps_a_pod_from_the_source_is_named() -> None:
    unreached = (
        {"stage": "tcp", "ok": False, "code": "tcp-timeout", "said": "192.0.2.7 port 443 does not answer"},
    )
    fetched = environment("one")
    probes = FakeProbes(policies=[BLOCKING], pods={"one": PodReport(stages=unreached)})
    diagnosis = diagnose(probes, fetched, pods=True)
    assert [(item.area, item.name) for item in failing(diagnosis)] == [
        ("pods", "pod of one: connection"),
        ("network", "policies for s3.example.com:443"),
    ]
    assert "NetworkPolicy deny-egress" in line(diagnosis, "network", "policies").said
    assert "app.kubernetes.io/managed-by=weighbridge" in str(line(diagnosis, "network", "policies").remedy)


def test_what_a_pod_does_not_reach_is_a_warning_where_the_model_can_be_pushed() -> None:
    stages = (
        {"stage": "tcp", "ok": False, "code": "tcp-timeout", "said": "no"},
        {"stage": "volume", "ok": False, "code": "volume-unwritable", "said": "no"},
    )
    diagnosis = diagnose(FakeProbes(pods={"one": PodReport(stages=stages)}), pods=True)
    assert [item.name for item in failing(diagnosis)] == ["pod of one: volume"]


def test_a_policy_that_nothing_enforces_is_a_warning_where_the_pod_got_there() -> None:
    diagnosis = diagnose(FakeProbes(policies=[BLOCKING]), environment("one"), pods=True)
    assert diagnosis.exit_code == 0
    assert "nothing enforces it here" in line(diagnosis, "network", "policies").said


def test_no_pod_is_started_beside_another_run() -> None:
    held = PreconditionError("jane's apply is under way", remedy="wait", code="run-under-way")
    diagnosis = diagnose(FakeProbes(pods={"one": PodReport(skipped=held)}), pods=True)
    assert diagnosis.exit_code == 0
    assert line(diagnosis, "pods", "pod of one").said == "not looked at, because jane's apply is under way"


def test_a_missing_permission_is_explained_once() -> None:
    """Under permissions, with the rule; whatever it hinders refers to it."""
    denied = ForbiddenError("`someone` may not list resourcequotas", remedy="ask", code="cluster-forbidden")
    probes = FakeProbes(broken={"quotas": denied}, denied=lambda access: access.resource == "resourcequotas")
    diagnosis = diagnose(probes)
    assert "(see permissions)" in line(diagnosis, "quota", "ResourceQuota").said
    assert [item.name for item in diagnosis.asked] == ["list resourcequotas"]


def test_a_pod_that_cannot_start_says_why() -> None:
    error = PreconditionError("image x cannot be pulled", remedy="mirror it", code="image-not-pulled")
    diagnosis = diagnose(FakeProbes(pods={"one": PodReport(error=error)}), pods=True)
    assert [(item.name, item.said, item.remedy) for item in failing(diagnosis)] == [
        ("pod of one", "image x cannot be pulled", "mirror it")
    ]


FLAWS = (
    Flaw("source-bad-json", "config.json is empty", "Upload it"),
    warning("w", "twice", "Leave it behind"),
)


def test_what_is_no_model_fails_here_and_not_only_at_the_apply() -> None:
    world = World(environment("one"))
    ports = ProbePorts(FakeProbes(flaws=FLAWS), holdings=FakeCluster(world))
    diagnosis = examine(environment("one"), ports, pods=False, seconds=30)
    assert [(item.name, item.said, item.remedy) for item in failing(diagnosis)] == [
        ("files of one", "config.json is empty", "Upload it")
    ]
    assert any(item.said == "twice" and item.level is Level.WARN for item in diagnosis.findings)
    world.session().apply()
    assert not failing(examine(environment("one"), ports, pods=False, seconds=30))
