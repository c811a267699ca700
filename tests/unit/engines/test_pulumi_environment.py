import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from weighbridge.domain.credentials import S3Keys
from weighbridge.domain.stacks import ClusterIdentity
from weighbridge.engines.pulumi.environment import (
    StateSecrets,
    Surroundings,
    child_environment,
    cluster_variables,
    context_overlay,
    secret_channel,
)

AROUND = Surroundings(
    home=Path("/scratch/home"),
    search=(Path("/venv/bin"), Path("/tools")),
    withheld=frozenset({"S3_SECRET", "STATE_PASSPHRASE"}),
    extra={"HTTPS_PROXY": "http://proxy:3128"},
)
AMBIENT = {
    "PATH": "/usr/bin",
    "HOME": "/home/u",
    "S3_SECRET": "planted-1",
    "STATE_PASSPHRASE": "planted-2",
    "AWS_PROFILE": "eks-login",
    "PULUMI_CONFIG_PASSPHRASE": "planted-3",
    "PULUMI_IGNORE_AMBIENT_PLUGINS": "true",
    "WEIGHBRIDGE_KUBE_CONTEXT": "elsewhere",
}


def test_the_cli_inherits_what_login_plugins_need_and_none_of_our_secrets() -> None:
    found = child_environment(AROUND, AMBIENT, backend="file:///state", own_identity=False)
    assert not [name for name, value in found.items() if "planted" in value]
    assert found["AWS_PROFILE"] == "eks-login"
    assert found["HOME"] == "/home/u"
    assert found["HTTPS_PROXY"] == "http://proxy:3128"


def test_pulumis_own_settings_come_from_us_alone() -> None:
    found = child_environment(AROUND, AMBIENT, backend="file:///state", own_identity=False)
    assert found["PULUMI_BACKEND_URL"] == "file:///state"
    assert found["PULUMI_HOME"] == "/scratch/home"
    assert found["PULUMI_SKIP_UPDATE_CHECK"] == "true"
    assert found["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] == "true"
    assert "PULUMI_IGNORE_AMBIENT_PLUGINS" not in found
    assert "WEIGHBRIDGE_KUBE_CONTEXT" not in found


def test_our_tools_come_before_the_users() -> None:
    found = child_environment(AROUND, AMBIENT, backend="file:///state", own_identity=False)
    assert found["PATH"].split(os.pathsep) == ["/venv/bin", "/tools", "/usr/bin"]


def test_the_states_own_keys_are_not_overruled_by_ambient_ones() -> None:
    ambient = AMBIENT | {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_SESSION_TOKEN": "c"}
    found = child_environment(AROUND, ambient, backend="s3://state", own_identity=True)
    assert not [name for name in found if name.startswith("AWS_")]


@pytest.mark.parametrize(
    "context", ["stage-admin", "cluster/api.example.com:6443/kube:admin", "it's: odd #1"]
)
def test_the_context_is_chosen_by_a_file_in_front_of_the_users_own(tmp_path: Path, context: str) -> None:
    value = context_overlay(context, "/a/one:/b/two", tmp_path)
    front, *rest = value.split(os.pathsep)
    assert rest == ["/a/one", "/b/two"]
    assert yaml.safe_load(Path(front).read_text()) == {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
    }


def test_without_kubeconfig_the_usual_file_follows(tmp_path: Path) -> None:
    assert context_overlay("c", None, tmp_path).endswith(f"{os.pathsep}{Path.home()}/.kube/config")


def test_in_the_cluster_no_kubeconfig_of_the_surroundings_reaches_the_child(tmp_path: Path) -> None:
    """client-go falls back to the pod's service account only where the kubeconfig holds nothing."""
    ambient = AMBIENT | {"KUBECONFIG": "/somebody/elses/cluster"}
    meant = ClusterIdentity(uid="u", namespace="ns", in_cluster=True)
    reach = cluster_variables(meant, ambient["KUBECONFIG"], tmp_path)
    around = Surroundings(home=Path("/scratch"), search=(), extra=reach)
    found = child_environment(around, ambient, backend="file:///state", own_identity=False)
    assert yaml.safe_load(Path(found["KUBECONFIG"]).read_text()) == {"apiVersion": "v1", "kind": "Config"}
    assert found["WEIGHBRIDGE_IN_CLUSTER"] == "true"
    assert "WEIGHBRIDGE_KUBE_CONTEXT" not in found


def test_a_context_reaches_the_child_by_file_and_by_name(tmp_path: Path) -> None:
    reach = cluster_variables(ClusterIdentity(uid="u", namespace="ns", context="c"), "/a/one", tmp_path)
    assert reach["KUBECONFIG"].endswith(f"{os.pathsep}/a/one")
    assert reach["WEIGHBRIDGE_KUBE_CONTEXT"] == "c"
    assert "WEIGHBRIDGE_IN_CLUSTER" not in reach


SECRETS = StateSecrets(
    passphrase="planted-passphrase", keys=S3Keys("planted-access", "planted-secret", "planted-token")
)


@pytest.mark.skipif(sys.platform != "linux", reason="memory files are Linux's")
def test_a_child_reads_the_secrets_twice_from_memory_and_its_environment_does_not_hold_them() -> None:
    program = (
        "import os; p = os.environ['PULUMI_CONFIG_PASSPHRASE_FILE']; c = os.environ['AWS_SHARED_CREDENTIALS_FILE'];"
        "print(open(p).read(), open(p).read(), open(c).read()); print('ENV', open('/proc/self/environ').read())"
    )
    with secret_channel(SECRETS) as (variables, descriptors):
        assert "planted" not in str(variables)
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=variables,
            pass_fds=descriptors,
            capture_output=True,
            text=True,
            check=True,
        )
    told, _, environment = done.stdout.partition("ENV")
    assert told.count("planted-passphrase") == 2
    for line in (
        "aws_access_key_id = planted-access",
        "aws_secret_access_key = planted-secret",
        "aws_session_token = planted-token",
    ):
        assert line in told
    assert "planted" not in environment


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(sys.platform != "linux", reason="memory files are Linux's")
def test_the_memory_is_given_back() -> None:
    before = open_files()
    with secret_channel(SECRETS):
        assert open_files() == before + 2
    assert open_files() == before


def test_no_representation_shows_a_secret() -> None:
    assert "planted" not in repr(SECRETS)
