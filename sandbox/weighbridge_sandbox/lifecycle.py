"""`up`, `down` and `reset`: the order in which the sandbox comes and goes."""

import fcntl
import importlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from weighbridge_sandbox import (
    configuration,
    debian,
    images,
    network,
    objects,
    preflight,
    releases,
    teardown,
    tools,
)
from weighbridge_sandbox.builder import Builder, find_go
from weighbridge_sandbox.commands import wait_until
from weighbridge_sandbox.errors import BusyError
from weighbridge_sandbox.layout import MOVER_IMAGE, OPERANDS, PAUSE_IMAGE, Layout
from weighbridge_sandbox.progress import Progress, part
from weighbridge_sandbox.supervision import RUNNING, Supervision

READY_WITHIN_S = 90


@contextmanager
def exclusive(layout: Layout) -> Iterator[None]:
    """Hold the folder for one verb at a time; the kernel lets go when the process dies. Raises BusyError."""
    layout.home.mkdir(parents=True, exist_ok=True)
    with layout.lock.open("a+") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held.seek(0)
            who = held.read().strip() or "unknown"
            raise BusyError(
                f"Another weighbridge-sandbox (process {who}) works on {layout.home}.",
                "Wait for it, then run again.",
            ) from None
        held.truncate(0)
        held.write(str(os.getpid()))
        held.flush()
        yield


def up(layout: Layout, progress: Progress) -> None:
    """Bring everything up that is not; safe to interrupt and to repeat."""
    outdated = [tool for tool in tools.TOOLS if not tools.is_current(layout, tool)]
    preflight.check_basics(layout, to_build=bool(outdated))
    with exclusive(layout):
        _packages(progress)
        supervision = Supervision(layout)
        runs = supervision.pid() is not None
        if not runs:
            _look_over(layout, progress)
        _build(layout, outdated, progress)
        if not runs:
            _start(layout, supervision, progress)
        elif outdated or not configuration.is_current(layout):
            progress.say(
                "Programs or configuration are newer than what runs: `down`, then `up`, takes them over."
            )
        _converge(layout, supervision, progress)


def down(layout: Layout, progress: Progress) -> None:
    """Stop everything and leave no process, mount, loop device, bridge or namespace; keep the data."""
    if not layout.home.exists():
        progress.say(f"Nothing to stop: {layout.home} is not there.")
        return
    with exclusive(layout):
        _down(layout, progress)


def reset(layout: Layout, progress: Progress) -> None:
    """`down`, then remove all data but the built tools."""
    if not layout.home.exists():
        progress.say(f"Nothing to remove: {layout.home} is not there.")
        return
    with exclusive(layout):
        _down(layout, progress)
        with part(progress, "data removed") as this:
            doomed = [path for path in layout.home.iterdir() if path not in {layout.tools, layout.lock}]
            for path in doomed:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
            this.note = f"kept {layout.tools}"


def _down(layout: Layout, progress: Progress) -> None:
    supervision = Supervision(layout)
    with part(progress, "processes stopped") as this:
        ran = supervision.stop()
        this.note = f"{len(ran)} ran" if ran else "none ran"
    with part(progress, "node cleaned") as this:
        this.note = ", ".join(f"{count} {what}" for what, count in teardown.sweep(layout).items())
        teardown.confirm_gone(layout, ran)


def _packages(progress: Progress) -> None:
    lacking = debian.missing()
    if not lacking:
        return
    progress.say("Debian packages to install: " + ", ".join(lacking))
    with part(progress, "Debian packages"):
        debian.install(lacking)


def _build(layout: Layout, outdated: list[tools.Tool], progress: Progress) -> None:
    layout.bin.mkdir(parents=True, exist_ok=True)
    path = os.environ.get("PATH", "")
    to_build = []
    for tool in outdated:
        if there := tools.on_path(layout, tool, path):
            tools.install(layout, tool, {tool.program: there}, 0.0, str(there))
            progress.say(f"Using {there}")
        else:
            to_build.append(tool)
    to_build = to_compile(layout, to_build, progress)
    if to_build:
        go = find_go(layout, progress.say)
        progress.say("To compile, once: " + ", ".join(tool.program for tool in to_build))
    for tool in to_build:
        with part(progress, f"{tool.program} built"):
            Builder(layout, go, progress.detail).build(tool)
    suite = images.release(Path("/etc/os-release").read_text())
    if not (layout.images / "pause.tar").exists():
        with part(progress, "pause image built"):
            images.build_pause(layout)
    if not images.mover_is_current(layout, suite):
        with part(progress, "mover image built"):
            progress.detail("Debian packages are fetched and unpacked; about a minute")
            images.build_mover(layout, suite)


