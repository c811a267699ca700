"""Pulumi's Automation API as the port ``Stacks``: inline programs, self-managed state, nothing left on this machine.

Every call works in a scratch folder on tmpfs that is also PULUMI_HOME: the CLI's logs, caches and settings disappear
with it. Where possible, one call is one process of the CLI (a Go start costs 0.2 s): the stack is named on the
command line instead of selected, and the engine's events give what the Automation API would ask for afterwards.
"""

import importlib
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import pulumi
import pulumi.runtime.resource
from pulumi.automation import CommandError, ProjectSettings, StackSettings
from pulumi.runtime.proto import source_pb2

from weighbridge.core.events import Observer
from weighbridge.domain.stacks import (
    ClusterIdentity,
    Stack,
    StackPreview,
    StackResult,
    StackSpec,
    manifest_name,
)
from weighbridge.engines.pulumi import backend as backends
from weighbridge.engines.pulumi.command import GuardedCommand, Limits, cli_version, find_tool, plugin_folders
from weighbridge.engines.pulumi.environment import (
    StateSecrets,
    Surroundings,
    child_environment,
    cluster_variables,
    seen_variables,
)
from weighbridge.engines.pulumi.errors import translate
from weighbridge.engines.pulumi.events import Recorder
from weighbridge.engines.pulumi.lean import LeanStack, LeanWorkspace
from weighbridge.engines.pulumi.lock import StackLocks
from weighbridge.engines.pulumi.state import region_of
from weighbridge.errors import DefectError, PreconditionError
from weighbridge.kubernetes.client import connect
from weighbridge.kubernetes.kubeconfig_given import write_trust
from weighbridge.processes.scratch import private_folder
from weighbridge.processes.variables import Outside

# With every resource, Pulumi's SDK sends a Python stack trace, which ends up in the state: it holds file names of this machine
# and differs between checkouts. There is no switch for that.
pulumi.runtime.resource._get_stack_trace = source_pb2.StackTrace  # noqa: SLF001

# After a failed preview, the SDK's language server still sends log lines to the engine, which has ended, and gRPC would print
# a traceback that only confuses the user. The engine's events say what failed.
logging.getLogger("grpc._server").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", message="Error in event stream")  # the same after the CLI was killed

Program: TypeAlias = Callable[[StackSpec], None]
Identify: TypeAlias = Callable[[Mapping[str, str], ClusterIdentity], str]
"""(variables of the child, the intended cluster) → kube-system UID of the cluster that the child would reach."""


@dataclass(frozen=True, kw_only=True)
class PulumiSettings:
    """How to reach the state and the tools; the same for every stack of an environment."""

    backend: backends.Backend
    secrets: StateSecrets
    cache: Path
    """A folder of weighbridge that may be removed at any time."""
    kubeconfig: str | None = None
    """As in KUBECONFIG; ``None``: ``~/.kube/config``. Not read if a stack is declared ``in_cluster``."""
    search: tuple[Path, ...] = ()
    """Folders to search for tools before PATH."""
    outside: Outside = field(default_factory=Outside)
    """Proxy, trust, and the variables that hold secrets: the CLI and its plugins never see these variables."""
    limits: Limits = field(default_factory=Limits)
    locks: StackLocks | None = None
    """What is known about the backend's locks; ``None``: every lock belongs to others."""


