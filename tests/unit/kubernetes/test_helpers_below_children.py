"""A login helper that Ansible, Pulumi or kubectl starts by the kubeconfig that they are given: ended in time and named."""

import importlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from weighbridge.kubernetes.kubeconfig import kubeconfig
from weighbridge.kubernetes.kubeconfig_given import write_kubeconfig
from weighbridge.processes.machine import look_at
from weighbridge.processes.variables import Outside

KUBE_CONFIG: Any = importlib.import_module("kubernetes.config.kube_config")
V1 = "client.authentication.k8s.io/v1"
TOKEN = json.dumps({"apiVersion": V1, "kind": "ExecCredential", "status": {"token": "planted"}})


def given(folder: Path, script: str, seconds: float = 60, **more: Any) -> Path:
    """The kubeconfig that children are given, for a helper that is ``script``."""
    program = folder / "helper.sh"
    program.write_text("#!/bin/sh\n" + script)
    program.chmod(0o700)
    helper = {"apiVersion": V1, "command": "./helper.sh", "interactiveMode": "Never", **more}
    document = {
        "current-context": "here",
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:9"}}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {"exec": helper}}],
    }
    (folder / "config").write_text(yaml.safe_dump(document))
    chosen = kubeconfig(None, {"KUBECONFIG": str(folder / "config")})
    return write_kubeconfig(chosen, folder, os.environ.keys(), Outside(), seconds=seconds)


def as_ansible(file: Path) -> str:
    """The token, or why there is none: how Ansible's Kubernetes client asks a helper."""
    whole = KUBE_CONFIG.KubeConfigMerger(str(file)).config
    helper = whole["users"].get_with_name("u")["user"]["exec"]
    cluster = whole["clusters"].get_with_name("c")["cluster"]
    try:
        return str(KUBE_CONFIG.ExecProvider(helper, "", cluster).run()["token"])
    except KUBE_CONFIG.ConfigException as error:
        return str(error)


LATE = "the login helper {}/helper.sh did not answer within 1 s and was ended"
HANGS = "trap '' TERM; sleep 300 & echo $! > {}/child; wait"


def test_ansible_s_client_is_not_kept_waiting_and_is_told_who_hangs(tmp_path: Path) -> None:
    file = given(tmp_path, HANGS.format(tmp_path), seconds=1)
    began = time.monotonic()
    assert LATE.format(tmp_path) in as_ansible(file)
    assert time.monotonic() - began < 60
    assert look_at(int((tmp_path / "child").read_text())) is None


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not here")
def test_nor_is_kubectl(tmp_path: Path) -> None:
    file = given(tmp_path, HANGS.format(tmp_path), seconds=1)
    ran = subprocess.run(
        ["kubectl", f"--kubeconfig={file}", "get", "--raw", "/version"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert LATE.format(tmp_path) in ran.stderr
    assert look_at(int((tmp_path / "child").read_text())) is None


def test_an_answer_arguments_variables_and_the_cluster_pass_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARK", "around")
    monkeypatch.setenv("AROUND", "there")
    script = (
        f'printf \'%s\\n\' "$KUBERNETES_EXEC_INFO" "$MARK" "$AROUND" "$@" > {tmp_path}/told; echo \'{TOKEN}\''
    )
    own = [{"name": "MARK", "value": "own"}, {"name": "EMPTY"}]
    file = given(tmp_path, script, args=["one", "t w o", "-x"], env=own, provideClusterInfo=True)
    assert as_ansible(file) == "planted"
    info, *rest = (tmp_path / "told").read_text().splitlines()
    assert rest == ["own", "there", "one", "t w o", "-x"]
    assert json.loads(info)["spec"]["cluster"]["server"] == "https://127.0.0.1:9"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'log in again' >&2; exit 3", "returned 3. log in again"),
        ("kill -9 $$", "returned 137"),
        (
            "echo 'Authorization: Bearer PLANTED / token=PLANTED' >&2; exit 3",
            "returned 3. Authorization: [hidden] / token=[hidden]",
        ),
    ],
)
def test_how_it_ended_is_passed_on(tmp_path: Path, script: str, words: str) -> None:
    assert words in as_ansible(given(tmp_path, script))


def test_one_that_is_missing_is_named_with_the_hint(tmp_path: Path) -> None:
    file = given(tmp_path, "", installHint="get it there")
    (tmp_path / "helper.sh").unlink()
    assert f"{tmp_path}/helper.sh is not there, or no program (get it there)" in as_ansible(file)


def test_it_ends_with_whoever_is_ended_while_it_waits(tmp_path: Path) -> None:
    file = given(tmp_path, HANGS.format(tmp_path))
    helper = yaml.safe_load(file.read_text())["users"][0]["user"]["exec"]
    waiting = subprocess.Popen([helper["command"], *helper["args"]])
    child = tmp_path / "child"
    while not child.exists() or not child.read_text():
        time.sleep(0.05)
    waiting.terminate()
    assert waiting.wait(30) == 143
    assert look_at(int(child.read_text())) is None


def test_our_own_processes_start_the_helper_itself_and_name_it(tmp_path: Path) -> None:
    """The provider reads the kubeconfig that it is given, and has a deadline of its own."""
    file = given(tmp_path, "", args=["a"])
    helper = kubeconfig(None, {"KUBECONFIG": str(file)}).helper
    assert helper is not None
    assert (helper.command, helper.args) == (f"{tmp_path}/helper.sh", ("a",))


@pytest.mark.parametrize("login", [{"token": "t"}, {"username": "u"}])
def test_a_login_that_goes_before_a_helper_goes_before_it_for_ansible_too(
    tmp_path: Path, login: Mapping[str, str]
) -> None:
    given(tmp_path, "")
    file = tmp_path / "config"
    document = yaml.safe_load(file.read_text())
    document["users"][0]["user"] |= login
    file.write_text(yaml.safe_dump(document))
    written = write_kubeconfig(kubeconfig(None, {"KUBECONFIG": str(file)}), tmp_path, (), Outside())
    assert yaml.safe_load(written.read_text())["users"][0]["user"] == login
