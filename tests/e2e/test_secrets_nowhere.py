"""Planted secrets are searched for in everything that a run writes, starts or says: after success, failure and ``kill -9``.

Known and allowed: where the user put them (the command's own environment, files named by reference), the short-lived
Kubernetes Secret, and, while a run lasts, memory files that their owner alone can open. Tests run in order on one estate.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.estate import BIN, Estate, Ran
from support.s3_fault_proxy import S3FaultProxy, s3_fault_proxy
from support.secret_hunt import MEMORY, Hunt, Onlooker
from weighbridge.kubernetes.client import CLAIM, CONFIG_MAP, EVENT, JOB, POD, WATSONX_IFM
from weighbridge_sandbox.layout import GATEWAY, S3_ENDPOINT

pytestmark = pytest.mark.sandbox

OWN = {
    "source key": "PLANTEDKEY7Q2XVB81",
    "source secret": "Planted/Secret+Key/0aa1bb2cc3dd4ee5ff6",
    "session token": "Planted+Session/Token==&%25" + "3f9c" * 20,
    "passphrase": "Planted Pass/phrase+&=%5d1f",
    "wrong secret": "Planted/Wrong+Secret/9f8e7d6c5b4a3",
    "wrong passphrase": "Planted Wrong/phrase+&=%77aa",
}
"""Values that nobody else on this machine uses."""
VARIABLES = {
    name: f"PLANTED_{name.upper().replace(' ', '_')}" for name in (*OWN, "state key", "state secret")
}
QUIET_SECONDS = 45


@dataclass
class Scene:
    """One machine's worth of places: home, temporary files, a working folder, the command's outputs."""

    estate: Estate
    proxy: S3FaultProxy
    folder: Path
    hunt: Hunt
    by_file: bool = False
    """Whether references name files; otherwise variables."""
    programs: set[str] = field(default_factory=set)
    number: int = 0

    @property
    def given(self) -> Path:
        """Where the user keeps secrets in files."""
        return self.folder / "given"

    def reference(self, name: str) -> dict[str, str]:
        return (
            {"file": str(self.given / name.replace(" ", "-"))} if self.by_file else {"env": VARIABLES[name]}
        )

    def environment(self, **wrong: str) -> dict[str, Any]:
        """The environment file's content. ``wrong``: a part's name → the planted value to refer to instead."""
        made = json.loads(json.dumps(self.estate.environment))
        names = {"secret_key": "source secret", "passphrase": "passphrase", **wrong}
        for model in made["models"]:
            model["source"]["s3"]["endpoint"] = self.proxy.endpoint
            model["source"]["s3"]["credentials"] = {
                "access_key": self.reference("source key"),
                "secret_key": self.reference(names["secret_key"]),
                "session_token": self.reference("session token"),
            }
        made["state"]["credentials"] = {
            "access_key": self.reference("state key"),
            "secret_key": self.reference("state secret"),
        }
        made["state"]["passphrase"] = self.reference(names["passphrase"])
        return dict(made)

    def variables(self, document: dict[str, Any]) -> dict[str, str]:
        """The command's own environment: what it needs, and the variables that ``document`` refers to."""
        written = json.dumps(document)
        plain = {
            "PATH": os.environ["PATH"],
            "KUBECONFIG": os.environ["KUBECONFIG"],
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            "LC_ALL": "C.UTF-8",
        }
        planted = {VARIABLES[name]: value for name, value in self.hunt.planted.items()}
        return plain | {name: value for name, value in planted.items() if f'{{"env": "{name}"}}' in written}

    def run(
        self,
        *verb: str,
        during: Callable[["subprocess.Popen[str]", Onlooker], None] = lambda _run, _onlooker: None,
        environment: dict[str, Any] | None = None,
    ) -> Ran:
        """One command under the eyes of an onlooker; afterwards its outputs are searched."""
        self.number += 1
        file = self.folder / "work" / "planted.yaml"
        document = environment or self.environment()
        file.write_text(yaml.safe_dump(document, sort_keys=False))
        self.estate.granted(document)
        out, err = (self.folder / "said" / f"{self.number}.{kind}" for kind in ("out", "err"))
        with out.open("w") as stdout, err.open("w") as stderr:
            process = subprocess.Popen(
                [BIN / "weighbridge", verb[0], str(file), *verb[1:]],
                cwd=file.parent,
                env=self.variables(document),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                text=True,
            )
            try:
                with Onlooker(self.hunt, process, self.objects, OWN) as onlooker:
                    during(process, onlooker)
                    process.wait(400)
                    assert onlooker.gone(QUIET_SECONDS), "a child outlived its run"
            finally:
                process.kill()
                process.wait(10)
        self.programs |= onlooker.programs
        return Ran(process.returncode, out.read_text(), err.read_text())

    def objects(self) -> Iterable[tuple[str, str]]:
        for kind in (POD, JOB, CONFIG_MAP, EVENT, CLAIM, WATSONX_IFM):
            for item in self.estate.kube.list(kind, self.estate.name):
                yield f"{kind} {item['metadata']['name']}", json.dumps(item)

    def search_everything(self) -> list[str]:
        """Every place that lasts, now that no run is under way."""
        hunt = self.hunt
        hunt.search_tree(self.folder, besides=[self.given])
        for path in MEMORY.iterdir():
            if path.name.startswith(
                "weighbridge-"
            ):  # also of other runs on this machine, with their own values
                hunt.search_tree(path, names=OWN)
        pages = self.estate.s3.get_paginator("list_objects_v2").paginate(
            Bucket="weighbridge-state", Prefix=f"{self.estate.name}/"
        )
        for key in [item["Key"] for page in pages for item in page.get("Contents", [])]:
            body = self.estate.s3.get_object(Bucket="weighbridge-state", Key=key)["Body"].read()
            hunt.search(f"state {key}", body)
        for what, text in self.objects():
            hunt.search(what, text)
        return hunt.findings


