"""A process that sees what a pod sees: ``stacks_in_a_pod.py NAMESPACE FOLDER UID CA TOKEN``, as root.

In a mount namespace of its own it puts the service account's files where the kubelet puts them, and declares a claim
``in_cluster``, while KUBECONFIG and ~/.kube/config name another cluster.
"""

import ctypes
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from support.stacks_lab import A, Lab
from weighbridge.domain.stacks import ClusterIdentity

ACCOUNT = Path("/run/secrets/kubernetes.io/serviceaccount")
CLONE_NEWNS = 0x00020000


def _mount(ca: Path, token: Path) -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    ACCOUNT.mkdir(parents=True)
    for file, name in ((ca, "ca.crt"), (token, "token")):
        (ACCOUNT / name).write_bytes(file.read_bytes())
    (ACCOUNT / "namespace").write_text("default", encoding="utf-8")


if __name__ == "__main__":
    namespace, folder, uid, ca_file, token_file = sys.argv[1:]
    _mount(Path(ca_file), Path(token_file))
    lab = Lab(namespace, Path(folder), uid=uid)
    meant = ClusterIdentity(uid=uid, namespace=namespace, in_cluster=True)
    spec = replace(lab.storage(lab.claim(A)), cluster=meant)
    done = lab.stacks(kubeconfig=os.environ["KUBECONFIG"]).up(spec, print)
    sys.stdout.write(f"{[(change.name, change.op.value) for change in done.changes]}\n")
