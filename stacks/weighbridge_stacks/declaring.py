"""How a program declares: by these, a resource has what its ``Stack`` promises without anybody thinking of it."""

from collections.abc import Mapping
from typing import Any

import pulumi

from weighbridge.domain.stacks import ClusterIdentity, Manifest, StackSpec, manifest_name


def kubernetes(cluster: ClusterIdentity) -> pulumi.ProviderResource:
    """A provider of Pulumi's Kubernetes plugin with nothing of this machine in its inputs.

    Neither ``kubeconfig`` nor ``context``: both come to the plugin through the environment, so that another machine or
    another context's name changes no state. ``clusterIdentifier`` alone decides whether it is the same cluster.
    (``pulumi_kubernetes.Provider`` would copy KUBECONFIG from the environment into its inputs.)
    """
    return pulumi.ProviderResource(
        "kubernetes",
        "cluster",
        {"clusterIdentifier": cluster.uid, "namespace": cluster.namespace, "enableServerSideApply": "true"},
    )


def resource(
    spec: StackSpec,
    type_token: str,
    name: str,
    inputs: Mapping[str, Any],
    provider: pulumi.ProviderResource | None = None,
) -> pulumi.CustomResource:
    """One resource, protected where everything of its stack is."""
    options = pulumi.ResourceOptions(provider=provider, protect=True if spec.stack.protect else None)
    return pulumi.CustomResource(type_token, name, dict(inputs), options)


def kubernetes_object(
    spec: StackSpec, manifest: Manifest, provider: pulumi.ProviderResource
) -> pulumi.CustomResource:
    """One Kubernetes object as its manifest says, by the name that is in its metadata."""
    token = f"kubernetes:{_group_version(str(manifest['apiVersion']))}:{manifest['kind']}"
    return resource(spec, token, manifest_name(manifest), manifest, provider)


def _group_version(api_version: str) -> str:
    """``v1`` is ``core/v1`` in Pulumi's type tokens; others stand as they are."""
    return api_version if "/" in api_version else f"core/{api_version}"
