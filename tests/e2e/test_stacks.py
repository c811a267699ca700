"""The stacks on the real engine, the real providers and the real API server."""

import base64
import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config

from support.stacks_lab import (
    PASSPHRASE,
    SLOW,
    A,
    B,
    Lab,
    command_line,
    entry,
    kubectl,
    processes_below,
    scratch_folders,
)
from support.third_stack import THIRD
from weighbridge.core.events import Event, ResourceChanged
from weighbridge.domain.credentials import S3Keys
from weighbridge.domain.digest import digest
from weighbridge.domain.stacks import Op, PropertyChange, StackSpec
from weighbridge.engines.pulumi.backend import Bucket
from weighbridge.errors import PreconditionError
from weighbridge_sandbox.layout import S3_ENDPOINT, Layout
from weighbridge_sandbox.tenancy import create_operands, delete_operands

pytestmark = [
    pytest.mark.sandbox,
    # Pulumi's SDK leaves event loops and sockets of its inline programs to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def nobody(event: Event) -> None:
    del event


def soon(holds: Callable[[], bool], seconds: float = 30) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not holds():
        time.sleep(0.05)
    return holds()


@pytest.fixture(scope="module")
def namespace(sandbox: Layout) -> Iterator[str]:
    del sandbox
    name = f"stacks-{os.getpid() % 100000}"
    create_operands(name)
    Lab(name, Path()).log_in()
    yield name
    delete_operands(name)


@pytest.fixture
def lab(namespace: str, tmp_path: Path) -> Iterator[Lab]:
    yield Lab(namespace, tmp_path)
    for name in sorted(Lab(namespace, tmp_path).claims() - {"team-a-models", "team-b-models"}):
        kubectl("delete", "pvc", name, "-n", namespace)
    assert scratch_folders(os.getpid()) == [], "nothing stays on tmpfs"
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # Pulumi's SDK leaves event loops and sockets to the garbage collector
        gc.collect()


def test_a_preview_of_a_stack_that_does_not_exist_shows_everything_and_creates_nothing(lab: Lab) -> None:
    preview = lab.stacks().preview(lab.storage(lab.claim(A), lab.claim(B)))
    assert [(change.name, change.op, change.type) for change in preview.changes] == [
        (A, Op.CREATE, "v1/PersistentVolumeClaim"),
        (B, Op.CREATE, "v1/PersistentVolumeClaim"),
    ]
    assert not preview.exists
    assert not lab.state.exists()
    assert not {A, B} & lab.claims()


def test_a_second_apply_writes_nothing_from_another_checkout_either(lab: Lab) -> None:
    told: list[Event] = []
    wanted = lab.storage(lab.claim(A))
    first = lab.stacks().up(wanted, told.append)
    assert told == [ResourceChanged("storage", "v1/PersistentVolumeClaim", A, "create")]
    assert [change.op for change in first.changes] == [Op.CREATE]
    assert lab.get("pvc", A, "{.status.phase}") == "Pending", "an update does not wait for the first consumer"
    version = lab.get("pvc", A, "{.metadata.resourceVersion}")

    elsewhere = lab.folder / "another machine"
    elsewhere.mkdir()
    kubeconfig = shutil.copy(os.environ["KUBECONFIG"], elsewhere / "config")
    others = lab.stacks(kubeconfig=str(kubeconfig), cache="other-cache")
    assert others.preview(wanted).changes == ()
    second = others.up(wanted, told.append)
    assert (second.changes, second.unchanged, len(told)) == ((), 1, 1)
    assert lab.get("pvc", A, "{.metadata.resourceVersion}") == version


def test_the_state_holds_neither_paths_of_this_machine_nor_the_passphrase(lab: Lab) -> None:
    lab.stacks().up(lab.storage(lab.claim(A)), nobody)
    written = [path.read_text() for path in lab.state.rglob("*") if path.is_file()]
    assert not [text for text in written if PASSPHRASE in text]
    state = (lab.state / ".pulumi" / "stacks" / "weighbridge-storage" / "lab.json").read_text()
    assert '"clusterUid"' in state
    for place in (os.environ["KUBECONFIG"], str(Path.home()), sys.prefix, "/dev/shm"):
        assert place not in state


def test_a_label_edited_from_outside_is_shown_and_mended(lab: Lab) -> None:
    wanted, stacks = lab.storage(lab.claim(A)), lab.stacks()
    stacks.up(wanted, nobody)
    kubectl("label", "pvc", A, "-n", lab.namespace, "app.kubernetes.io/managed-by=somebody", "--overwrite")
    change = stacks.preview(wanted).changes[0]
    assert (change.op, change.drifted) == (Op.UPDATE, True)
    path = 'metadata.labels["app.kubernetes.io/managed-by"]'
    assert change.diffs == (PropertyChange(path, "update", "somebody", "weighbridge"),)
    stacks.up(wanted, nobody)
    assert lab.get("pvc", A, r"{.metadata.labels.app\.kubernetes\.io/managed-by}") == "weighbridge"
    assert stacks.preview(wanted).changes == ()


def test_a_label_that_somebody_else_added_is_none_of_our_business(lab: Lab) -> None:
    wanted, stacks = lab.storage(lab.claim(A)), lab.stacks()
    stacks.up(wanted, nobody)
    kubectl("label", "pvc", A, "-n", lab.namespace, "cost-center=4711", "--field-manager=cost-tool")
    assert stacks.preview(wanted).changes == ()
    stacks.up(lab.storage(lab.claim(A, added="yes")), nobody)
    assert lab.get("pvc", A, "{.metadata.labels.cost-center}") == "4711"


def test_a_claim_that_was_deleted_from_outside_is_shown_and_made_again(lab: Lab) -> None:
    wanted, stacks = lab.storage(lab.claim(A)), lab.stacks()
    stacks.up(wanted, nobody)
    kubectl("delete", "pvc", A, "-n", lab.namespace)
    assert [(change.op, change.drifted) for change in stacks.preview(wanted).changes] == [(Op.CREATE, True)]
    stacks.up(wanted, nobody)
    assert A in lab.claims()


@pytest.fixture
def growing_class(lab: Lab) -> Iterator[str]:
    name = lab.growing_class
    shape = json.loads(kubectl("get", "storageclass", "sandbox-rwx-immediate", "-o", "json"))
    shape["metadata"] = {"name": name}
    shape["allowVolumeExpansion"] = True
    kubectl("create", "-f", "-", text=json.dumps(shape))
    yield name
    kubectl("delete", "storageclass", name)


def test_growing_a_claim_is_an_update(lab: Lab, growing_class: str) -> None:
    stacks = lab.stacks()
    stacks.up(lab.storage(lab.claim(A, size="32Mi", storage_class=growing_class)), nobody)
    assert soon(lambda: lab.get("pvc", A, "{.status.phase}") == "Bound", 60)
    bigger = lab.storage(lab.claim(A, size="48Mi", storage_class=growing_class))
    change = stacks.preview(bigger).changes[0]
    assert (change.op, change.diffs) == (
        Op.UPDATE,
        (PropertyChange("spec.resources.requests.storage", "update", "32Mi", "48Mi"),),
    )
    stacks.up(bigger, nobody)
    assert lab.get("pvc", A, "{.spec.resources.requests.storage}") == "48Mi"


def test_what_would_replace_a_claim_is_refused_by_preview_and_update_alike(lab: Lab) -> None:
    stacks = lab.stacks()
    stacks.up(lab.storage(lab.claim(A)), nobody)
    uid = lab.get("pvc", A, "{.metadata.uid}")
    other = lab.storage(lab.claim(A, storage_class="sandbox-rwx-immediate"))
    for refused in (lambda: stacks.preview(other), lambda: stacks.up(other, nobody)):
        with pytest.raises(PreconditionError) as caught:
            refused()
        assert caught.value.code == "claim-replacement"
    assert lab.get("pvc", A, "{.metadata.uid}") == uid


def test_a_claim_that_is_no_longer_declared_stays_and_is_named(lab: Lab) -> None:
    stacks = lab.stacks()
    stacks.up(lab.storage(lab.claim(A), lab.claim(B)), nobody)
    fewer = lab.storage(lab.claim(B))
    preview = stacks.preview(fewer)
    assert (preview.changes, preview.kept, preview.unchanged) == ((), (A,), 1)
    assert stacks.up(fewer, nobody).kept == (A,)
    assert {A, B} <= lab.claims()
    assert stacks.preview(lab.storage(lab.claim(A), lab.claim(B))).changes == ()


def test_destroy_keeps_claims_and_says_so_unless_they_are_given_up(lab: Lab) -> None:
    wanted, stacks = lab.storage(lab.claim(A)), lab.stacks()
    stacks.up(wanted, nobody)
    assert stacks.preview(lab.storage()).kept == (
        A,
    )  # `destroy --weights` asks this way what there is to name
    kept = stacks.destroy(wanted, nobody)
    assert (kept.changes, kept.kept) == ((), (A,))
    assert A in lab.claims()
    gone = stacks.destroy(wanted, nobody, unprotect=True)
    assert [(change.name, change.op) for change in gone.changes] == [(A, Op.DELETE)]
    assert A not in lab.claims()
    assert stacks.destroy(wanted, nobody, unprotect=True).changes == ()


@pytest.fixture
def third(lab: Lab) -> Iterator[StackSpec]:
    """By the administrators' own login: no Role of Weighbridge's allows just any object."""
    metadata = {"namespace": lab.namespace, "annotations": {"pulumi.com/patchForce": "true"}}
    manifests: tuple[dict[str, Any], ...] = (
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "third-a", **metadata},
            "data": {"x": "1"},
        },
        {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": "third-b", **metadata},
        },
    )
    yield replace(lab.of(THIRD, *manifests), cluster=replace(lab.cluster, context=None))
    kubectl("delete", "configmap/third-a", "lease/third-b", "-n", lab.namespace, "--ignore-not-found")


