"""The Pulumi CLI as the Automation API calls it, but guarded: it ends in time, and it ends with us."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pulumi.automation import CommandResult, OnOutput, PulumiCommand
from semver import VersionInfo

from weighbridge.engines.pulumi.environment import StateSecrets, secret_channel
from weighbridge.engines.pulumi.errors import CommandFailedError, plugin_remedy
from weighbridge.errors import InterruptedByUserError, PreconditionError, StepFailedError
from weighbridge.processes import process_guard
from weighbridge.processes.orphans import end_session

OLDEST = VersionInfo.parse("3.255.0")
"""The version of the SDK in use; an older CLI may lack what it asks for."""

_INSTALL = f"install Pulumi {OLDEST} (https://www.pulumi.com/docs/install/) and put it on PATH"
_PLUGIN = "pulumi-resource-"
_WRITING = frozenset({"up", "destroy", "refresh", "import"})


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Seconds."""

    read: float = 180
    """For a command that changes nothing."""
    write: float = 1800
    """For an update or a destroy."""
    grace: float = 60
    """From a polite request to end until the process is killed."""


class GuardedCommand(PulumiCommand):
    """Runs ``pulumi`` below ``process_guard``. Not thread-safe in construction, safe to ``run`` from several threads."""

    def __init__(
        self,
        executable: Path,
        version: VersionInfo,
        *,
        environment: Mapping[str, str],
        secrets: StateSecrets,
        limits: Limits,
    ) -> None:
        # PulumiCommand's own constructor would start `pulumi version` with our whole environment.
        self.command = str(executable)
        self.version = version
        self._environment = dict(environment)
        self._secrets = secrets
        self._limits = limits
        self._running: set[subprocess.Popen[str]] = set()
        self._cancelled = False

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: OnOutput | None = None,
        on_error: OnOutput | None = None,
    ) -> CommandResult:
        """Run one command. ``CommandFailedError`` when it fails; ``StepFailedError`` when its deadline passed;
        ``InterruptedByUserError`` once cancelled.
        """
        if self._cancelled:
            raise InterruptedByUserError("cancelled before Pulumi was asked")
        seconds = self._limits.write if args and args[0] in _WRITING else self._limits.read
        with secret_channel(self._secrets) as (variables, descriptors):
            process = subprocess.Popen(
                self._guarded(args, cwd),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=cwd,
                env={**self._environment, **additional_env, **variables, "PULUMI_AUTOMATION_API": "true"},
                pass_fds=descriptors,
                encoding="utf-8",
                errors="replace",
            )
            self._running.add(process)
            if self._cancelled:
                _ask(process)
            try:
                result = self._attend(process, seconds, args, on_output, on_error)
            finally:
                self._running.discard(process)
        if result.code != 0:
            raise CommandFailedError(result)
        return result

    def cancel(self) -> None:
        """Ask every running command to end politely, and start no other; for other threads."""
        self._cancelled = True
        for process in tuple(self._running):
            _ask(process)

    def _guarded(self, args: list[str], cwd: str) -> list[str]:
        guard = [sys.executable, "-I", "-S", str(Path(process_guard.__file__)), "--remove", cwd]
        return [*guard, str(self._limits.grace), "--", self.command, "--non-interactive", *args]

    def _attend(
        self,
        process: "subprocess.Popen[str]",
        seconds: float,
        args: list[str],
        on_output: OnOutput | None,
        on_error: OnOutput | None,
    ) -> CommandResult:
        chunks: tuple[list[str], list[str]] = ([], [])
        readers = [
            threading.Thread(target=_drain, args=(stream, lines, callback), daemon=True)
            for stream, lines, callback in (
                (process.stdout, chunks[0], on_output),
                (process.stderr, chunks[1], on_error),
            )
        ]
        for reader in readers:
            reader.start()
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired as late:
            _end(process, self._limits.grace)
            raise StepFailedError(
                f"Pulumi's `{args[0]}` did not end within {seconds:g} s and was cancelled",
                remedy="run the same command again; if it stays slow, look at the API server and at the state's storage",
                code="pulumi-timeout",
                transient=True,
            ) from late
        except BaseException:
            _end(process, self._limits.grace)
            raise
        finally:
            if process.stdin:
                with contextlib.suppress(OSError):
                    process.stdin.close()
        if code < 0:  # the guard itself was killed
            end_session(process.pid, self._limits.grace)
            code = process_guard.SIGNALLED - code
        for reader in readers:
            reader.join(5)
        return CommandResult(stdout="\n".join(chunks[0]), stderr="\n".join(chunks[1]), code=code)


