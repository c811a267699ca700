"""Documentation of ``weights_verdict``; the work is done by the action plugin of the same name, in the ansible-playbook process."""

DOCUMENTATION = r"""
---
module: weights_verdict
author: The Weighbridge authors
short_description: Fail where a verification found damage
description:
  - Run after the receipt was recorded.
options:
  receipt: {type: str, required: true, description: The receipt as JSON.}
"""

EXAMPLES = r"""
---
# See roles/weights/tasks.
"""

RETURN = r"""
---
{}
"""
