"""What runs in the rsync pod, and how it is reached: the configuration of its rsync daemon, and names on the volume."""

PORT = 8730
"""Where the daemon listens, on the pod's loopback only: reached through ``port-forward``, by nobody else."""

MODULE = "weights"
ROOT = "/weights/.weighbridge"
"""The module's folder in the pod: what is in flight and the receipts. Published sets lie outside it, so nobody who gets hold of
the tunnel can touch them."""

RSYNCD_CONF = f"""\
# The rsync pod's daemon (weighbridge). No chroot, no uid change: it runs without any privilege.
use chroot = no
max connections = 0
timeout = 600
numeric ids = yes
reverse lookup = no
forward lookup = no
transfer logging = no

[{MODULE}]
path = {ROOT}
comment = weights in flight
read only = no
list = no
munge symlinks = no
refuse options = delete links devices specials perms owner group acls xattrs remove-source-files copy-links write-devices
"""


def receipt_path(model_id: str, sub_path: str) -> str:
    """Receipt of the published set, relative to ``ROOT``; its name is the last part of ``sub_path``."""
    return f"receipts/{model_id.replace('/', '__')}/{sub_path.rpartition('/')[2]}.json"


def staging_path(sub_path: str) -> str:
    """Folder of the set in flight, relative to ``ROOT``."""
    return f"staging/{sub_path}"


def manifest_path(sub_path: str) -> str:
    """Manifest of the set in flight, relative to ``ROOT``."""
    return f"staging/{sub_path}.manifest.json"
