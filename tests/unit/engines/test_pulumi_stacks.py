"""What is decided before the CLI is started, for any stack: whose cluster it is, what stays, which program runs."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.third_stack import THIRD
from weighbridge.domain.stacks import ClusterIdentity, Stack, StackSpec
from weighbridge.engines.pulumi.backend import parse_backend
from weighbridge.engines.pulumi.command import GuardedCommand
from weighbridge.engines.pulumi.environment import StateSecrets
from weighbridge.engines.pulumi.stacks import PulumiSettings, PulumiStacks, project_name
from weighbridge.errors import PreconditionError, StepFailedError
from weighbridge.steps.registration.stack import REGISTRATION
from weighbridge.steps.storage.stack import STORAGE

MEANT = ClusterIdentity(uid="meant", namespace="ns")


def ambient_config(folder: Path) -> str:
    document = {
        "current-context": "another",
        "clusters": [{"name": "c", "cluster": {"server": "https://c"}}],
        "contexts": [{"name": name, "context": {"cluster": "c"}} for name in ("stage", "another")],
    }
    (folder / "ambient-config").write_text(yaml.safe_dump(document))
    return str(folder / "ambient-config")


def stacks(folder: Path, asked: list[Mapping[str, str]], found: str = "another") -> PulumiStacks:
    settings = PulumiSettings(
        backend=parse_backend("file://state", folder),
        secrets=StateSecrets(passphrase="p"),
        cache=folder / "cache",
        kubeconfig=ambient_config(folder),
    )

    def identify(reach: Mapping[str, str], cluster: ClusterIdentity) -> str:
        assert cluster.uid == "meant"
        first = Path(reach["KUBECONFIG"].split(":")[0])
        asked.append({**reach, "first": first.read_text(encoding="utf-8")})
        return found

    return PulumiStacks(settings, ambient={}, identify=identify)


def spec_of(stack: Stack, cluster: ClusterIdentity = MEANT) -> StackSpec:
    return StackSpec(environment="e", cluster=cluster, stack=stack, manifests=())


@pytest.mark.parametrize("in_cluster", [True, False])
@pytest.mark.parametrize("stack", [STORAGE, THIRD], ids=lambda stack: stack.name)
def test_a_stack_is_declared_only_in_the_cluster_that_the_child_would_reach_and_that_is_meant(
    tmp_path: Path, stack: Stack, in_cluster: bool
) -> None:
    asked: list[Mapping[str, str]] = []
    cluster = replace(MEANT, context=None if in_cluster else "stage", in_cluster=in_cluster)

    with pytest.raises(PreconditionError, match="another, but meant is meant") as refused:
        stacks(tmp_path, asked).up(spec_of(stack, cluster), lambda _event: None)

    assert refused.value.code == "other-cluster"
    [reach] = asked
    shown = yaml.safe_load(reach["first"])
    if in_cluster:
        assert "ambient-config" not in reach["KUBECONFIG"]
        assert "contexts" not in shown
    else:
        assert [row["name"] for row in shown["contexts"]] == ["stage"]
        assert shown["current-context"] == "stage"


def test_a_stack_whose_provider_compares_clusters_itself_is_not_asked_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    asked: list[Mapping[str, str]] = []
    for stack in (REGISTRATION, replace(THIRD, verify_cluster=False)):
        with pytest.raises(PreconditionError, match="`pulumi` was not found"):
            stacks(tmp_path, asked).up(spec_of(stack), lambda _event: None)
    assert asked == []


def test_a_third_stack_has_a_project_and_a_plugin_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [project_name(stack) for stack in (STORAGE, REGISTRATION, THIRD)]
    assert names == ["weighbridge-storage", "weighbridge-registration", "weighbridge-third"]
    tool = tmp_path / "bin" / "pulumi"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    spec = spec_of(replace(THIRD, plugin="made-up"), replace(MEANT, context="stage"))
    with pytest.raises(PreconditionError, match="`pulumi-resource-made-up` was not found"):
        stacks(tmp_path, [], "meant").up(spec, lambda _event: None)


def recorded(folder: Path, stack: Stack, *rows: dict[str, Any]) -> Path:
    urn = f"urn:pulumi:e::{project_name(stack)}"
    signed = {
        "urn": f"{urn}::pulumi:pulumi:Stack::s",
        "type": "pulumi:pulumi:Stack",
        "outputs": {"clusterUid": "meant"},
    }
    resources = [
        signed,
        *({"urn": f"{urn}::{row['type']}::{row.pop('name')}", **row} for row in rows),
    ]
    state = folder / "state" / ".pulumi" / "stacks" / project_name(stack) / "e.json"
    state.parent.mkdir(parents=True)
    state.write_text(json.dumps({"version": 3, "checkpoint": {"latest": {"resources": resources}}}))
    return state


CONFIG_MAP = "kubernetes:core/v1:ConfigMap"


@pytest.mark.parametrize("stack", [THIRD, REGISTRATION], ids=lambda stack: stack.name)
def test_a_plain_destroy_of_any_stack_leaves_what_is_protected_without_starting_anything(
    tmp_path: Path, stack: Stack
) -> None:
    state = recorded(
        tmp_path,
        stack,
        {"type": CONFIG_MAP, "name": "a", "protect": True},
        {"type": CONFIG_MAP, "name": "b", "protect": True},
    )
    before, asked = state.read_bytes(), list[Mapping[str, str]]()
    result = stacks(tmp_path, asked).destroy(spec_of(stack), lambda _event: None)
    assert (result.stack, result.changes, result.kept) == (stack.name, (), ("a", "b"))
    assert (state.read_bytes(), asked) == (before, [])


def test_a_plain_destroy_leaves_what_is_retained_also_where_a_killed_one_took_its_protection(
    tmp_path: Path,
) -> None:
    recorded(tmp_path, THIRD, {"type": CONFIG_MAP, "name": "a"})
    keeping = replace(THIRD, retained=frozenset({CONFIG_MAP}))
    result = stacks(tmp_path, []).destroy(spec_of(keeping), lambda _event: None)
    assert result.kept == ("a",)


RECORDING = """#!/bin/sh
[ "$1" = version ] && { echo v3.255.0; exit 0; }
{ echo "seen=$WEIGHBRIDGE_SEEN"; [ -n "$WEIGHBRIDGE_SEEN" ] && cat "$WEIGHBRIDGE_SEEN"; echo; } >> "$TOLD"
exit 1
"""


def test_what_the_plan_saw_is_told_to_the_provider_by_a_file_but_never_while_a_plan_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("pulumi", "pulumi-resource-weighbridge"):
        (tools / name).write_text(RECORDING.replace("$TOLD", str(tmp_path / "told")))
        (tools / name).chmod(0o755)
    told = tmp_path / "told"
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    settings = PulumiSettings(
        backend=parse_backend("file://state", tmp_path),
        secrets=StateSecrets(passphrase="p"),
        cache=tmp_path / "cache",
        kubeconfig=ambient_config(tmp_path),
        search=(tools,),
    )
    monkeypatch.setattr(sys, "executable", str(tools / "python"))
    monkeypatch.setattr(GuardedCommand, "_guarded", lambda command, args, _cwd: [command.command, *args])
    entries = {f"model-{number}": "sha256:" + "a" * 64 for number in range(3000)}
    spec = replace(spec_of(REGISTRATION), settings={"custom_resource": "cr"}, seen=entries)
    with pytest.raises(StepFailedError):
        PulumiStacks(settings).preview(spec)
    assert "seen=\n" in told.read_text()
    assert "model-" not in told.read_text()
    told.unlink()
    with pytest.raises(StepFailedError):
        PulumiStacks(settings).up(spec, lambda _event: None)
    file, content = told.read_text().split("\n")[:2]
    assert not Path(file.removeprefix("seen=")).exists(), "it goes with the scratch folder"
    assert json.loads(content) == {"namespace": "ns", "settings": {"custom_resource": "cr"}, "seen": entries}


def test_a_descriptor_starts_no_program() -> None:
    code = (
        "import sys; import weighbridge.steps.storage.stack, weighbridge.steps.registration.stack;"
        "print([name for name in sys.modules if name.partition('.')[0] in {'pulumi', 'weighbridge_stacks', 'grpc'}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
