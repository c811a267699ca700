"""Documentation of ``follow_job``; the work is done by the action plugin of the same name, in the ansible-playbook process."""

DOCUMENTATION = r"""
---
module: follow_job
author: The Weighbridge authors
short_description: Follow a mover's Job to its end
description:
  - Displays progress while it works, reconnects to the log, follows a replacement pod.
  - Says early and clearly why a pod cannot start. Polls with GET and LIST; nothing is watched or executed.
extends_documentation_fragment: weighbridge.byom.cluster
options:
  namespace: {type: str, required: true, description: The operands namespace.}
  model_id: {type: str, required: true, description: The model.}
  job: {type: str, required: true, description: Name of the Job.}
  claim: {type: str, required: true, description: Name of the PersistentVolumeClaim.}
  deadline_seconds: {type: float, required: true, description: How long the work may take in all.}
  schedule_seconds: {type: float, default: 600, description: How long a pod may take to start; volumes are made and images pulled in it.}
  stuck_seconds: {type: float, default: 30, description: How long a problem that the cluster reports may last before it is believed.}
  adopt: {type: list, elements: dict, default: [], description: Kind and name of ConfigMaps and Secrets that the Job shall own and take along.}
  accept: {type: list, elements: int, default: [], description: Exit codes of the mover that are a result and no failure.}
  accept_named: {type: bool, default: false, description: Accept them only where the mover names the files that are concerned.}
"""

EXAMPLES = r"""
---
# See roles/weights/tasks.
"""

RETURN = r"""
---
result: {type: dict, returned: always, description: The mover's termination message.}
exit_code: {type: int, returned: always, description: The mover's exit code.}
files: {type: list, elements: str, returned: always, description: Files that the mover's error is about.}
weighbridge: {type: dict, returned: failure, description: "The failure for programs: exit_code, code, what, remedy, transient."}
"""
