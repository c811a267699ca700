"""Rendered configuration: what it must say for the node to work and to leave no trace outside the folder."""

import configparser
import json
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from weighbridge_sandbox import node_config, pki, process_config
from weighbridge_sandbox.layout import Layout
from weighbridge_sandbox.objects import manifests

LAYOUT = Layout(Path("/srv/wb"))


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for each in value.values() for text in strings(each)]
    if isinstance(value, list):
        return [text for each in value for text in strings(each)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize(
    "document",
    [
        tomllib.loads(node_config.containerd(LAYOUT)),
        json.loads(node_config.kubelet(LAYOUT)),
        json.loads(node_config.cni_network(LAYOUT)),
    ],
    ids=["containerd", "kubelet", "cni"],
)
def test_every_path_but_debians_plugins_lies_in_the_sandboxs_folder(document: dict[str, Any]) -> None:
    paths = [text.removeprefix("unix://") for text in strings(document)]
    outside = {path for path in paths if path.startswith("/") and not path.startswith("/srv/wb/")}
    assert outside <= {node_config.CNI_PLUGINS}


def test_pods_network_neither_forwards_nor_masquerades() -> None:
    [bridge] = json.loads(node_config.cni_network(LAYOUT))["plugins"]
    assert bridge["bridge"] == "wbsbx0"
    assert bridge["isGateway"] is False
    assert bridge["ipMasq"] is False


def test_the_kubelet_never_collects_images_nor_touches_iptables() -> None:
    kubelet = json.loads(node_config.kubelet(LAYOUT))
    assert kubelet["imageGCHighThresholdPercent"] == 100
    assert kubelet["makeIPTablesUtilChains"] is False
    assert kubelet["failCgroupV1"] is False


def programs(layout: Layout) -> dict[str, configparser.SectionProxy]:
    parsed = configparser.RawConfigParser()
    parsed.read_string(
        process_config.supervisor(layout, process_config.processes(layout, "/venv/bin/python"))
    )
    return {
        name.removeprefix("program:"): parsed[name]
        for name in parsed.sections()
        if name.startswith("program:")
    }


def test_each_process_is_restarted_and_dies_with_the_manager() -> None:
    for name, section in programs(LAYOUT).items():
        assert section["autorestart"] == "true", name
        assert section["killasgroup"] == "true", name
        assert shlex.split(section["command"])[:3] == ["setpriv", "--pdeathsig", "KILL"], name


def test_the_stand_ins_are_started_later_and_know_where_they_are() -> None:
    for name in ("operator", "provisioner"):
        section = programs(LAYOUT)[name]
        assert section["autostart"] == "false"
        assert shlex.split(section["command"])[4:] == [
            "/venv/bin/python",
            "-m",
            f"weighbridge_sandbox.{name}",
        ]
        assert 'KUBECONFIG="/srv/wb/kubeconfig"' in section["environment"]
        assert 'WEIGHBRIDGE_SANDBOX_HOME="/srv/wb"' in section["environment"]


def test_a_percent_sign_in_the_folders_name_survives_supervisors_expansion() -> None:
    section = programs(Layout(Path("/srv/100%d")))["etcd"]
    assert "%" not in (section["command"] % {}).replace("/srv/100%d", "")


def test_no_secret_is_an_argument_of_the_s3_server() -> None:
    script = process_config.s3_script(Layout(Path("/srv/a b")))
    assert "--access" not in script
    assert "--secret" not in script
    assert "cat '/srv/a b/s3/secret-key'" in script


def test_the_kubeconfig_names_everything_after_the_sandbox() -> None:
    parsed = json.loads(pki.kubeconfig(b"ca", b"crt", b"key"))
    assert parsed["current-context"] == "weighbridge-sandbox"
    assert [each["name"] for kind in ("clusters", "users", "contexts") for each in parsed[kind]] == [
        "weighbridge-sandbox"
    ] * 3
    assert parsed["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:27443"


def test_certificates_are_issued_once_and_private(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    assert pki.ensure(layout) is True
    before = {path.name: path.read_bytes() for path in layout.pki.iterdir()}
    assert pki.ensure(layout) is False
    assert {path.name: path.read_bytes() for path in layout.pki.iterdir()} == before
    assert all(path.stat().st_mode & 0o077 == 0 for path in layout.pki.glob("*.key"))


def test_a_half_written_set_of_certificates_is_issued_anew_as_a_whole(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    pki.ensure(layout)
    authority = (layout.pki / "ca.crt").read_bytes()
    (layout.pki / "complete").unlink()
    assert pki.ensure(layout) is True
    assert (layout.pki / "ca.crt").read_bytes() != authority


def test_the_four_storage_classes_are_as_promised() -> None:
    [file] = [path for path in manifests("cluster") if path.name == "storage-classes.yaml"]
    classes = {each["metadata"]["name"]: each for each in yaml.safe_load_all(file.read_text())}
    assert {
        name: (c["volumeBindingMode"], c["provisioner"].rpartition("/")[2]) for name, c in classes.items()
    } == {
        "sandbox-rwx": ("WaitForFirstConsumer", "loop"),
        "sandbox-rwx-immediate": ("Immediate", "loop"),
        "sandbox-rwx-nofsgroup": ("WaitForFirstConsumer", "loop"),
        "sandbox-pending": ("Immediate", "nobody"),
    }
    assert {c["reclaimPolicy"] for c in classes.values()} == {"Delete"}
