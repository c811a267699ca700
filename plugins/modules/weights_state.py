"""Documentation of ``weights_state``; the work is done by the action plugin of the same name, in the ansible-playbook process."""

DOCUMENTATION = r"""
---
module: weights_state
author: The Weighbridge authors
short_description: What the cluster holds of one model's weights
description:
  - Reads receipt, volume and what earlier runs left, by GET alone; starts nothing and writes nothing.
  - Fails where an object of a name of ours is not of this environment.
  - Fails (exit 3 of Weighbridge) where the PersistentVolumeClaim does not exist, except in check mode.
extends_documentation_fragment: weighbridge.byom.cluster
options:
  namespace: {type: str, required: true, description: The operands namespace.}
  environment: {type: str, required: true, description: Name of the environment.}
  model_id: {type: str, required: true, description: The model.}
  fingerprint: {type: str, required: true, description: What the source lists, as a digest.}
  claim: {type: str, required: true, description: Name of the PersistentVolumeClaim.}
  jobs: {type: dict, required: true, description: Verb to name of the Job and digest of its order.}
  rsync_pod: {type: str, required: true, description: Name of the rsync pod.}
  secrets: {type: list, elements: str, default: [], description: Names of the short-lived Secrets; one that may not be read is left out.}
  verb: {type: str, required: true, choices: [fetch, publish, verify], description: What is going to be done.}
"""

EXAMPLES = r"""
---
# See roles/weights/tasks.
"""

RETURN = r"""
---
verified: {type: bool, returned: success, description: The volume holds this very set and nothing is known against it.}
reason: {type: str, returned: success, description: Why there is something to do, or when the set was verified.}
claim_uid: {type: str, returned: success, description: UID of the claim.}
receipt: {type: str, returned: success, description: "The receipt as JSON, or null."}
recorded: {type: str, returned: success, description: "Digest of this very set as the receipt holds it, or null: what the volume says of itself proves nothing."}
damaged: {type: list, elements: str, returned: success, description: Files of this set that the last verification found damaged.}
running: {type: bool, returned: success, description: "A Job of an earlier run is still at exactly this work; if it publishes, by the digests of what was sent."}
leftovers: {type: list, elements: dict, returned: success, description: Objects of earlier runs that are of no use.}
"""
