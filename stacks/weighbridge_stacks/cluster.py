"""The cluster as Pulumi's Kubernetes provider sees it, and the mark that says whose state this is."""

import pulumi

from weighbridge.domain.stacks import ClusterIdentity


def provider(cluster: ClusterIdentity) -> pulumi.ProviderResource:
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


def sign(cluster: ClusterIdentity) -> None:
    """Record the cluster's identity in the state (read by ``engines/pulumi/backend.py`` before any refresh)."""
    pulumi.export("clusterUid", cluster.uid)