def _third_standing(lab: Lab) -> list[str]:
    names = kubectl(
        "get", "configmaps,leases", "-n", lab.namespace, "-o", "jsonpath={.items[*].metadata.name}"
    )
    return sorted(name for name in names.split() if name.startswith("third-"))


def test_a_third_stack_is_checked_protected_kept_and_given_up_like_any_other(
    lab: Lab, third: StackSpec
) -> None:
    stacks = lab.stacks()
    elsewhere = lab.stacks(identify=lambda _reach, _cluster: "another")
    with pytest.raises(PreconditionError) as caught:
        elsewhere.up(third, nobody)
    assert caught.value.code == "other-cluster"
    assert not lab.state.exists()

    assert [(change.name, change.type) for change in stacks.up(third, nobody).changes] == [
        ("third-b", "coordination.k8s.io/v1/Lease"),
        ("third-a", "v1/ConfigMap"),
    ]
    assert stacks.preview(third).changes == ()
    file = lab.state / ".pulumi" / "stacks" / "weighbridge-third" / "lab.json"
    state = json.loads(file.read_text())
    rows = {row["urn"].rpartition("::")[2]: row for row in state["checkpoint"]["latest"]["resources"]}
    assert [rows[name]["protect"] for name in ("third-a", "third-b")] == [True, True]
    kept = stacks.destroy(third, nobody)
    assert (kept.changes, kept.kept) == ((), ("third-a", "third-b"))
    assert _third_standing(lab) == ["third-a", "third-b"]

    rows["third-b"]["protect"] = False
    file.write_text(json.dumps(state))
    some = stacks.destroy(third, nobody)
    assert ([change.name for change in some.changes], some.kept) == (["third-b"], ("third-a",))
    assert _third_standing(lab) == ["third-a"]

    gone = stacks.destroy(third, nobody, unprotect=True)
    assert [(change.name, change.op) for change in gone.changes] == [("third-a", Op.DELETE)]
    assert _third_standing(lab) == []


