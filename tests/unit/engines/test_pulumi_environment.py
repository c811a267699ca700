import base64
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from weighbridge.domain.credentials import S3Keys
from weighbridge.domain.stacks import ClusterIdentity
from weighbridge.engines.pulumi.environment import (
    StateSecrets,
    Surroundings,
    child_environment,
    cluster_variables,
    secret_channel,
)
from weighbridge.mover.proxies import ProxySettings
from weighbridge.processes.variables import Outside

AROUND = Surroundings(
    home=Path("/scratch/home"),
    search=(Path("/venv/bin"), Path("/tools")),
    outside=Outside(
        withheld=frozenset({"S3_SECRET", "STATE_PASSPHRASE"}),
        proxy=ProxySettings(https="http://proxy:3128", no_proxy=(), alone=True),
    ),
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
    identity = {
        "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_SESSION_TOKEN": "c", "AWS_CONFIG_FILE": "/assume",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/token", "AWS_ROLE_ARN": "arn:x", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://x",
    }  # fmt: skip
    found = child_environment(AROUND, AMBIENT | identity, backend="s3://state", own_identity=True)
    ours = {"AWS_CONFIG_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true"}
    assert {name: value for name, value in found.items() if name.startswith("AWS_")} == ours


def kubeconfig_of(folder: Path, context: str, user: dict[str, Any]) -> str:
    document = {
        "current-context": "another",
        "clusters": [{"name": "c", "cluster": {"server": "https://c", "certificate-authority": "ca.pem"}}],
        "contexts": [
            {"name": name, "context": {"cluster": "c", "user": "u"}} for name in (context, "another")
        ],
        "users": [{"name": "u", "user": user}],
    }
    trustme.CA().cert_pem.write_to_path(folder / "ca.pem")
    (folder / "config").write_text(yaml.safe_dump(document))
    return str(folder / "config")


@pytest.mark.parametrize(
    "context",
    ["stage-admin", "cluster/api.example.com:6443/kube:admin", "it's: odd #1", "a/b:6443/First Last"],
)
def test_the_child_is_given_the_one_context_that_is_meant(tmp_path: Path, context: str) -> None:
    (tmp_path / "scratch").mkdir()
    ambient = AMBIENT | {"KUBECONFIG": kubeconfig_of(tmp_path, context, {"token": "t"})}
    meant = ClusterIdentity(uid="u", namespace="ns", context=context)
    reach = cluster_variables(meant, AROUND, ambient, tmp_path / "scratch")
    file = Path(reach["KUBECONFIG"])
    assert file.parent == tmp_path / "scratch"
    assert file.stat().st_mode & 0o777 == 0o600
    found = yaml.safe_load(file.read_text())
    assert found["current-context"] == context
    assert [row["name"] for row in found["contexts"]] == [context]
    authority = found["clusters"][0]["cluster"]["certificate-authority-data"]
    assert base64.b64decode(authority).decode() == (tmp_path / "ca.pem").read_text()
    assert reach["WEIGHBRIDGE_KUBE_CONTEXT"] == context
    assert "WEIGHBRIDGE_IN_CLUSTER" not in reach


def test_a_login_helper_below_the_child_gets_what_the_child_does_not(tmp_path: Path) -> None:
    """The state's keys must not be beaten by an identity that the helper of the kubeconfig needs."""
    own = [{"name": "MARK", "value": "own"}]
    helper = {
        "apiVersion": "client.authentication.k8s.io/v1", "command": "./aws", "interactiveMode": "Never", "env": own,
    }  # fmt: skip
    ambient = AMBIENT | {
        "KUBECONFIG": kubeconfig_of(tmp_path, "stage", {"exec": helper}), "MARK": "outside", "HUNT_CLIENT_SECRET": "s",
    }  # fmt: skip
    (tmp_path / "scratch").mkdir()
    meant = ClusterIdentity(uid="u", namespace="ns", context="stage")
    reach = cluster_variables(meant, AROUND, ambient, tmp_path / "scratch", own_identity=True)
    [user] = yaml.safe_load(Path(reach["KUBECONFIG"]).read_text())["users"]
    found = {row["name"]: row["value"] for row in user["user"]["exec"]["env"]}
    assert user["user"]["exec"]["args"][-1] == str(tmp_path / "aws")
    assert found == {"AWS_PROFILE": "eks-login", "HUNT_CLIENT_SECRET": "s", "MARK": "own"}
    child = child_environment(AROUND, ambient, backend="s3://state", own_identity=True)
    assert not child.keys() & {"AWS_PROFILE", "HUNT_CLIENT_SECRET", "MARK"}


def test_in_the_cluster_no_kubeconfig_of_the_surroundings_reaches_the_child(tmp_path: Path) -> None:
    """client-go falls back to the pod's service account only where the kubeconfig holds nothing."""
    ambient = AMBIENT | {"KUBECONFIG": "/somebody/elses/cluster"}
    meant = ClusterIdentity(uid="u", namespace="ns", in_cluster=True)
    reach = cluster_variables(meant, AROUND, ambient, tmp_path)
    around = Surroundings(home=Path("/scratch"), search=(), extra=reach)
    found = child_environment(around, ambient, backend="file:///state", own_identity=False)
    assert yaml.safe_load(Path(found["KUBECONFIG"]).read_text()) == {"apiVersion": "v1", "kind": "Config"}
    assert found["WEIGHBRIDGE_IN_CLUSTER"] == "true"
    assert "WEIGHBRIDGE_KUBE_CONTEXT" not in found


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