class PulumiStacks:
    """Implement ``ports.Stacks``. Several threads may use it, each for one stack at a time."""

    def __init__(
        self,
        settings: PulumiSettings,
        read_object: backends.ReadObject | None = None,
        ambient: Mapping[str, str] | None = None,
        identify: Identify | None = None,
    ) -> None:
        self._settings = settings
        self._read_object = read_object
        whole = os.environ if ambient is None else ambient
        self._ambient = {**whole, "KUBECONFIG": settings.kubeconfig} if settings.kubeconfig else whole
        self._identify = identify or self._seen_uid
        self._locks = settings.locks
        self._commands: set[GuardedCommand] = set()

    def exists(self, spec: StackSpec) -> bool:
        """Return whether the state holds this stack. Read one file; start nothing."""
        return self._recorded(spec) is not None

    def preview(self, spec: StackSpec, *, refresh: bool = True) -> StackPreview:
        """Return what an update would do. Read only: preview a stack that the state does not hold against an empty
        state on tmpfs; take no lock.

        Raise ``PreconditionError`` if tools, state or cluster refuse, or if an update is impossible (a claim that
        would have to be replaced).
        """
        began = time.monotonic()
        recorded = self._recorded(spec)
        with self._workspace(spec, recorded, temporary=recorded is None) as stack:
            kept = self._kept(spec, recorded)
            recorder = Recorder(spec.name, ignored=[row.urn for row in kept])
            with self._translated(spec, recorder):
                if recorded is None:
                    stack.workspace.create_stack(stack.name)
                stack.preview(
                    on_event=recorder,
                    refresh=refresh and recorded is not None,
                    exclude=[row.urn for row in kept],
                    color="never",
                    suppress_progress=True,
                )
        return StackPreview(
            stack=spec.name,
            exists=recorded is not None,
            changes=recorder.changes(),
            unchanged=recorder.unchanged,
            kept=tuple(row.name for row in kept),
            seconds=time.monotonic() - began,
        )

    def up(self, spec: StackSpec, observer: Observer, *, refresh: bool = True) -> StackResult:
        """Update the stack after a refresh, so that what others edited of ours is repaired.

        Raise ``PreconditionError`` as for a preview, and if somebody else is changing the stack now;
        ``StepFailedError`` if a provider failed during the update (what was done is in the state);
        ``InterruptedByUserError`` if it was cancelled.
        """
        began = time.monotonic()
        recorded = self._recorded(spec)
        kept = self._kept(spec, recorded)
        recorder = Recorder(spec.name, observer, ignored=[row.urn for row in kept])
        with (
            self._locking(spec),
            self._workspace(spec, recorded, writing=True) as stack,
            self._translated(spec, recorder),
        ):
            if recorded is None:
                self._make_room()
                stack.workspace.create_stack(stack.name)
            elif recorded.unfinished:
                stack.forget_unfinished()
            stack.up(
                on_event=recorder,
                refresh=refresh and recorded is not None,
                exclude=[row.urn for row in kept],
                color="never",
                suppress_progress=True,
                suppress_outputs=True,
                show_secrets=False,
            )
        return self._result(spec, recorder, began, tuple(row.name for row in kept))

    def destroy(self, spec: StackSpec, observer: Observer, *, unprotect: bool = False) -> StackResult:
        """Delete what the stack holds. Without ``unprotect``, protected or retained resources (claims, with the
        weights on them) stay, and ``kept`` holds their names. With it, everything is deleted. Do nothing if the stack
        does not exist.

        Raise what ``up`` raises.
        """
        began = time.monotonic()
        recorded = self._recorded(spec)
        recorder = Recorder(spec.name, observer)
        kept = [] if recorded is None or unprotect else recorded.lasting(spec.stack.retained)
        result = partial(self._result, spec, recorder, began, tuple(row.name for row in kept))
        if recorded is None or (kept and len(kept) == len(recorded.declared)):
            return result()
        with (
            self._locking(spec),
            self._workspace(spec, recorded, writing=True) as stack,
            self._translated(spec, recorder),
        ):
            if recorded.unfinished:
                stack.forget_unfinished()
            if unprotect and any(row.protected for row in recorded.declared):
                stack.unprotect_all()
            if bare := [row.urn for row in kept if not row.protected]:  # a killed destroy left it like this
                stack.protect(bare)
            stack.destroy(
                on_event=recorder,
                refresh=True,
                exclude_protected=bool(kept),
                color="never",
                suppress_progress=True,
                suppress_outputs=True,
                show_secrets=False,
                run_program=False,
            )
        return result()

    def cancel(self) -> None:
        """See ``ports.Stacks.cancel``."""
        for command in tuple(self._commands):
            command.cancel()

    def settle(self, observer: Observer) -> None:
        """See ``ports.Stacks.settle``."""
        if self._locks is not None:
            self._locks.settle(observer)

    def _locking(self, spec: StackSpec) -> AbstractContextManager[None]:
        if self._locks is None:
            return nullcontext()
        return self._locks.around(f"{project_name(spec.stack)}/{spec.environment}")

    def _recorded(self, spec: StackSpec) -> backends.RecordedStack | None:
        recorded = backends.read_stack(
            self._settings.backend, project_name(spec.stack), spec.environment, self._read_object
        )
        if recorded:
            recorded.require(spec.cluster, spec.name, spec.environment)
        return recorded

    def _kept(self, spec: StackSpec, recorded: backends.RecordedStack | None) -> list[backends.Recorded]:
        """Return what the environment no longer declares but the stack retains (claims, with their weights). It stays
        until the user decides otherwise.
        """
        declared = {manifest_name(manifest) for manifest in spec.manifests}
        return [
            row
            for row in (recorded.lasting(spec.stack.retained) if recorded else ())
            if row.type in spec.stack.retained and row.name not in declared
        ]

    def _result(
        self, spec: StackSpec, recorder: Recorder, began: float, kept: tuple[str, ...]
    ) -> StackResult:
        return StackResult(
            stack=spec.name,
            changes=recorder.changes(),
            unchanged=recorder.unchanged,
            outputs=dict(recorder.outputs),
            kept=kept,
            seconds=time.monotonic() - began,
        )

    def _make_room(self) -> None:
        if isinstance(self._settings.backend, backends.Folder):
            try:
                self._settings.backend.path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise PreconditionError(
                    f"the folder for the state, {self._settings.backend.path}, cannot be made: {error.strerror}",
                    remedy="correct `state.backend`",
                    code="state-unwritable",
                ) from error

    @contextmanager
    def _workspace(
        self,
        spec: StackSpec,
        recorded: backends.RecordedStack | None,
        *,
        temporary: bool = False,
        writing: bool = False,
    ) -> Iterator[LeanStack]:
        with private_folder("pulumi") as scratch:
            url = self._settings.backend.url
            if temporary:
                (scratch / "state").mkdir()
                url = backends.Folder(scratch / "state").url
            around = self._around(scratch)
            reach = cluster_variables(
                spec.cluster,
                around,
                self._ambient,
                scratch,
                own_identity=self._settings.secrets.keys is not None,
            )
            if writing and spec.stack.verify_cluster:
                self._require_meant(spec.cluster, reach)
            if writing:
                reach |= seen_variables(spec, scratch)
            command = self._command(replace(around, extra=reach), spec, url)
            self._commands.add(command)
            try:
                workspace = LeanWorkspace(
                    work_dir=str(scratch),
                    program=lambda: run_program(spec),
                    project_settings=ProjectSettings(name=project_name(spec.stack), runtime="python"),
                    pulumi_command=command,
                )
                if recorded and recorded.salt:
                    settings = StackSettings(encryption_salt=recorded.salt)
                    workspace.save_stack_settings(spec.environment, settings)
                yield LeanStack(spec.environment, workspace)
            finally:
                self._commands.discard(command)

    def _require_meant(self, cluster: ClusterIdentity, reach: Mapping[str, str]) -> None:
        """Raise an error if the kubeconfig leads to another cluster. A provider such as Pulumi's for Kubernetes does
        not compare identities: it writes to any cluster.
        """
        seen = self._identify(reach, cluster)
        if seen != cluster.uid:
            raise PreconditionError(
                f"the cluster within Pulumi's reach has kube-system UID {seen}, but {cluster.uid} is meant; nothing was written",
                remedy="look at KUBECONFIG and at the files it names: the context has changed under this run",
                code="other-cluster",
            )

    def _seen_uid(self, reach: Mapping[str, str], cluster: ClusterIdentity) -> str:
        outside = self._settings.outside
        kube = connect(context=None, in_cluster=cluster.in_cluster, outside=outside, environ=reach)
        try:
            return kube.identity()
        finally:
            kube.close()

    def _around(self, scratch: Path) -> Surroundings:
        outside = self._settings.outside
        trusted = write_trust(scratch, outside, self._ambient)
        return Surroundings(home=scratch / "home", search=(), outside=outside, trusted=trusted)

    def _command(self, around: Surroundings, spec: StackSpec, url: str) -> GuardedCommand:
        settings = self._settings
        search = (Path(sys.executable).parent, *settings.search)
        ambient_path = self._ambient.get("PATH", os.defpath)
        user_home = Path(self._ambient.get("HOME", os.devnull)) / ".pulumi"
        executable = find_tool("pulumi", (*search, user_home / "bin"), ambient_path)
        search = (*search, executable.parent, *plugin_folders(spec.stack.plugin, user_home))
        find_tool(f"pulumi-resource-{spec.stack.plugin}", search, ambient_path)
        environment = child_environment(
            replace(around, search=search),
            self._ambient,
            backend=url,
            own_identity=settings.secrets.keys is not None,
        )
        if isinstance(settings.backend, backends.Bucket):
            environment["AWS_REGION"] = region_of(settings.backend, self._ambient)
        return GuardedCommand(
            executable,
            cli_version(executable, settings.cache / "pulumi-cli.json"),
            environment=environment,
            secrets=settings.secrets,
            limits=settings.limits,
        )

    @contextmanager
    def _translated(self, spec: StackSpec, recorder: Recorder) -> Iterator[None]:
        secrets = self._settings.secrets
        hidden = [
            secrets.passphrase,
            *((secrets.keys.secret_key, secrets.keys.session_token) if secrets.keys else ()),
        ]
        try:
            yield
        except CommandError as error:
            raise translate(error, recorder.diagnostics, spec, [text for text in hidden if text]) from error


def project_name(stack: Stack) -> str:
    """Return Pulumi's project: one for each stack program. Pulumi's stack has the environment's name."""
    return f"weighbridge-{stack.name}"


def program_of(stack: Stack) -> Program:
    """Import and return the program of ``stack``. Raise ``DefectError`` if ``stack.declare`` names none."""
    module, _, function = stack.declare.partition(":")
    try:
        program: Program = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise DefectError(
            f"stack `{stack.name}` has no program `{stack.declare}`: {error}", code="stack-program"
        ) from error
    return program


def run_program(spec: StackSpec) -> None:
    """Run the stack's program, and record the cluster in the state: it is read before any refresh."""
    program_of(spec.stack)(spec)
    pulumi.export(backends.CLUSTER_OUTPUT, spec.cluster.uid)
