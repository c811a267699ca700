"""The playbooks on their own, from what `weighbridge render` wrote: by hand, in check mode, again, after damage."""

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.estate import BIN, Estate
from support.saboteur import Saboteur
from weighbridge.domain.naming import former_job_name, job_name, object_labels
from weighbridge.kubernetes.client import CLAIM, CONFIG_MAP, JOB, POD, SECRET

pytestmark = pytest.mark.sandbox

WHOLE = ("--server-side", "--force-conflicts")
"""An order with the mover in it is more than the annotation holds in which kubectl would keep it (256 KiB)."""

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Played:
    code: int
    said: str

    @property
    def changed(self) -> int:
        found = re.search(r"changed=(\d+)", self.said)
        assert found, self.said
        return int(found[1])


@dataclass(frozen=True)
class Bench:
    """An estate whose manifests are rendered and whose claims are applied with kubectl."""

    estate: Estate
    out: Path
    changes: dict[str, Any] = field(default_factory=dict)
    """Of the environment file that was rendered: what the login may do goes by it."""

    def play(
        self, playbook: str, model_id: str, *arguments: str, timeout: int = 300, **variables: Any
    ) -> Played:
        self.estate.written(**self.changes)
        command: list[str | Path] = [
            *(BIN / "ansible-playbook", f"playbooks/{playbook}.yml"),
            *("-e", f"@{self.out}/weights/{model_id}/vars.yml", "-e", json.dumps(variables), *arguments),
        ]
        done = subprocess.run(
            command,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={**os.environ},
        )
        return Played(done.returncode, done.stdout + done.stderr)

    def receipt(self, model_id: str) -> dict[str, Any] | None:
        text = self.estate.receipt(model_id)
        return None if text is None else dict(json.loads(text))

    def objects(self) -> set[str]:
        """Everything in the namespace that a playbook could have touched, with its version."""
        name = self.estate.name
        return {
            f"{kind} {item['metadata']['name']} {item['metadata']['resourceVersion']}"
            for kind in (JOB, POD, CONFIG_MAP, CLAIM)
            for item in self.estate.kube.list(kind, name)
        }


@pytest.fixture(scope="module")
def bench(estate: Estate, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    out = tmp_path_factory.mktemp("rendered")
    ran = estate.run("render", "--out", str(out))
    assert ran.code == 0, ran.said
    return Bench(estate, out)


def test_check_mode_on_a_fresh_cluster_predicts_and_touches_nothing(bench: Bench) -> None:
    before = bench.objects()
    played = bench.play("sync_weights", "llama-fetch", "--check")
    assert played.code == 0, played.said
    assert played.changed > 0
    assert bench.objects() == before


def test_a_claim_that_was_not_declared_is_named(bench: Bench) -> None:
    played = bench.play("sync_weights", "llama-fetch")
    assert played.code == 2
    assert f"PersistentVolumeClaim {bench.estate.name}-llama-fetch-weights does not exist" in played.said


@pytest.fixture(scope="module")
def synced(bench: Bench) -> Bench:
    subprocess.run(["kubectl", "apply", "-f", bench.out / "storage"], check=True, capture_output=True)
    for model_id in ("llama-fetch", "llama-push"):
        played = bench.play("sync_weights", model_id)
        assert played.code == 0, played.said
        assert played.changed > 0
    return bench


def test_every_rendered_object_passes_the_api_server_as_it_is(synced: Bench) -> None:
    files = [path for path in sorted(synced.out.rglob("*.yaml")) if path.parent.name != "registration"]
    arguments = [part for path in files for part in ("-f", str(path))]
    subprocess.run(
        ["kubectl", "apply", *WHOLE, "--dry-run=server", "--validate=strict", *arguments],
        check=True,
        capture_output=True,
    )
    assert {path.name for path in files} >= {
        "fetch.yaml",
        "publish.yaml",
        "push.yaml",
        "verify.yaml",
        "receipts.yaml",
    }


def test_both_routes_record_the_same_set(synced: Bench) -> None:
    fetched, pushed = synced.receipt("llama-fetch"), synced.receipt("llama-push")
    assert fetched is not None
    assert pushed is not None
    assert fetched["set_digest"] == pushed["set_digest"]
    assert (fetched["route"], pushed["route"]) == ("fetch", "push")
    assert fetched["verdict"] == pushed["verdict"] == "verified"


@pytest.mark.parametrize("arguments", [(), ("--check",)])
@pytest.mark.parametrize("model_id", ["llama-fetch", "llama-push"])
def test_second_run_changes_nothing(synced: Bench, model_id: str, arguments: tuple[str, ...]) -> None:
    before, pods = synced.objects(), synced.estate.pods_ever()
    played = synced.play("sync_weights", model_id, *arguments)
    assert (played.code, played.changed) == (0, 0), played.said
    assert synced.objects() == before
    assert synced.estate.pods_ever() == pods


def test_nothing_short_lived_is_left(synced: Bench) -> None:
    assert synced.estate.leftovers() == []


def _config_map(bench: Bench, name: str, labels: dict[str, str]) -> None:
    metadata = {"name": name, "namespace": bench.estate.name, "labels": labels}
    bench.estate.kube.create(CONFIG_MAP, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})


