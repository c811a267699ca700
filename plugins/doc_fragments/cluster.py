"""The option that all our modules have: the cluster."""


class ModuleDocFragment:
    """``extends_documentation_fragment: weighbridge.byom.cluster``."""

    DOCUMENTATION = r"""
---
options:
  cluster:
    description: Which cluster, as C(weights_cluster) of a rendered C(vars.yml) says.
    type: dict
    required: true
    suboptions:
      context: {type: str, description: Context of the kubeconfig files that E(KUBECONFIG) names; the current one by default.}
      in_cluster: {type: bool, default: false, description: Use the service account of the pod that this runs in.}
      proxy: {type: str, description: Proxy on the way to the API server.}
      uid: {type: str, description: UID of namespace C(kube-system); another cluster is refused.}
"""