def _drain(stream: IO[str], lines: list[str], callback: Callable[[str], object] | None) -> None:
    with contextlib.closing(stream):
        for line in stream:
            lines.append(line.rstrip())
            if callback:
                callback(lines[-1])


def _ask(process: "subprocess.Popen[str]") -> None:
    if process.stdin and not process.stdin.closed:
        with contextlib.suppress(OSError):
            process.stdin.write(".")
            process.stdin.flush()


def _end(process: "subprocess.Popen[str]", grace: float) -> None:
    """Politely, then not. A second Ctrl-C while waiting goes through."""
    _ask(process)
    try:
        process.wait(grace + 10)
    except BaseException:
        process.kill()
        raise


def find_tool(name: str, search: Iterable[Path], ambient_path: str) -> Path:
    """The executable ``name``. ``PreconditionError`` says how to get it."""
    path = os.pathsep.join([*map(str, search), ambient_path])
    found = shutil.which(name, path=path)
    if found is None:
        remedy = plugin_remedy(name.removeprefix(_PLUGIN)) if name.startswith(_PLUGIN) else _INSTALL
        raise PreconditionError(f"`{name}` was not found", remedy=remedy, code="tool-missing")
    return Path(found)


def plugin_folders(kind: str, home: Path) -> tuple[Path, ...]:
    """Folders of plugins that a Pulumi CLI installed for this user (``~/.pulumi/plugins``), newest version first."""
    found = [path.parent for path in home.glob(f"plugins/resource-{kind}-v*/pulumi-resource-{kind}")]
    return tuple(sorted(found, key=_version_of, reverse=True))


def _version_of(folder: Path) -> VersionInfo:
    with contextlib.suppress(ValueError):
        return VersionInfo.parse(folder.name.rpartition("-v")[2])
    return VersionInfo(0)


def cli_version(executable: Path, cache: Path) -> VersionInfo:
    """Version of the CLI, remembered in ``cache`` by the file's size and time: asking costs 0.2 s a run.

    ``PreconditionError`` if it cannot be told, is older than ``OLDEST`` or of another major version.
    """
    stat = executable.resolve().stat()
    identity = f"{executable.resolve()} {stat.st_size} {stat.st_mtime_ns}"
    known = _read_cache(cache)
    text = known.get(identity) or _ask_version(executable)
    try:
        version = VersionInfo.parse(text.strip().removeprefix("v"))
    except ValueError as unclear:
        raise PreconditionError(
            f"`{executable} version` answered {text.strip()!r}, which is no version",
            remedy=_INSTALL,
            code="tool-version",
        ) from unclear
    if version.major != OLDEST.major or version < OLDEST:
        raise PreconditionError(
            f"Pulumi's command line is v{version}; v{OLDEST} or newer (v{OLDEST.major}.x) is needed",
            remedy=_INSTALL,
            code="tool-version",
        )
    if identity not in known:
        _write_cache(cache, {identity: text.strip()})
    return version


def _ask_version(executable: Path) -> str:
    try:
        answer = subprocess.run(
            [str(executable), "version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
            env={"PATH": os.defpath, "HOME": os.devnull, "PULUMI_SKIP_UPDATE_CHECK": "true"},
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise PreconditionError(
            f"`{executable} version` failed: {error}", remedy=_INSTALL, code="tool-version"
        ) from error
    return answer.stdout


def _read_cache(cache: Path) -> dict[str, str]:
    with contextlib.suppress(OSError, ValueError):
        content = json.loads(cache.read_text(encoding="utf-8"))
        if isinstance(content, dict):
            return {str(key): str(value) for key, value in content.items()}
    return {}


def _write_cache(cache: Path, content: Mapping[str, str]) -> None:
    cache.parent.mkdir(parents=True, exist_ok=True)
    scratch = cache.with_name(f"{cache.name}.{os.getpid()}.{time.monotonic_ns()}")
    scratch.write_text(json.dumps(dict(content)), encoding="utf-8")
    scratch.replace(cache)