def test_an_object_of_our_name_that_is_not_of_this_environment_is_neither_overwritten_nor_removed(
    synced: Bench,
) -> None:
    estate = synced.estate
    name = job_name(estate.name, "llama-fetch", "verify")
    _config_map(synced, name, object_labels("another"))
    try:
        played = synced.play("verify_weights", "llama-fetch")
        assert played.code != 0
        assert (
            f"ConfigMap {name} in namespace {estate.name} is not of environment {estate.name}" in played.said
        )
        assert synced.play("clean_up_weights", "llama-fetch").code == 0
        assert estate.kube.get(CONFIG_MAP, name, estate.name) is not None
    finally:
        estate.kube.delete(CONFIG_MAP, name, estate.name)


def test_cleaning_up_takes_away_what_an_earlier_version_left_and_nothing_of_another_environment(
    synced: Bench,
) -> None:
    estate = synced.estate
    ours = former_job_name(estate.name, "llama-fetch", "verify")
    theirs = former_job_name(estate.name, "llama-fetch", "publish")
    _config_map(synced, ours, object_labels(estate.name, "llama-fetch"))
    _config_map(synced, theirs, object_labels("another"))
    try:
        played = synced.play("clean_up_weights", "llama-fetch")
        assert played.code == 0, played.said
        assert estate.kube.get(CONFIG_MAP, ours, estate.name) is None
        assert estate.kube.get(CONFIG_MAP, theirs, estate.name) is not None
    finally:
        estate.kube.delete(CONFIG_MAP, theirs, estate.name)


def test_verify_renews_the_verdict(synced: Bench) -> None:
    before = synced.receipt("llama-fetch")
    played = synced.play("verify_weights", "llama-fetch")
    assert played.code == 0, played.said
    after = synced.receipt("llama-fetch")
    assert before is not None
    assert after is not None
    assert after["verdict"] == "verified"
    assert after["verified_at"] > before["verified_at"]
    assert {**after, "verified_at": ""} == {**before, "verified_at": ""}
    assert synced.estate.leftovers() == []


@pytest.mark.parametrize("model_id", ["llama-fetch", "llama-push"])
def test_damage_is_recorded_and_repaired_alone(synced: Bench, model_id: str) -> None:
    receipt = synced.receipt(model_id)
    assert receipt is not None
    root = synced.estate.volume(model_id) / receipt["sub_path"]
    victim = min(root.glob("*.safetensors"))
    content = bytearray(victim.read_bytes())
    untouched = {
        path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file() and path != victim
    }
    content[-1] ^= 1
    victim.write_bytes(bytes(content))

    played = synced.play("verify_weights", model_id)
    assert played.code == 2
    assert f"damaged: {victim.name}" in played.said
    damaged = synced.receipt(model_id)
    assert damaged is not None
    assert (damaged["verdict"], damaged["damaged"]) == ("damaged", [victim.name])
    assert synced.estate.leftovers() == []

    played = synced.play("sync_weights", model_id)
    assert played.code == 0, played.said
    content[-1] ^= 1
    assert victim.read_bytes() == bytes(content)
    assert {path: path.stat().st_mtime_ns for path in untouched} == untouched
    mended = synced.receipt(model_id)
    assert mended is not None
    assert (mended["verdict"], mended["set_digest"]) == ("verified", receipt["set_digest"])
    assert synced.estate.leftovers() == []


