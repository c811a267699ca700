"""Stack ``storage``: the PersistentVolumeClaims of an environment's models, each a protected resource of its own."""

from collections.abc import Mapping
from typing import Any

import pulumi

from weighbridge.domain.naming import MANAGER
from weighbridge.domain.stacks import StackSpec, StorageInputs
from weighbridge_stacks import cluster

OURS = {
    "pulumi.com/skipAwait": "true",  # WaitForFirstConsumer: a claim stays Pending until its first pod; the sync step waits
    "pulumi.com/patchFieldManager": MANAGER,  # else a random name, and a rebuilt state would conflict with itself
    "pulumi.com/patchForce": "true",  # the object is ours: what was edited from outside is mended, not argued about
}
"""Annotations that tell Pulumi's Kubernetes provider how to treat an object. They stay on the object."""


def declare(spec: StackSpec) -> None:
    """Declare every claim of ``spec``. Growing one is an update; whatever would replace or delete one is refused."""
    if not isinstance(spec.inputs, StorageInputs):
        raise TypeError(f"stack {spec.name} is not the storage stack")
    provider = cluster.provider(spec.cluster)
    for claim in spec.inputs.claims:
        manifest = with_annotations(claim, OURS)
        pulumi.CustomResource(
            f"kubernetes:{_group_version(str(manifest['apiVersion']))}:{manifest['kind']}",
            str(manifest["metadata"]["name"]),
            manifest,
            pulumi.ResourceOptions(provider=provider, protect=True),
        )
    cluster.sign(spec.cluster)


def with_annotations(manifest: Mapping[str, Any], added: Mapping[str, str]) -> dict[str, Any]:
    """A copy with ``added`` among its annotations; those of the manifest win."""
    metadata = dict(manifest["metadata"])
    metadata["annotations"] = dict(added) | dict(metadata.get("annotations") or {})
    return dict(manifest) | {"metadata": metadata}


def _group_version(api_version: str) -> str:
    """``v1`` is ``core/v1`` in Pulumi's type tokens; others stand as they are."""
    return api_version if "/" in api_version else f"core/{api_version}"
