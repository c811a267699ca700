"""Documentation of ``short_lived_left``; the work is done by the action plugin of the same name, in the ansible-playbook process."""

DOCUMENTATION = r"""
---
module: short_lived_left
author: The Weighbridge authors
short_description: Which short-lived objects stand in the cluster and are this environment's
description:
  - Reads each by GET alone. Whatever does not carry the labels of Weighbridge and of the environment is left out, and said to be left.
extends_documentation_fragment: weighbridge.byom.cluster
options:
  namespace: {type: str, required: true, description: The operands namespace.}
  environment: {type: str, required: true, description: Name of the environment.}
  model_id: {type: str, required: true, description: The model.}
  objects: {type: list, elements: dict, required: true, description: What the filter C(short_lived) gives.}
  former:
    type: list
    elements: dict
    default: []
    description: Kind and name of what an earlier version may have left; what may not be read is left out.
"""

EXAMPLES = r"""
---
# See roles/weights/tasks/clean_up.yml.
"""

RETURN = r"""
---
left: {type: list, elements: dict, returned: success, description: "What the Kubernetes modules take to find them, in the order given."}
"""
