"""What ends before the CLI is started: a write to a cluster that is not the one that is meant."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from weighbridge.domain.stacks import ClusterIdentity, StackName, StackSpec, StorageInputs
from weighbridge.engines.pulumi.backend import parse_backend
from weighbridge.engines.pulumi.environment import StateSecrets
from weighbridge.engines.pulumi.stacks import PulumiSettings, PulumiStacks
from weighbridge.errors import PreconditionError


def stacks(folder: Path, asked: list[Mapping[str, str]]) -> PulumiStacks:
    settings = PulumiSettings(
        backend=parse_backend("file://state", folder),
        secrets=StateSecrets(passphrase="p"),
        cache=folder / "cache",
        kubeconfig="/ambient/config",
    )

    def identify(reach: Mapping[str, str], cluster: ClusterIdentity) -> str:
        assert cluster.uid == "meant"
        first = Path(reach["KUBECONFIG"].split(":")[0])
        asked.append({**reach, "first": first.read_text(encoding="utf-8")})
        return "another"

    return PulumiStacks(settings, {StackName.STORAGE: lambda _spec: None}, ambient={}, identify=identify)


@pytest.mark.parametrize("in_cluster", [True, False])
def test_claims_are_declared_only_in_the_cluster_that_the_child_would_reach_and_that_is_meant(
    tmp_path: Path, in_cluster: bool
) -> None:
    asked: list[Mapping[str, str]] = []
    cluster = ClusterIdentity(
        uid="meant", namespace="ns", context=None if in_cluster else "stage", in_cluster=in_cluster
    )
    spec = StackSpec(environment="e", cluster=cluster, inputs=StorageInputs(claims=()))

    with pytest.raises(PreconditionError, match="another, but meant is meant") as refused:
        stacks(tmp_path, asked).up(spec, lambda _event: None)

    assert refused.value.code == "other-cluster"
    [reach] = asked
    shown = yaml.safe_load(reach["first"])
    if in_cluster:
        assert "/ambient/config" not in reach["KUBECONFIG"]
        assert "contexts" not in shown
    else:
        assert reach["KUBECONFIG"].endswith(":/ambient/config")
        assert shown["current-context"] == "stage"