def test_forged_bytes_and_a_forged_manifest_are_not_published_by_push(synced: Bench) -> None:
    """A fresh volume's push is told apart from what it sent, twice; left in peace, the next run publishes the source."""
    estate, model_id = synced.estate, "llama-push"
    receipt = synced.receipt(model_id)
    assert receipt is not None
    estate.forget_receipt(model_id)
    volume = estate.volume(model_id)
    published = volume / receipt["sub_path"]
    victim = min(published.glob("*.safetensors"))
    content = victim.read_bytes()
    shutil.rmtree(published)
    for found in (volume / ".weighbridge/receipts").rglob("*.json"):
        found.unlink()
    forged = content[:-1] + bytes([content[-1] ^ 1])
    with Saboteur(volume, receipt["sub_path"], victim.name, forged) as saboteur:
        played = synced.play("sync_weights", model_id)
    assert saboteur.struck >= 2
    assert played.code == 2, played.said
    assert "files on the volume are not what was sent" in played.said
    assert not published.exists()
    assert synced.receipt(model_id) is None
    assert estate.leftovers() == []

    played = synced.play("sync_weights", model_id)
    assert played.code == 0, played.said
    assert victim.read_bytes() == content
    again = synced.receipt(model_id)
    assert again is not None
    assert again["set_digest"] == receipt["set_digest"]
    assert estate.leftovers() == []


def test_a_rendered_publication_that_nobody_told_what_was_sent_is_replaced(synced: Bench) -> None:
    """`kubectl apply` of publish.yaml as rendered: its mover refuses, and a push does not follow such a Job."""
    estate, model_id = synced.estate, "llama-push"
    receipt = synced.receipt(model_id)
    assert receipt is not None
    estate.forget_receipt(model_id)
    folder = synced.out / "weights" / model_id
    subprocess.run(
        ["kubectl", "apply", *WHOLE, "-f", folder / "publish.yaml"], check=True, capture_output=True
    )
    played = synced.play("sync_weights", model_id)
    assert played.code == 0, played.said
    assert "Send the files" in played.said
    again = synced.receipt(model_id)
    assert again is not None
    assert again["set_digest"] == receipt["set_digest"]
    assert estate.leftovers() == []


def test_a_job_that_a_killed_run_left_is_followed_to_its_end(synced: Bench) -> None:
    """Forget the receipt, start the fetch as a run does, and let another run find it at work."""
    estate = synced.estate
    receipt = synced.receipt("llama-fetch")
    assert receipt is not None
    estate.forget_receipt("llama-fetch")
    folder = synced.out / "weights" / "llama-fetch"
    variables = yaml.safe_load((folder / "vars.yml").read_text())
    subprocess.run(["kubectl", "apply", *WHOLE, "-f", folder / "fetch.yaml"], check=True, capture_output=True)
    left = estate.kube.get(JOB, variables["weights_jobs"]["fetch"]["name"], estate.name)
    keys = {"AWS_ACCESS_KEY_ID": "SANDBOX_S3_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY": "SANDBOX_S3_SECRET_KEY"}
    assert left is not None
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": variables["weights_credentials_secret"],
            "namespace": estate.name,
            "labels": left["metadata"]["labels"],
        },
        "stringData": {key: os.environ[name] for key, name in keys.items()},
    }
    estate.kube.create(SECRET, secret)
    played = synced.play("sync_weights", "llama-fetch")
    assert played.code == 0, played.said
    assert "Start the Job" in played.said
    again = synced.receipt("llama-fetch")
    assert again is not None
    assert again["set_digest"] == receipt["set_digest"]
    assert estate.leftovers() == []


@pytest.mark.nightly  # by the whole command with every change: tests/e2e/test_refusals.py
def test_an_image_that_cannot_be_pulled_is_named_early(synced: Bench, tmp_path: Path) -> None:
    estate = synced.estate
    image = "weighbridge.local/absent:1"
    ran = estate.run("render", "--out", str(tmp_path), pods={"image": image})
    assert ran.code == 0, ran.said
    estate.forget_receipt("llama-fetch")
    played = Bench(estate, tmp_path, {"pods": {"image": image}}).play(
        "sync_weights", "llama-fetch", weights_stuck_seconds=5
    )
    assert played.code == 2
    assert f"image {image} cannot be pulled" in played.said
    assert estate.leftovers() == []
    assert synced.play("sync_weights", "llama-fetch").code == 0


