"""Taking down what the node's programs leave behind when they are stopped: tasks, mounts, loops, namespaces."""

import contextlib
import json
import shutil
import signal
import socket
from collections.abc import Iterable
from pathlib import Path

import psutil

from weighbridge_sandbox import network
from weighbridge_sandbox.commands import run, wait_until
from weighbridge_sandbox.errors import CommandError
from weighbridge_sandbox.layout import BRIDGE, Layout

# The kubelet sets these for the whole machine (pkg/kubelet/cm, setupKernelTunables).
KERNEL_SETTINGS = (
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)

# The kubelet's only socket whose place cannot be chosen (k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1, KubeletSocket).
DEVICE_PLUGINS = Path("/var/lib/kubelet/device-plugins/kubelet.sock")


def mounts_below(folder: Path, mountinfo: str) -> tuple[str, ...]:
    """Mount points at or below `folder`, latest first, from the text of /proc/self/mountinfo (proc(5))."""
    found = []
    for line in mountinfo.splitlines():
        point = line.split()[4].encode().decode("unicode_escape")
        if Path(point).is_relative_to(folder):
            found.append(point)
    return tuple(reversed(found))


def loops_backed_below(folder: Path, losetup: str) -> tuple[str, ...]:
    """Loop devices whose file lies below `folder`, from `losetup --list --json`; deleted files count too."""
    if not losetup.strip():
        return ()
    listed = json.loads(losetup)["loopdevices"]
    return tuple(
        str(loop["name"])
        for loop in listed
        if loop["back-file"]
        and Path(str(loop["back-file"]).removesuffix(" (deleted)")).is_relative_to(folder)
    )


def shims_of(layout: Layout, processes: Iterable[tuple[int, list[str]]]) -> tuple[int, ...]:
    """Which of (pid, argv) are containerd's shims of this sandbox: they name its socket."""
    socket = str(layout.containerd_socket)
    return tuple(pid for pid, argv in processes if argv and "containerd-shim" in argv[0] and socket in argv)


def end_containers(layout: Layout) -> int:
    """Kill every container's processes, then the shims; returns how many shims there were."""
    living = [(p.pid, p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"])]
    shims = [psutil.Process(pid) for pid in shims_of(layout, living) if psutil.pid_exists(pid)]
    victims = [child for shim in shims for child in shim.children(recursive=True)]
    for process in (*victims, *shims):
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs([*victims, *shims], timeout=10)
    return len(shims)


def unmount_all(layout: Layout) -> int:
    """Unmount everything below the sandbox's folder; lazily where it is still busy. Returns how many mounts."""
    points = mounts_below(layout.home, Path("/proc/self/mountinfo").read_text())
    for point in points:
        if run(["umount", point], check=False).returncode != 0:
            run(["umount", "--lazy", point], check=False)
    return len(points)


def detach_loops(layout: Layout) -> int:
    """Detach every loop device whose file is the sandbox's; returns how many."""

    def listed() -> tuple[str, ...]:
        return loops_backed_below(
            layout.home, run(["losetup", "--list", "--json", "--output", "NAME,BACK-FILE"]).stdout
        )

    loops = listed()
    for loop in loops:
        run(["losetup", "--detach", loop], check=False)
    if loops:
        wait_until("The release of the loop devices", lambda: not listed(), timeout_s=20)
    return len(loops)


def remember_kernel_settings(layout: Layout) -> None:
    """Note the settings that the kubelet is about to change, once, until they are restored."""
    if layout.host_settings.exists():
        return
    current = {
        name: Path("/proc/sys", name).read_text().strip() for name in KERNEL_SETTINGS if _readable(name)
    }
    layout.host_settings.write_text(json.dumps(current))


def restore_kernel_settings(layout: Layout) -> None:
    """Put the noted settings back."""
    if not layout.host_settings.exists():
        return
    for name, value in json.loads(layout.host_settings.read_text()).items():
        target = Path("/proc/sys", name)
        if target.read_text().strip() != value:
            target.write_text(value)
    layout.host_settings.unlink()


def sweep(layout: Layout) -> dict[str, int]:
    """End and remove all that runs or is mounted for this sandbox, processes of the manager excepted."""
    bundles = tuple((layout.containerd / "state").glob("io.containerd.runtime.v2.task/k8s.io/*"))
    counts = {"containers": end_containers(layout)}
    for bundle in bundles:
        _forget(bundle)
    counts |= {"mounts": unmount_all(layout), "loop devices": detach_loops(layout)}
    network.remove(layout)
    restore_kernel_settings(layout)
    _remove_traces(layout)
    shutil.rmtree(layout.containerd / "state", ignore_errors=True)
    shutil.rmtree(layout.cni, ignore_errors=True)
    return counts


def remaining(layout: Layout, processes: Iterable[psutil.Process]) -> tuple[str, ...]:
    """What should be gone and is not, in words; empty after a good `down`. `processes` are those that ran before."""
    left = [f"mount {point}" for point in mounts_below(layout.home, Path("/proc/self/mountinfo").read_text())]
    listed = run(["losetup", "--list", "--json", "--output", "NAME,BACK-FILE"]).stdout
    left += [f"loop device {loop}" for loop in loops_backed_below(layout.home, listed)]
    if network.owner() == str(layout.home):
        left.append(f"bridge {BRIDGE}")
    left += [f"process {process.pid}" for process in processes if process.is_running()]
    return tuple(left)


def _forget(bundle: Path) -> None:
    """Remove what a killed container leaves outside our folder: its shim's socket and its empty control groups."""
    if (address := bundle / "address").exists():
        Path(address.read_text().strip().removeprefix("unix://")).unlink(missing_ok=True)
    for group in Path("/sys/fs/cgroup").glob(f"*/k8s.io/{bundle.name}"):
        _remove_group(group)
    if (unified := Path("/sys/fs/cgroup/k8s.io") / bundle.name).is_dir():
        _remove_group(unified)


def _remove_traces(layout: Layout) -> None:
    """Remove the files that libcni and the kubelet keep at fixed places of the machine."""
    for cached in Path("/var/lib/cni/results").glob("weighbridge-sandbox-*"):
        cached.unlink()
    for group in (*Path("/sys/fs/cgroup").glob("*/k8s.io"), Path("/sys/fs/cgroup/k8s.io")):
        with contextlib.suppress(OSError):  # not there, or another containerd's containers are in it
            group.rmdir()
    for link in Path("/var/log/containers").glob("*.log"):
        if link.is_symlink() and link.readlink().is_relative_to(layout.home):
            link.unlink()
    if _nobody_listens(DEVICE_PLUGINS):
        DEVICE_PLUGINS.unlink(missing_ok=True)


def _nobody_listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
        try:
            trial.connect(str(path))
        except OSError:
            return True
    return False


def _remove_group(group: Path) -> None:
    with contextlib.suppress(OSError):  # not empty: somebody else's process is in it
        group.rmdir()


def _readable(name: str) -> bool:
    try:
        Path("/proc/sys", name).read_text()
    except OSError:
        return False
    return True


def confirm_gone(layout: Layout, processes: Iterable[psutil.Process]) -> None:
    """Raise CommandError naming what is left after a `down`; `processes` are those that ran before."""
    if left := remaining(layout, processes):
        raise CommandError("The sandbox is down, but this is left: " + "; ".join(left) + ".")
