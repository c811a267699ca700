"""The rsync pod's daemon as a client meets it: ``templates/rsyncd.conf`` and ``templates/rsync-pod.yaml.j2`` say the same."""

PORT = 8730
"""Where the daemon listens, on the pod's loopback only: reached through ``port-forward``."""

STAGING = "staging"
"""Module of what is in flight: writable."""
RECEIPTS = "receipts"
"""Module of the receipts of published sets: can only be read, because the next push believes them."""
ROOT = "/weights/.weighbridge"
"""Where both modules lie in the pod. Published sets lie outside it."""

USER = "weighbridge"
PASSWORD_KEY = "rsyncd.secrets"  # noqa: S105 - a key's name
"""Key of the pod's Secret, and file name in the pod: one line ``user:password`` (rsyncd.conf(5), "secrets file")."""


def secrets_line(password: str) -> str:
    """Content of the daemon's secrets file."""
    return f"{USER}:{password}\n"


def password_in(line: str) -> str:
    """The password of ``secrets_line``'s result."""
    return line.strip().partition(":")[2]


def receipt_path(model_id: str, sub_path: str) -> str:
    """Receipt of the published set, relative to ``RECEIPTS``; its name is the last part of ``sub_path``."""
    return f"{model_id.replace('/', '__')}/{sub_path.rpartition('/')[2]}.json"


def manifest_path(sub_path: str) -> str:
    """The sender's memory of the set in flight, relative to ``STAGING``; its files lie in the folder ``sub_path``."""
    return f"{sub_path}.manifest.json"