def test_a_claim_that_stays_pending_is_told_with_the_provisioners_words(
    synced: Bench, tmp_path: Path
) -> None:
    estate = synced.estate
    model = estate.model("llama-pending", "fetch")
    model["storage"] = {"storage_class": "sandbox-pending"}
    ran = estate.run("render", "--out", str(tmp_path), models=[model])
    assert ran.code == 0, ran.said
    subprocess.run(["kubectl", "apply", "-f", tmp_path / "storage"], check=True, capture_output=True)
    played = Bench(estate, tmp_path, {"models": [model]}).play(
        "sync_weights", "llama-pending", weights_schedule_seconds=8
    )
    assert played.code == 2
    assert f"PersistentVolumeClaim {estate.name}-llama-pending-weights stays Pending" in played.said
    assert "sandbox.weighbridge.dev/nobody" in played.said
    assert estate.leftovers() == []


@pytest.mark.parametrize("route", ["fetch", "push"])
def test_a_volume_that_ignores_fsgroup_is_told_with_what_would_mend_it(
    synced: Bench, tmp_path: Path, route: str
) -> None:
    estate = synced.estate
    model = estate.model(f"llama-eperm-{route}", route)
    model["storage"] = {"storage_class": "sandbox-rwx-nofsgroup"}
    ran = estate.run("render", "--out", str(tmp_path), models=[model])
    assert ran.code == 0, ran.said
    subprocess.run(["kubectl", "apply", "-f", tmp_path / "storage"], check=True, capture_output=True)
    played = Bench(estate, tmp_path, {"models": [model]}).play("sync_weights", model["id"])
    assert played.code == 2
    assert "ermission denied" in played.said or "not permitted" in played.said
    assert "fsGroup" in played.said
    assert estate.leftovers() == []


def test_a_quota_that_is_used_up_is_told_at_once(synced: Bench) -> None:
    estate = synced.estate
    estate.forget_receipt("llama-fetch")
    quota = ["kubectl", "-n", estate.name, "quota", "none"]
    subprocess.run([*quota[:3], "create", *quota[3:], "--hard=pods=0"], check=True, capture_output=True)
    try:
        played = synced.play("sync_weights", "llama-fetch", timeout=60)
    finally:
        subprocess.run([*quota[:3], "delete", *quota[3:]], check=True, capture_output=True)
    assert played.code == 2
    assert "exceeded quota" in played.said
    assert "pods.resources" in played.said
    assert estate.leftovers() == []


def test_keys_in_an_existing_secret_are_mounted_and_that_secret_stays_as_it_is(
    synced: Bench, tmp_path: Path
) -> None:
    estate = synced.estate
    literals = [
        f"--from-literal={key}={os.environ[name]}"
        for key, name in (
            ("AWS_ACCESS_KEY_ID", "SANDBOX_S3_ACCESS_KEY"),
            ("AWS_SECRET_ACCESS_KEY", "SANDBOX_S3_SECRET_KEY"),
        )
    ]
    create = ["kubectl", "-n", estate.name, "create", "secret", "generic", "their-keys", *literals]
    subprocess.run(create, check=True, capture_output=True)
    before = estate.kube.get(SECRET, "their-keys", estate.name)
    model = estate.model("llama-secret", "fetch")
    model["source"]["s3"]["credentials"] = {"secret": "their-keys"}
    ran = estate.run("render", "--out", str(tmp_path), models=[model])
    assert ran.code == 0, ran.said
    subprocess.run(["kubectl", "apply", "-f", tmp_path / "storage"], check=True, capture_output=True)
    played = Bench(estate, tmp_path, {"models": [model]}).play("sync_weights", "llama-secret")
    assert played.code == 0, played.said
    assert estate.kube.get(SECRET, "their-keys", estate.name) == before
    assert estate.leftovers() == []


def test_missing_credentials_are_named_and_nothing_is_left(
    synced: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    estate = synced.estate
    estate.forget_receipt("llama-fetch")
    monkeypatch.delenv("SANDBOX_S3_SECRET_KEY")
    played = synced.play("sync_weights", "llama-fetch")
    assert played.code == 2
    assert "environment variable SANDBOX_S3_SECRET_KEY is not set" in played.said
    assert estate.leftovers() == []


def test_no_secret_in_what_was_rendered_or_said(synced: Bench) -> None:
    secret = os.environ["SANDBOX_S3_SECRET_KEY"]
    said = synced.play("sync_weights", "llama-fetch", "-vvv").said
    texts = [path.read_text() for path in synced.out.rglob("*") if path.is_file()]
    assert not [text for text in [*texts, said] if secret in text]