def test_what_is_retained_outlives_a_destroy_that_was_killed_once_the_protection_was_gone(
    lab: Lab, third: StackSpec
) -> None:
    stacks = lab.stacks()
    stacks.up(third, nobody)
    file = lab.state / ".pulumi" / "stacks" / "weighbridge-third" / "lab.json"
    state = json.loads(file.read_text())
    for row in state["checkpoint"]["latest"]["resources"]:
        row.pop("protect", None)
    file.write_text(json.dumps(state))
    keeping = replace(third, stack=replace(THIRD, retained=frozenset({"kubernetes:core/v1:ConfigMap"})))
    result = stacks.destroy(keeping, nobody)
    assert ([change.name for change in result.changes], result.kept) == (["third-b"], ("third-a",))
    assert _third_standing(lab) == ["third-a"]


def test_a_state_of_another_cluster_is_refused_before_anything_starts(lab: Lab) -> None:
    stacks = lab.stacks()
    stacks.up(lab.storage(lab.claim(A)), nobody)
    before = {path: path.read_bytes() for path in lab.state.rglob("*") if path.is_file()}
    elsewhere = lab.storage(lab.claim(A), uid=str(uuid.uuid4()))
    for refused in (
        lambda: stacks.preview(elsewhere),
        lambda: stacks.up(elsewhere, nobody),
        lambda: stacks.destroy(elsewhere, nobody, unprotect=True),
    ):
        with pytest.raises(PreconditionError) as caught:
            refused()
        assert caught.value.code == "state-of-another-cluster"
    assert before == {path: path.read_bytes() for path in lab.state.rglob("*") if path.is_file()}


