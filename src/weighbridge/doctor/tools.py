"""Programs and libraries of this machine, for the doctor. Install nothing, send nothing."""

import json
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from weighbridge.engines.pulumi.command import OLDEST, cli_version, find_tool, plugin_folders
from weighbridge.environment.home import at_home
from weighbridge.environment.types import Environment, Route
from weighbridge.errors import PreconditionError
from weighbridge.probing.probes import Tool
from weighbridge.processes.scratch import SHM, place_in_memory
from weighbridge.processes.variables import Child, variables_for

SECONDS = 25
"""For one program to print its version."""

_REINSTALL = "install weighbridge again with its locked requirements (make setup)"
_NUMBER = re.compile(r"v?(\d+(?:\.\d+)+)")


@dataclass(frozen=True, slots=True)
class LocalTools:
    """The programs that the verbs of one environment call."""

    environment: Environment
    cache: Path
    """Where the version of Pulumi's command line is cached."""
    path: str
    """In the form of PATH."""
    beside: Path = Path(sys.executable).parent
    """Where programs were installed with this one. An apply starts Ansible's programs only from there."""
    memory: Path = SHM
    """Where private folders are created."""

    def look(self) -> tuple[Tool, ...]:
        """Return each tool with its version, or with what is wrong."""
        push = [model for model in self.environment.models if Route.PUSH in model.routes]
        only = any(model.routes == (Route.PUSH,) for model in push)
        calls: list[Callable[[], Tool]] = [
            _python,
            self._pulumi,
            lambda: self._plugin("kubernetes", "pulumi-kubernetes"),
            lambda: self._plugin("weighbridge", "weighbridge"),
            self._ansible,
            _collection,
            self._memory,
        ]
        if push:
            calls += [
                lambda: self._program(("rsync",), "--version", needed=only),
                lambda: self._program(("kubectl", "oc"), "version --client -o json", needed=only),
            ]
        with ThreadPoolExecutor(max_workers=len(calls)) as pool:
            return tuple(pool.map(lambda call: call(), calls))

    @property
    def _search(self) -> tuple[Path, ...]:
        return (self.beside, at_home("~/.pulumi/bin"))

    def _pulumi(self) -> Tool:
        try:
            found = find_tool("pulumi", self._search, self.path)
            return Tool(
                name="pulumi",
                version=str(cli_version(found, self.cache / "pulumi-cli.json")),
                place=str(found),
            )
        except PreconditionError as error:
            return Tool(
                name="pulumi", problem=error.what, remedy=error.remedy or f"v{OLDEST} or newer is needed"
            )

    def _plugin(self, kind: str, package: str) -> Tool:
        program = f"pulumi-resource-{kind}"
        cli = [Path(found).parent] if (found := shutil.which("pulumi", path=self.path)) else []
        search = (*self._search, *cli, *plugin_folders(kind, at_home("~/.pulumi")))
        try:
            place = find_tool(program, search, self.path)
        except PreconditionError as error:
            return Tool(name=program, problem=error.what, remedy=error.remedy)
        said = _run([sys.executable, "-m", "weighbridge.engines.pulumi.plugin_version", str(place)])
        try:
            known = str(json.loads(said or "")["version"]).removeprefix("v")
        except (ValueError, KeyError, TypeError):
            return Tool(
                name=program, place=str(place), problem=f"{place} does not answer as a Pulumi plugin",
                remedy=f"remove it from PATH, or install it again ({package} {_installed(package)})",
            )  # fmt: skip
        wanted = _installed(package)
        if _minor(known) != _minor(wanted):
            return Tool(
                name=program, version=known, place=str(place), needed=False,
                problem=f"{place} is {known}, and this weighbridge was tested with {wanted}",
                remedy=f"put {program} {wanted} before it on PATH",
            )  # fmt: skip
        return Tool(name=program, version=known, place=str(place))

    def _ansible(self) -> Tool:
        place = shutil.which("ansible-playbook", path=str(self.beside))
        core, runner = _installed("ansible-core"), _installed("ansible-runner")
        if place is None or core is None or runner is None:
            lacking = (
                "ansible-playbook" if place is None else "ansible-core" if core is None else "ansible-runner"
            )
            return Tool(
                name="ansible", problem=f"{lacking} is not installed beside weighbridge", remedy=_REINSTALL
            )
        if _run([place, "--version"], Child.ANSIBLE) is None:  # with the variables that an apply gives it
            return Tool(
                name="ansible", place=place, problem=f"{place} --version fails with LC_ALL=C.UTF-8",
                remedy="see what it says: LC_ALL=C.UTF-8 ansible-playbook --version; a system without this locale lacks its package",
            )  # fmt: skip
        return Tool(name="ansible", version=f"core {core}, runner {runner}", place=place)

    def _memory(self) -> Tool:
        """Check the folder for Pulumi's and Ansible's private files, which include secrets."""
        try:
            return Tool(name="memory", place=str(place_in_memory(self.memory)))
        except PreconditionError as error:
            return Tool(name="memory", problem=error.what, remedy=error.remedy)

    def _program(self, names: Sequence[str], arguments: str, *, needed: bool) -> Tool:
        label = " or ".join(names)
        for name in names:
            place = shutil.which(name, path=self.path)
            if place is None:
                continue
            found = _NUMBER.search(_run([place, *arguments.split()]) or "")
            if found is None:
                return Tool(name=label, place=place, problem=f"{place} does not tell its version", needed=needed,
                            remedy="is it the program that its name says?")  # fmt: skip
            return Tool(name=label, version=found.group(1), place=place)
        return Tool(
            name=label, problem="not on PATH; the route push needs it", needed=needed,
            remedy=f"install {label}, or have the models fetched (routes: [fetch])",
        )  # fmt: skip


def _python() -> Tool:
    return Tool(name="python", version=platform.python_version(), place=sys.executable)


def _collection() -> Tool:
    """Check kubernetes.core, which is part of the package ``ansible``, and the client that it imports."""
    name = "kubernetes.core"
    client = _installed("kubernetes")
    for folder in map(Path, sys.path):
        manifest = folder / "ansible_collections" / "kubernetes" / "core" / "MANIFEST.json"
        if manifest.is_file():
            found = json.loads(manifest.read_text(encoding="utf-8"))["collection_info"]["version"]
            if client is None:
                return Tool(
                    name=name, problem="the Python package kubernetes is not installed", remedy=_REINSTALL
                )
            return Tool(name=name, version=f"{found}, client {client}")
    return Tool(name=name, problem="the collection is not installed", remedy=_REINSTALL)


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _minor(text: str | None) -> tuple[str, ...]:
    return tuple((text or "").split("-")[0].split(".")[:2])


def _run(command: Sequence[str], child: Child = Child.TOOL) -> str | None:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS, check=True,
            env=variables_for(child),
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