@pytest.fixture(scope="module")
def scene(estate: Estate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("planted")
    for name in ("home", "tmp", "work", "given", "said"):
        (folder / name).mkdir(mode=0o700)
    planted = OWN | {
        "state key": os.environ["SANDBOX_S3_ACCESS_KEY"],
        "state secret": os.environ["SANDBOX_S3_SECRET_KEY"],
    }
    root = (planted["state key"], planted["state secret"])
    mine = {planted["source key"]: (planted["source secret"], planted["session token"])}
    with s3_fault_proxy(S3_ENDPOINT, root, mine, host=GATEWAY) as proxy:
        made = Scene(estate, proxy, folder, Hunt(planted))
        for name, value in planted.items():
            path = made.given / name.replace(" ", "-")
            path.touch(mode=0o600)
            path.write_text(value + "\n")
        yield made


def test_a_whole_life_by_variables_leaves_none_behind(scene: Scene) -> None:
    assert scene.run("check").code == 0
    assert scene.run("render", "--out", str(scene.folder / "work" / "rendered")).code == 0
    applied = scene.run("apply", "--json", "--verbose")
    assert applied.code == 0, applied.said
    assert {receipt["route"] for receipt in applied.json["receipts"]} == {"fetch", "push"}
    for verb in (["plan", "--json"], ["status", "--json", "--verbose"], ["verify", "--verbose"]):
        ran = scene.run(*verb)
        assert ran.code == 0, ran.said
    for program in ("pulumi ", "pulumi-resource-kubernetes", "ansible-playbook", "rsync"):
        assert any(program in words for words in scene.programs), f"{program} was never seen"
    assert scene.search_everything() == []
    assert scene.estate.leftovers() == []


def _change_the_source(scene: Scene, content: str) -> None:
    """So that both models have something to bring in."""
    scene.estate.s3.put_object(
        Bucket="models", Key=f"{scene.estate.name}/llama/nested/deeper/notes.txt", Body=content.encode()
    )


def test_references_to_files_leave_none_behind_either(scene: Scene) -> None:
    scene.by_file = True
    try:
        _change_the_source(scene, "second")
        ran = scene.run("apply", "--verbose")
        assert ran.code == 0, ran.said
    finally:
        scene.by_file = False
    assert scene.search_everything() == []


@pytest.mark.parametrize(
    ("wrong", "edit"),
    [
        ({}, {"bucket": "no-such-bucket"}),
        ({"secret_key": "wrong secret"}, {}),
        ({"passphrase": "wrong passphrase"}, {}),
    ],
    ids=["wrong-bucket", "wrong-secret", "wrong-passphrase"],
)
def test_refusals_name_no_value(scene: Scene, wrong: dict[str, str], edit: dict[str, str]) -> None:
    environment = scene.environment(**wrong)
    for model in environment["models"]:
        model["source"]["s3"].update(edit)
    for verb in (["plan"], ["apply", "--json", "--verbose"]):
        ran = scene.run(*verb, environment=environment)
        assert ran.code == 3, ran.said
    assert scene.search_everything() == []


def test_a_token_that_the_source_does_not_accept_is_not_quoted(scene: Scene) -> None:
    accepted = dict(scene.proxy.keys)
    [(key, (secret, _))] = accepted.items()
    scene.proxy.keys[key] = (secret, "another token")
    try:
        ran = scene.run("apply", "--verbose")
        assert ran.code == 3, ran.said
    finally:
        scene.proxy.keys.update(accepted)
    assert scene.search_everything() == []


def test_a_damaged_source_and_a_killed_mover_say_what_happened_and_no_value(scene: Scene) -> None:
    damaged = scene.folder / "damaged"
    shutil.copytree(scene.estate.folder / "source", damaged)
    shard = next(damaged.glob("*.safetensors"))
    shard.write_bytes(b"\xff" * 64)
    scene.estate.upload(damaged, "damaged")
    environment = scene.environment()
    for model in environment["models"]:
        model["source"]["s3"]["prefix"] = f"{scene.estate.name}/damaged/"
    ran = scene.run("apply", "--verbose", environment=environment)
    assert ran.code in {3, 4, 5}, ran.said
    assert shard.name in ran.said

    _change_the_source(scene, "third")
    scene.proxy.rate = 200_000
    ran = scene.run("apply", "--json", "--verbose", during=_kill_the_mover(scene))
    scene.proxy.rate = 0
    assert "Traceback" not in ran.said
    assert scene.search_everything() == []


def _kill_the_mover(scene: Scene) -> Callable[["subprocess.Popen[str]", Onlooker], None]:
    def kill(process: "subprocess.Popen[str]", onlooker: Onlooker) -> None:
        del onlooker
        scene.proxy.served = 0
        while process.poll() is None:
            if scene.proxy.served:
                pods = scene.estate.kube.list(
                    POD, scene.estate.name, labels={"weighbridge.dev/environment": scene.estate.name}
                )
                for pod in pods:
                    scene.estate.kube.delete(POD, pod["metadata"]["name"], scene.estate.name)
                if pods:
                    scene.proxy.rate = 0
                    return
            time.sleep(0.05)

    return kill


def _reached(moment: str, scene: Scene, onlooker: Onlooker) -> bool:
    if moment == "fetch":
        return scene.proxy.served > 0
    words = ("pulumi", " up ") if moment == "pulumi" else ("rsync",)
    return any(all(word in line for word in words) for line in tuple(onlooker.programs))


@pytest.mark.parametrize("moment", ["pulumi", "fetch", "push"])
def test_kill_9_leaves_none_behind(scene: Scene, moment: str) -> None:
    if moment == "pulumi":
        scene.estate.environment["models"][0]["parameters"]["max_new_tokens"]["default"] = 333
    else:
        _change_the_source(scene, f"before the kill during {moment}")
    scene.proxy.rate, scene.proxy.served = 200_000 if moment == "fetch" else 0, 0

    def kill(process: "subprocess.Popen[str]", onlooker: Onlooker) -> None:
        until = time.monotonic() + 300
        while process.poll() is None and time.monotonic() < until:
            if _reached(moment, scene, onlooker):
                process.send_signal(signal.SIGKILL)
                return
            time.sleep(0.02)
        pytest.fail(f"the run ended before {moment} was seen")

    ran = scene.run("apply", "--verbose", during=kill)
    scene.proxy.rate = 0
    assert ran.code == -signal.SIGKILL
    assert scene.search_everything() == []


def test_the_next_apply_takes_the_short_lived_secrets_away_too(scene: Scene) -> None:
    applied = scene.run("apply", "--json")
    assert applied.code == 0, applied.said
    assert scene.estate.leftovers() == []
    destroyed = scene.run("destroy", "--yes", "--verbose")
    assert destroyed.code == 0, destroyed.said
    assert scene.search_everything() == []
    assert scene.hunt.looked_at > 500, "somebody has looked"