def test_a_wrong_passphrase_is_refused_and_changes_nothing(lab: Lab) -> None:
    wanted = lab.storage(lab.claim(A))
    lab.stacks().up(wanted, nobody)
    wrong = lab.stacks(passphrase="another")
    for refused in (lambda: wrong.preview(wanted), lambda: wrong.up(wanted, nobody)):
        with pytest.raises(PreconditionError) as caught:
            refused()
        assert caught.value.code == "state-passphrase"
    assert lab.stacks().preview(wanted).changes == ()


def test_in_the_cluster_the_pods_own_account_is_used_whatever_kubeconfig_there_is(
    lab: Lab,
) -> None:
    [cluster] = {
        (row["cluster"]["server"], row["cluster"]["certificate-authority-data"])
        for row in json.loads(kubectl("config", "view", "--raw", "--flatten", "-o", "json"))["clusters"]
    }
    address, authority = urlsplit(cluster[0]), lab.folder / "ca.crt"
    authority.write_bytes(base64.b64decode(cluster[1]))
    token = lab.folder / "token"
    token.write_text(kubectl("create", "token", "weighbridge-lab", "-n", lab.namespace).strip())
    elsewhere = lab.folder / "home" / ".kube" / "config"
    elsewhere.parent.mkdir(parents=True)
    elsewhere.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "another",
                "contexts": [{"name": "another", "context": {"cluster": "another", "user": "me"}}],
                "clusters": [{"name": "another", "cluster": {"server": "https://127.0.0.1:1"}}],
                "users": [{"name": "me", "user": {}}],
            }
        )
    )
    program = Path(__file__).parents[1] / "support" / "stacks_in_a_pod.py"
    surroundings = {
        "KUBERNETES_SERVICE_HOST": str(address.hostname),
        "KUBERNETES_SERVICE_PORT": str(address.port),
        "KUBECONFIG": str(elsewhere),
        "HOME": str(lab.folder / "home"),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, program, lab.namespace, lab.folder, lab.uid, authority, token],
        env=os.environ | surroundings,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"('{A}', 'create')" in done.stdout
    assert A in lab.claims()


@pytest.fixture
def planner(lab: Lab) -> Iterator[str]:
    """A service account of the lab's namespace with its Role for plans and the ClusterRole, and nothing else."""
    account, cluster_role = f"--serviceaccount={lab.namespace}:planner", f"weighbridge.{lab.namespace}.lab"
    kubectl("create", "serviceaccount", "planner", "-n", lab.namespace)
    kubectl("create", "rolebinding", "planner", "-n", lab.namespace, "--role=weighbridge-lab-plan", account)
    kubectl("create", "clusterrolebinding", cluster_role + ".p", f"--clusterrole={cluster_role}", account)
    yield "planner"
    kubectl("delete", "clusterrolebinding", cluster_role + ".p")
    kubectl("delete", "rolebinding", "planner", "-n", lab.namespace)
    kubectl("delete", "serviceaccount", "planner", "-n", lab.namespace)


def test_a_preview_needs_no_more_than_the_role_for_plans(lab: Lab, planner: str) -> None:
    lab.stacks().up(lab.storage(lab.claim(A)), nobody)
    token = kubectl("create", "token", planner, "-n", lab.namespace).strip()
    config = json.loads(kubectl("config", "view", "--raw", "-o", "json"))
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    reader = lab.folder / "reader"
    reader.write_text(json.dumps(config))
    stacks = lab.stacks(kubeconfig=str(reader))
    assert stacks.preview(lab.storage(lab.claim(A))).changes == ()
    more = lab.storage(lab.claim(A, added="yes"), lab.claim(B))
    assert [(change.name, change.op) for change in stacks.preview(more).changes] == [
        (A, Op.UPDATE),
        (B, Op.CREATE),
    ]
    with pytest.raises(PreconditionError) as caught:
        stacks.up(more, nobody)
    assert caught.value.code == "cluster-forbidden"
    assert f"system:serviceaccount:{lab.namespace}:planner" in str(caught.value)
    assert "patch persistentvolumeclaims" in str(caught.value)


def _others(lab: Lab) -> list[object]:
    rows = json.loads(lab.get("watsonxaiifm", "watsonxaiifm-cr", "{.spec.custom_foundation_models}"))
    return [row for row in rows if row["model_id"].startswith("team-")]