def to_compile(layout: Layout, wanted: list[tools.Tool], progress: Progress) -> list[tools.Tool]:
    """Install what there are official archives of; return what is to be compiled."""
    left: list[tools.Tool] = []
    silent: set[str] = set()
    for tool in wanted:
        if (archive := tool.archive) is None or archive.host in silent:
            left.append(tool)
            continue
        try:
            with part(progress, f"{tool.program} fetched") as this:
                this.note = "not to be had"
                began = time.monotonic()
                programs = releases.fetch(archive, layout.bin, progress.detail)
                tools.install(layout, tool, programs, time.monotonic() - began, archive.url)
                this.note = archive.host
        except releases.ReleaseError as error:
            if isinstance(error, releases.UnreachableError):
                silent.add(archive.host)
            progress.say(
                f"{error}. So {tool.program} is compiled from its source, which takes minutes, once."
            )
            left.append(tool)
    return left


def _look_over(layout: Layout, progress: Progress) -> None:
    """Before anything is built: would it run?"""
    with part(progress, "this machine looked over"):
        preflight.check_addresses()
        teardown.sweep(layout)  # what a crash or a reboot left behind
        preflight.check_kernel(layout)


def _start(layout: Layout, supervision: Supervision, progress: Progress) -> None:
    with part(progress, "certificates and configuration") as this:
        this.note = "issued anew" if configuration.write(layout) else "as before"
    with part(progress, "process manager"):
        teardown.remember_kernel_settings(layout)
        network.create(layout)
        supervision.start()


def _converge(layout: Layout, supervision: Supervision, progress: Progress) -> None:
    def await_part(what: str, ready: Callable[[], bool]) -> None:
        wait_until(
            what, ready, timeout_s=READY_WITHIN_S, advice="`weighbridge-sandbox status` shows the logs' ends."
        )

    network.create(layout)
    with part(progress, "images loaded") as this:
        await_part("containerd", lambda: supervision.states()["containerd"].state == RUNNING)
        await_part("containerd's socket", layout.containerd_socket.exists)
        loaded = images.load_missing(layout)
        this.note = ", ".join(loaded) or "they were"
    with part(progress, "API server ready"):
        await_part("The API server", lambda: objects.api_ready(layout))
    with part(progress, "cluster's objects") as this:
        this.note = f"{objects.apply(layout, 'cluster', 'crd')} files"
    with part(progress, "volumes' provisioner"):
        supervision.begin("provisioner")
    with part(progress, "node ready"):
        begun = datetime.now(UTC)
        alive_since = begun if supervision.begin("kubelet") else begun - objects.LEASE_RENEWED_WITHIN
        await_part("The node", lambda: objects.node_ready(layout, alive_since))
    with part(progress, "S3 buckets") as this:
        this.note = ", ".join(objects.make_buckets(layout)) or "they were"
    with part(progress, "IFM operator's stand-in"):
        supervision.begin("operator")
    with part(progress, f"operands namespace {OPERANDS}"):
        tenancy = importlib.import_module("weighbridge_sandbox.tenancy")
        tenancy.create_operands(OPERANDS, home=layout.home)
    grants = importlib.import_module("weighbridge_sandbox.grants")
    if grants.DEFAULT.exists():
        with part(progress, f"Roles and login for {grants.DEFAULT.name}"):
            grants.grant_file(grants.DEFAULT, home=layout.home)


def describe(layout: Layout) -> list[str]:
    """What stands where, for the end of `up`."""
    return [
        f"kubeconfig  {layout.kubeconfig}",
        f"images      {MOVER_IMAGE}, {PAUSE_IMAGE}",
        'shell       eval "$(weighbridge-sandbox env)"',
    ]
