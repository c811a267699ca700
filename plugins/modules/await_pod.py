"""Documentation of ``await_pod``; the work is done by the action plugin of the same name, in the ansible-playbook process."""

DOCUMENTATION = r"""
---
module: await_pod
author: The Weighbridge authors
short_description: Wait until a pod is ready
description:
  - Says early and clearly why it will not be.
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
  namespace: {type: str, required: true, description: The operands namespace.}
  model_id: {type: str, required: true, description: The model.}
  pod: {type: str, required: true, description: Name of the pod.}
  claim: {type: str, required: true, description: Name of the PersistentVolumeClaim it mounts.}
  schedule_seconds: {type: float, default: 600, description: How long a pod may take to start; volumes are made and images pulled in it.}
  stuck_seconds: {type: float, default: 30, description: How long a problem that the cluster reports may last before it is believed.}
"""

EXAMPLES = r"""
---
# See roles/weights/tasks.
"""

RETURN = r"""
---
{}
"""