def test_registrations_come_drift_are_mended_and_go_without_touching_others(lab: Lab) -> None:
    stacks, others = lab.stacks(), _others(lab)
    wanted = lab.registration(entry("m1", max_new_tokens=100), entry("m2"))
    assert [change.op for change in stacks.preview(wanted).changes] == [Op.CREATE]
    assert stacks.up(wanted, nobody).changed
    version = lab.get("watsonxaiifm", "watsonxaiifm-cr", "{.metadata.generation}")
    assert stacks.preview(wanted).changes == ()
    assert not stacks.up(wanted, nobody).changed
    assert lab.get("watsonxaiifm", "watsonxaiifm-cr", "{.metadata.generation}") == version

    changed = stacks.preview(lab.registration(entry("m1", max_new_tokens=200), entry("m2"))).changes[0]
    assert changed.diffs == (PropertyChange('entries["m1"].parameters[0].default', "update", 100, 200),)

    ids = [
        row["model_id"]
        for row in json.loads(lab.get("watsonxaiifm", "watsonxaiifm-cr", "{.spec.custom_foundation_models}"))
    ]
    edit = [
        {
            "op": "replace",
            "path": f"/spec/custom_foundation_models/{ids.index('m1')}/tags",
            "value": ["edited"],
        }
    ]
    kubectl(
        "patch", "watsonxaiifm", "watsonxaiifm-cr", "-n", lab.namespace, "--type=json", "-p", json.dumps(edit)
    )
    drifted = stacks.preview(wanted).changes[0]
    assert (drifted.op, drifted.drifted, drifted.diffs[0].before) == (Op.UPDATE, True, "edited")
    stacks.up(wanted, nobody)
    assert stacks.preview(wanted).changes == ()

    assert [change.op for change in stacks.destroy(wanted, nobody).changes] == [Op.DELETE]
    assert _others(lab) == others
    assert stacks.destroy(wanted, nobody).changes == ()


def test_an_entry_that_was_replaced_since_the_plan_is_refused_and_left(lab: Lab) -> None:
    stacks = lab.stacks()

    def standing() -> dict[str, Any]:
        rows = json.loads(lab.get("watsonxaiifm", "watsonxaiifm-cr", "{.spec.custom_foundation_models}"))
        return {row["model_id"]: row for row in rows}

    def seen() -> dict[str, str]:
        found = standing()
        return {key: digest(found[key]) if key in found else "" for key in ("m1", "m2")}

    first = replace(lab.registration(entry("m1", max_new_tokens=100)), seen=seen())
    stacks.up(first, nobody)
    planned = replace(lab.registration(entry("m1", max_new_tokens=200), entry("m2")), seen=seen())
    place = list(standing()).index("m1")
    path = f"/spec/custom_foundation_models/{place}/tags"
    edit = json.dumps([{"op": "replace", "path": path, "value": ["replaced"]}])
    kubectl("patch", "watsonxaiifm", "watsonxaiifm-cr", "-n", lab.namespace, "--type=json", "-p", edit)
    before = standing()
    assert stacks.preview(planned).pending, "a plan may always look"
    for act in (stacks.up, stacks.destroy):
        with pytest.raises(PreconditionError) as caught:
            act(planned, nobody)
        assert caught.value.code == "entry-replaced"
        assert '"lab"' in str(caught.value)
        assert '"replaced"' in str(caught.value)
        assert standing() == before
    again = replace(planned, seen=seen())
    stacks.up(again, nobody)
    assert standing()["m1"]["tags"] == ["lab"]
    state = (lab.state / ".pulumi" / "stacks" / "weighbridge-registration" / "lab.json").read_text()
    assert "seen" not in state, "it is no input"
    stacks.destroy(replace(again, seen=seen()), nobody)
    assert not {"m1", "m2"} & standing().keys()


def test_our_providers_refusal_arrives_in_its_own_words(lab: Lab) -> None:
    for spec, code in (
        (lab.registration(entry("team-a-summarizer")), "entry-foreign"),
        (lab.registration_in("nope"), "cr-absent"),
    ):
        for refused in (
            lambda spec=spec: lab.stacks().preview(spec),
            lambda spec=spec: lab.stacks().up(spec, nobody),
        ):
            with pytest.raises(PreconditionError) as caught:
                refused()
            assert caught.value.code == code
            assert "urn:" not in str(caught.value)


