"""Documentation of ``source_secret``; the work is done by the action plugin of the same name, in the ansible-playbook process."""

DOCUMENTATION = r"""
---
module: source_secret
author: The Weighbridge authors
short_description: Put what a source's login takes into a short-lived Secret
description:
  - References are resolved in this process; no argument, result or file holds a value.
extends_documentation_fragment: weighbridge.byom.cluster
options:
  namespace: {type: str, required: true, description: The operands namespace.}
  environment: {type: str, required: true, description: Name of the environment.}
  model_id: {type: str, required: true, description: The model.}
  name: {type: str, required: true, description: Name of the Secret.}
  source: {type: dict, required: true, description: "The source: its kind, and its keys as in the environment file, secrets by reference."}
  folder: {type: str, default: ., description: Where relative file references start.}
"""

EXAMPLES = r"""
---
# See roles/weights/tasks.
"""

RETURN = r"""
---
{}
"""
