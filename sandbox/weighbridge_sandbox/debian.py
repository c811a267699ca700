"""Debian packages the sandbox needs: named, then installed, never removed."""

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from weighbridge_sandbox.commands import DIES_WITH_US, SYSTEM_PATH, run
from weighbridge_sandbox.errors import CommandError, PackagesError

# package -> a program or file of it; a machine that has the file needs no package.
NEEDED: Mapping[str, str] = {
    "containerd": "containerd",
    "runc": "runc",
    "containernetworking-plugins": "/usr/lib/cni/bridge",
    "catatonit": "/usr/bin/catatonit",
    "mmdebstrap": "mmdebstrap",
    "debian-archive-keyring": "/usr/share/keyrings/debian-archive-keyring.gpg",
    "rsync": "rsync",
    "e2fsprogs": "mkfs.ext4",
    "iproute2": "ip",
    "mount": "losetup",
    "util-linux": "setpriv",
}


def present(proof: str) -> bool:
    """Whether a program is on the system's PATH, or a file is there."""
    return (
        Path(proof).exists() if proof.startswith("/") else shutil.which(proof, path=SYSTEM_PATH) is not None
    )


def missing(is_present: Callable[[str], bool] = present) -> tuple[str, ...]:
    """Packages that are needed and not there, in the order of NEEDED."""
    return tuple(package for package, proof in NEEDED.items() if not is_present(proof))


def install(packages: tuple[str, ...]) -> None:
    """Install packages without their recommendations. The sandbox starts a containerd of its own: should the package
    start the machine's as a service, that one is another and stays untouched. Raises PackagesError.
    """
    by_hand = (
        "Install by hand what provides: " + ", ".join(f"{name} ({NEEDED[name]})" for name in packages) + "."
    )
    if shutil.which("apt-get") is None:
        raise PackagesError("This is no Debian or Ubuntu: packages are missing.", by_hand)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    apt = (*DIES_WITH_US, "apt-get", "--option=DPkg::Lock::Timeout=300")
    try:
        # A broken third-party source fails this without harm to the rest; if it does harm, the installation says so.
        run([*apt, "update", "--quiet"], timeout_s=600, env=environment, check=False)
        run(
            [*apt, "install", "--yes", "--no-install-recommends", *packages],
            timeout_s=1200,
            env=environment,
        )
    except CommandError as error:
        raise PackagesError(f"apt-get could not install the packages: {error}", by_hand) from error
    if lacking := missing():
        raise PackagesError(f"Installed, yet not found: {', '.join(lacking)}.", by_hand)
