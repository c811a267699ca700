"""Documentation of ``rsync_password``; the work is done by the action plugin of the same name, in the ansible-playbook process."""

DOCUMENTATION = r"""
---
module: rsync_password
author: The Weighbridge authors
short_description: Put a new password for an rsync pod into a short-lived Secret
description:
  - It is made in this process, and C(weights_push) reads it from the Secret; no argument, result or file holds it.
  - One that an earlier run left is overwritten.
  - Where Secrets may not be made, that is said and nothing fails; the files then go by exec, which asks for no password.
extends_documentation_fragment: weighbridge.byom.cluster
options:
  namespace: {type: str, required: true, description: The operands namespace.}
  environment: {type: str, required: true, description: Name of the environment.}
  model_id: {type: str, required: true, description: The model.}
  name: {type: str, required: true, description: Name of the Secret.}
"""

EXAMPLES = r"""
---
# See roles/weights/tasks.
"""

RETURN = r"""
---
made: {type: bool, returned: success, description: Whether there is a password.}
"""
