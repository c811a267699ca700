"""Can the sandbox run on this machine at all? Found out by trying, on small things that are removed at once."""

import os
import platform
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from weighbridge_sandbox import network
from weighbridge_sandbox.commands import run
from weighbridge_sandbox.errors import CannotRunHereError, CommandError, PortTakenError
from weighbridge_sandbox.layout import LISTENERS, LONGEST_HOME, Layout

OLDEST_KERNEL = (4, 18)  # overlay mounts as containerd 1.6 makes them
LEAST_FREE_TO_BUILD = 8 * 2**30  # bytes: Go's module and build caches, the tools, the images
LEAST_FREE = 2 * 2**30
TRIAL_BRIDGE = "wbsbxtrial"
CONTROLLERS = frozenset({"cpu", "memory", "pids"})


@dataclass(frozen=True)
class Machine:
    """What was found out about this machine. Free space in bytes; `trials` maps a feature to why it failed, or ''."""

    system: str
    architecture: str
    user_id: int
    kernel: tuple[int, ...]
    controllers: frozenset[str]
    free: int
    home_length: int
    trials: Mapping[str, str]


def basic_reasons(machine: Machine, least_free: int) -> tuple[str, ...]:
    """Why the sandbox cannot run, as far as can be told without trying anything."""
    reasons = []
    if machine.system != "Linux":
        return (f"it needs Linux and this is {machine.system} (a Linux virtual machine will do)",)
    if machine.architecture not in {"x86_64", "amd64"}:
        reasons.append(f"it is made for x86_64 and this machine is {machine.architecture}")
    if machine.user_id != 0:
        reasons.append(
            "it mounts file systems and makes network devices, so it needs root (try sudo, with its -E)"
        )
    if machine.kernel < OLDEST_KERNEL:
        wanted = ".".join(map(str, OLDEST_KERNEL))
        reasons.append(
            f"the kernel is {'.'.join(map(str, machine.kernel))} and {wanted} is the oldest that works"
        )
    if lacking := CONTROLLERS - machine.controllers:
        reasons.append(f"the kernel offers no cgroup controller for {', '.join(sorted(lacking))}")
    if machine.free < least_free:
        have, need = machine.free / 2**30, least_free / 2**30
        reasons.append(f"its folder's disk has {have:.1f} GiB free and {need:.0f} GiB are needed")
    if machine.home_length > LONGEST_HOME:
        reasons.append(
            f"its folder's name has {machine.home_length} bytes and unix sockets below it allow {LONGEST_HOME} "
            "(set WEIGHBRIDGE_SANDBOX_HOME to a shorter one)"
        )
    return tuple(reasons)


def trial_reasons(trials: Mapping[str, str]) -> tuple[str, ...]:
    """Why the sandbox cannot run, from what was tried: one sentence for each feature that failed."""
    return tuple(
        f"the kernel or its permissions offer no {what} ({why})" for what, why in trials.items() if why
    )


def look(layout: Layout) -> Machine:
    """Look at this machine; tries nothing."""
    base = layout.home
    while not base.exists():
        base = base.parent
    numbers = platform.release().split("-", maxsplit=1)[0].split(".")[:2]
    return Machine(
        system=platform.system(),
        architecture=platform.machine(),
        user_id=os.geteuid(),
        kernel=tuple(int(number) for number in numbers if number.isdigit()),
        controllers=controllers(_text("/proc/cgroups"), _text("/sys/fs/cgroup/cgroup.controllers")),
        free=psutil.disk_usage(str(base)).free,
        home_length=len(os.fsencode(layout.home)),
        trials={},
    )


def controllers(proc_cgroups: str, unified: str) -> frozenset[str]:
    """Enabled cgroup controllers, of version 1 (/proc/cgroups) and version 2 (cgroup.controllers)."""
    rows = [line.split() for line in proc_cgroups.splitlines() if line and not line.startswith("#")]
    return frozenset(name for name, *_, enabled in rows if enabled == "1") | frozenset(unified.split())


def check_basics(layout: Layout, *, to_build: bool) -> None:
    """Refuse where it is plain that the sandbox cannot run; raises CannotRunHereError."""
    if platform.system() != "Linux":
        raise CannotRunHereError(
            basic_reasons(Machine(platform.system(), "", 0, (), frozenset(), 0, 0, {}), 0)
        )
    if reasons := basic_reasons(look(layout), LEAST_FREE_TO_BUILD if to_build else LEAST_FREE):
        raise CannotRunHereError(reasons)


def check_kernel(layout: Layout) -> None:
    """Try what the node's parts will do; raises CannotRunHereError naming all that failed."""
    layout.home.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="trial-", dir=layout.home) as folder:
        trials = {
            "overlay file system in the sandbox's folder": _try_overlay(Path(folder)),
            "loop devices": _try_loop(Path(folder)),
            "network bridges": _try_bridge(),
            "network namespaces": _tried(["unshare", "--net", "true"]),
        }
    if reasons := trial_reasons(trials):
        raise CannotRunHereError(reasons)


def check_addresses() -> None:
    """Refuse if a port or the pods' subnet is in other hands; raises PortTakenError saying whose."""
    if clash := network.clashing_route(run(["ip", "-4", "route", "show", "table", "all"]).stdout):
        raise PortTakenError(
            f"The pods' subnet is in use already: {clash}.",
            "Remove that route or stop what made it, then run `up`.",
        )
    taken = [
        f"{address}:{port} ({name}) is held by {holder(port)}"
        for name, (address, port) in LISTENERS.items()
        if not _free(address, port)
    ]
    if taken:
        raise PortTakenError(
            "Addresses that the sandbox needs are taken:\n  " + "\n  ".join(taken),
            "Stop that program; another sandbox's `weighbridge-sandbox down` stops that one.",
        )


def holder(port: int) -> str:
    """Who listens on a TCP port, in words."""
    for connection in psutil.net_connections("tcp"):
        if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
            with suppress(psutil.Error):
                process = psutil.Process(connection.pid)
                return f"process {process.pid} ({' '.join([process.name(), *process.cmdline()[1:2]])})"
    return "another program"


def _free(address: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # The bridge's address may not be there yet; it can be tried all the same.
        trial.setsockopt(socket.IPPROTO_IP, 15, 1)  # IP_FREEBIND (ip(7)); Python names it from 3.14 on
        try:
            trial.bind((address, port))
        except OSError:
            return False
    return True


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _tried(words: list[str | Path]) -> str:
    try:
        run(words, timeout_s=20)
    except CommandError as error:
        return str(error).splitlines()[0].rpartition(": ")[2].strip().rstrip(".") or str(error)
    return ""


def _try_overlay(folder: Path) -> str:
    lower, upper, work, merged = (folder / name for name in ("lower", "upper", "work", "merged"))
    for each in (lower, upper, work, merged):
        each.mkdir()
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    why = _tried(["mount", "-t", "overlay", "overlay", "-o", options, merged])
    return why or _tried(["umount", merged])


def _try_loop(folder: Path) -> str:
    image = folder / "loop.img"
    with image.open("wb") as stream:
        stream.truncate(4 * 2**20)
    (folder / "loop").mkdir()
    why = _tried(["mkfs.ext4", "-q", image]) or _tried(["mount", "-o", "loop", image, folder / "loop"])
    return why or _tried(["umount", folder / "loop"])


def _try_bridge() -> str:
    why = _tried(["ip", "link", "add", TRIAL_BRIDGE, "type", "bridge"])
    return why or _tried(["ip", "link", "delete", TRIAL_BRIDGE])
