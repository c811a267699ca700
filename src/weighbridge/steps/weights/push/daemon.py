"""The rsync pod's daemon as its clients see it. Must match ``templates/rsyncd.conf`` and ``templates/rsync-pod.yaml.j2``."""

PORT = 8730
"""Port of the daemon, on the pod's loopback only: reached through ``port-forward``."""

STAGING = "staging"
"""Module of files in transfer: writable."""
RECEIPTS = "receipts"
"""Module of the receipts of published sets: read-only, because the next push trusts them."""
ROOT = "/weights/.weighbridge"
"""Folder of both modules in the pod. Published sets lie outside it."""

USER = "weighbridge"
PASSWORD_KEY = "rsyncd.secrets"  # noqa: S105 - a key's name
"""Key of the pod's Secret, and file name in the pod: one line ``user:password`` (rsyncd.conf(5), "secrets file")."""


def secrets_line(password: str) -> str:
    """Return the content of the daemon's secrets file."""
    return f"{USER}:{password}\n"


def password_in(line: str) -> str:
    """Return the password in a result of ``secrets_line``."""
    return line.strip().partition(":")[2]


def receipt_path(model_id: str, sub_path: str) -> str:
    """Return the path of a published set's receipt, relative to ``RECEIPTS``. Its name is the last part of ``sub_path``."""
    return f"{model_id.replace('/', '__')}/{sub_path.rpartition('/')[2]}.json"


def manifest_path(sub_path: str) -> str:
    """Return the manifest's path of the set in transfer, relative to ``STAGING``. The files lie in the folder ``sub_path``."""
    return f"{sub_path}.manifest.json"
