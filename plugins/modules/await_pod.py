"""Documentation of ``await_pod``; the work is done by the action plugin of the same name, in the ansible-playbook process."""

DOCUMENTATION = r"""
---
module: await_pod
author: The Weighbridge authors
short_description: Wait until a pod is ready
description:
  - Says early and clearly why it will not be.
extends_documentation_fragment: weighbridge.byom.cluster
options:
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
