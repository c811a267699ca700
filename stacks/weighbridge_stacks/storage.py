"""Stack ``storage``: the PersistentVolumeClaims of an environment's models, each a protected resource of its own."""

from collections.abc import Mapping
from typing import Any

from weighbridge.domain.naming import MANAGER
from weighbridge.domain.stacks import StackSpec
from weighbridge_stacks import declaring

OURS = {
    "pulumi.com/skipAwait": "true",  # WaitForFirstConsumer: a claim stays Pending until its first pod; the sync step waits
    "pulumi.com/patchFieldManager": MANAGER,  # else a random name, and a rebuilt state would conflict with itself
    "pulumi.com/patchForce": "true",  # the object is ours: what was edited from outside is mended, not argued about
}
"""Annotations that tell Pulumi's Kubernetes provider how to treat an object. They stay on the object."""


def declare(spec: StackSpec) -> None:
    """Declare every claim of ``spec``. Growing one is an update; whatever would replace or delete one is refused."""
    provider = declaring.kubernetes(spec.cluster)
    for claim in spec.manifests:
        declaring.kubernetes_object(spec, with_annotations(claim, OURS), provider)


def with_annotations(manifest: Mapping[str, Any], added: Mapping[str, str]) -> dict[str, Any]:
    """A copy with ``added`` among its annotations; those of the manifest win."""
    metadata = dict(manifest["metadata"])
    metadata["annotations"] = dict(added) | dict(metadata.get("annotations") or {})
    return dict(manifest) | {"metadata": metadata}