def test_both_stacks_can_be_previewed_at_once(lab: Lab) -> None:
    stacks = lab.stacks()
    specs = [lab.storage(lab.claim(A)), lab.registration(entry("m1"))]
    with ThreadPoolExecutor(2) as pool:
        storage, registration = pool.map(stacks.preview, specs)
    assert [change.name for change in storage.changes] == [A]
    assert [change.name for change in registration.changes] == ["watsonxaiifm-cr"]


def _start_slowly(lab: Lab) -> "subprocess.Popen[bytes]":
    program = Path(__file__).parents[1] / "support" / "stacks_slowly.py"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    started = subprocess.Popen(
        [sys.executable, str(program), lab.namespace, str(lab.folder)], env=environment
    )
    assert soon(lambda: bool(lab.locks()) and SLOW in lab.claims(), 60)
    return started


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT], ids=["kill -9", "Ctrl-C"])
def test_an_ended_run_leaves_no_process_no_lock_and_a_state_to_go_on_from(
    lab: Lab, sign: signal.Signals
) -> None:
    with _start_slowly(lab) as running:
        children = processes_below(running.pid)
        assert any("pulumi" in command_line(child) for child in children)
        running.send_signal(sign)
        assert running.wait(60) == (130 if sign is signal.SIGINT else -sign)
    assert soon(lambda: not any(map(command_line, children)))
    assert lab.locks() == []
    assert soon(lambda: scratch_folders(running.pid) == [])
    slow = lab.storage(lab.claim(SLOW, storage_class="sandbox-pending"))
    lab.stacks().up(slow, nobody)
    assert lab.stacks().preview(slow).changes == ()


def test_a_second_run_is_told_who_holds_the_stack_and_no_process_shows_the_passphrase(lab: Lab) -> None:
    with _start_slowly(lab) as running:
        try:
            with pytest.raises(PreconditionError) as caught:
                lab.stacks().up(lab.storage(lab.claim(SLOW)), nobody)
            assert caught.value.code == "stack-locked"
            assert os.uname().nodename in str(caught.value)
            for child in processes_below(running.pid):
                shown = command_line(child) + child.joinpath("environ").read_bytes().decode(errors="replace")
                assert PASSPHRASE not in shown
        finally:
            running.send_signal(signal.SIGINT)
            running.wait(60)


def test_state_in_s3_is_read_only_for_a_preview_and_shared_by_two_checkouts(
    lab: Lab, sandbox: Layout
) -> None:
    keys = S3Keys(sandbox.s3_access_key.read_text().strip(), sandbox.s3_secret_key.read_text().strip())
    client = boto3.client(
        "s3",
        endpoint_url=S3_ENDPOINT,
        region_name="us-east-1",
        aws_access_key_id=keys.access_key,
        aws_secret_access_key=keys.secret_key,
        config=Config(s3={"addressing_style": "path"}),
    )
    prefix = f"tests/{lab.folder.name}-{uuid.uuid4().hex[:8]}"

    def objects() -> dict[str, bytes]:
        rows = client.list_objects_v2(Bucket="weighbridge-state", Prefix=f"{prefix}/").get("Contents", [])
        return {
            row["Key"]: client.get_object(Bucket="weighbridge-state", Key=row["Key"])["Body"].read()
            for row in rows
        }

    def read(bucket: Bucket, key: str) -> bytes | None:
        try:
            content: bytes = client.get_object(Bucket=bucket.name, Key=key)["Body"].read()
        except client.exceptions.NoSuchKey:
            return None
        return content

    backend = f"s3://weighbridge-state/{prefix}?endpoint={S3_ENDPOINT}&region=us-east-1&s3ForcePathStyle=true"
    remote = Lab(lab.namespace, lab.folder, backend)
    wanted = remote.storage(remote.claim(A))
    one, two = (remote.stacks(keys=keys, read_object=read, cache=name) for name in ("one", "two"))
    try:
        assert [change.op for change in one.preview(wanted).changes] == [Op.CREATE]
        assert objects() == {}
        one.up(wanted, nobody)
        stored = objects()
        assert two.preview(wanted).changes == ()
        assert objects() == stored, "a preview writes nothing"
        assert not two.up(wanted, nobody).changed
        for content in objects().values():
            for secret in (PASSPHRASE, keys.secret_key, os.environ["KUBECONFIG"]):
                assert secret.encode() not in content
    finally:
        for key in objects():
            client.delete_object(Bucket="weighbridge-state", Key=key)
