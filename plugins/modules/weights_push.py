"""Documentation of ``weights_push``; the work is done by the action plugin of the same name, in the ansible-playbook process."""

DOCUMENTATION = r"""
---
module: weights_push
author: The Weighbridge authors
short_description: Download a weight set file by file and send it into an rsync pod
description:
  - Downloads from the source into a bounded spool on this machine, and sends each file by rsync into the staging folder of the volume.
  - Continues inside a file after an interruption. What is on the volume already is not sent again, also by another machine; that
    one reads it from the source again, because what the volume says of itself proves nothing.
  - The pod's daemon asks for the password of the Secret that has the pod's name; see M(weighbridge.byom.rsync_password).
  - Nothing is published here; that is the task of the publishing Job, which is told the digests that this returns.
extends_documentation_fragment: weighbridge.byom.cluster
options:
  namespace: {type: str, required: true, description: The operands namespace.}
  pod: {type: str, required: true, description: Name of the rsync pod.}
  container: {type: str, default: rsync, description: Its container.}
  order: {type: dict, required: true, description: "What to bring: the parsed C(order.json)."}
  source: {type: dict, required: true, description: "The source: its kind, and its keys as in the environment file, secrets by reference."}
  folder: {type: str, default: ., description: Where relative paths of the source and of references to files start.}
  damaged: {type: list, elements: str, default: [], description: Files whose bytes on the volume are known to be wrong.}
  recorded: {type: str, description: "Digest of this very set as the cluster has it on record; a receipt on the volume counts only if it attests just that."}
  spool: {type: str, default: var/spool, description: Folder on this machine where files wait.}
  spool_bytes: {type: int, default: 2147483648, description: Most bytes in the spool; one larger file may still stand there alone.}
  deadline_seconds: {type: float, default: 21600, description: For all of it.}
  stall_seconds: {type: int, default: 120, description: Without any byte from rsync, a connection counts as broken.}
  password:
    type: bool
    default: true
    description: Whether the pod has a password, as M(weighbridge.byom.rsync_password) returned; without one only exec is used.
  transports:
    type: list
    elements: str
    choices: [port-forward, exec]
    default: [port-forward, exec]
    description: Transports to the pod, tried in this order where the cluster forbids one.
  ca_bundle: {type: str, description: PEM file with the authorities to trust for the source.}
  proxy: {type: dict, description: "http, https and no_proxy, on the way to the source."}
"""

EXAMPLES = r"""
---
# See roles/weights/tasks.
"""

RETURN = r"""
---
files_sent: {type: int, returned: success, description: Files that were sent.}
files_kept: {type: int, returned: success, description: Files of the published set that stay as they are.}
files_resumed: {type: int, returned: success, description: Files that an earlier try had sent, wholly or in part.}
bytes_moved: {type: int, returned: success, description: Content sent to the pod.}
bytes_resumed: {type: int, returned: success, description: Content of an earlier try that was not sent again.}
bytes_downloaded: {type: int, returned: success, description: Content read from the source.}
seconds: {type: float, returned: success, description: Time of all of it.}
transport: {type: str, returned: success, description: The transport that was used.}
set_digest: {type: str, returned: success, description: Digest of the set as this machine read it.}
files: {type: list, elements: dict, returned: success, description: "path, size and sha256 of each file."}
max_rss_bytes: {type: int, returned: success, description: Peak memory of this process.}
"""
