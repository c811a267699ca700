"""Documentation of ``s3_credentials``; the work is done by the action plugin of the same name, in the ansible-playbook process."""

DOCUMENTATION = r"""
---
module: s3_credentials
author: The Weighbridge authors
short_description: Put the keys of an S3 source into a short-lived Secret
description:
  - References are resolved in this process; no argument, result or file holds a value.
extends_documentation_fragment: weighbridge.byom.cluster
options:
  namespace: {type: str, required: true, description: The operands namespace.}
  environment: {type: str, required: true, description: Name of the environment.}
  model_id: {type: str, required: true, description: The model.}
  name: {type: str, required: true, description: Name of the Secret.}
  credentials: {type: dict, required: true, description: "References as in the environment file: access_key, secret_key, perhaps session_token."}
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
