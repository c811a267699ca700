"""The composition root of the command line: the parts that an environment's steps use, each made at its first use.

Heavy libraries (Pulumi, Ansible, boto3, the cluster's client) are imported where their parts are made: ``check`` and
``--help`` need none of them, and ``status`` needs no Pulumi.
"""

import os
import threading
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self, TypeVar, cast

from weighbridge.domain.lease import DURATION, SHORTEST, SILENCE_VARIABLE, Silence
from weighbridge.domain.visible import quoted
from weighbridge.environment.file import LoadedEnvironment, load
from weighbridge.environment.types import Environment, EnvReference
from weighbridge.errors import InputError, Place, PreconditionError
from weighbridge.steps import SECTIONS, STACK_NAMES

if TYPE_CHECKING:
    from weighbridge.core.finding import Diagnosis
    from weighbridge.core.port import Port
    from weighbridge.core.ports import Journal
    from weighbridge.core.session import Session
    from weighbridge.doctor.world import WorldProbes
    from weighbridge.engines.pulumi.stacks import PulumiStacks
    from weighbridge.engines.pulumi.state import State
    from weighbridge.environment.secrets import Secrets
    from weighbridge.grants import Grants, Subject
    from weighbridge.kubernetes.client import Kube
    from weighbridge.kubernetes.cluster import ClusterFacts
    from weighbridge.kubernetes.lease import LeaseLock
    from weighbridge.manifests.surroundings import Surroundings
    from weighbridge.observers import ClosingObserver
    from weighbridge.processes.variables import Outside

__all__ = ["Opened", "checked", "granted", "opened"]

T = TypeVar("T")

LEASE_TIMEOUT_SECONDS = 6
"""For one call that takes or renews the Lease. Several fit into the time after which a holder gives up."""
LEASE_HELPER_SECONDS = 12
"""For a login helper that a renewal waits for."""
TIMEOUT_SECONDS = 20
"""For any other call to the API server."""

ENVIRONMENTS = Path("environments")
"""The folder in which environments are looked up by name, relative to the current folder."""


def checked(name_or_path: str) -> LoadedEnvironment:
    """Read and check the environment file. Raise ``InputErrors`` (exit 2) with every mistake in it. Use no network."""
    return load(name_or_path, ENVIRONMENTS, SECTIONS, STACK_NAMES)


def granted(
    loaded: LoadedEnvironment, subject: "Subject | None", out: Path | None
) -> "tuple[Grants, tuple[Path, ...]]":
    """Return what the environment needs of its cluster, written below ``out`` (default: ``var/rbac/ENV``). Use no network."""
    from weighbridge.grants import render_grants, write_grants  # noqa: PLC0415

    grants = render_grants(loaded.environment, subject)
    return grants, write_grants(out or var_folder() / "rbac" / loaded.environment.name, grants)


def var_folder() -> Path:
    """Return the folder for journals, spool, caches and written reports; it may be lost at any time."""
    return Path(os.environ.get("WEIGHBRIDGE_VAR", "var"))


def told_silence() -> Silence:
    """What ``SILENCE_VARIABLE`` says. ``InputError`` where that is no number of seconds, or out of its range."""
    text = os.environ.get(SILENCE_VARIABLE, str(DURATION))
    if text not in map(str, range(SHORTEST, DURATION + 1)):
        raise InputError(
            f"{SILENCE_VARIABLE} is {quoted(text)}, and no whole number of seconds from {SHORTEST} to {DURATION}",
            remedy="unset it; only a sandbox needs it",
            code="bad-silence",
        )
    return Silence(int(text))


def opened(name_or_path: str, stream: IO[str], *, as_json: bool, verbose: bool) -> "Opened":
    """Return an environment ready for its verbs; progress goes to ``stream``. Nothing is sent before a verb is called."""
    import weighbridge.denied  # noqa: F401, PLC0415 - so that a refused command names the missing rule
    from weighbridge.observers import observer_for  # noqa: PLC0415

    return Opened(
        checked(name_or_path), told_silence(), observer_for(stream, as_json=as_json, verbose=verbose)
    )


@dataclass
class Opened:
    """One environment with the parts that its steps use (``workshop.Workshop``). A context manager: releases the terminal."""

    loaded: LoadedEnvironment
    silence: Silence
    observer: "ClosingObserver"
    closes: ExitStack = field(default_factory=ExitStack, init=False, repr=False)
    """See ``workshop.Workshop``."""
    _made: dict[str, object] = field(default_factory=dict, init=False, repr=False)
    _making: threading.RLock = field(default_factory=threading.RLock, init=False, repr=False)
    """One thread makes a part of the world; other threads that need it meanwhile wait."""
    _kubes: "dict[tuple[str | None, float], Kube]" = field(default_factory=dict, init=False, repr=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.observer.close()
        self.closes.close()

    @property
    def session(self) -> "Session":
        from weighbridge.core.session import Session  # noqa: PLC0415
        from weighbridge.steps import STEPS  # noqa: PLC0415 - with what they are made of

        return Session(
            environment=self.environment,
            steps=STEPS,
            ports=self.port,
            observer=self.observer,
            open_journal=self._journal,
        )

    def port(self, port: "Port[T]") -> T:
        """Return the part of the world that ``port`` names, made once."""
        with self._making:
            if port.name not in self._made:
                self._made[port.name] = port.make(self)
            return cast("T", self._made[port.name])

    # -- the workshop ------------------------------------------------------------------------------------------------

    @property
    def environment(self) -> Environment:
        return self.loaded.environment

    @property
    def folder(self) -> Path:
        """The folder where relative paths of the environment file start."""
        return self.loaded.folder

    @property
    def var(self) -> Path:
        """Journals, spool and caches of this machine; may be lost at any time."""
        return var_folder()

    @property
    def kube(self) -> "Kube":
        return self.kube_for(None)

    def kube_for(self, stack: str | None, timeout_seconds: float = TIMEOUT_SECONDS) -> "Kube":
        """Return the connection for a stack (``cluster.contexts``), or for what belongs to no stack."""
        context, in_cluster = self.environment.cluster.reach(stack)
        return self._kube(context, in_cluster=in_cluster, timeout_seconds=timeout_seconds)

    def _kube(self, context: str | None, *, in_cluster: bool, timeout_seconds: float) -> "Kube":
        from weighbridge.kubernetes.client import connect  # noqa: PLC0415
        from weighbridge.kubernetes.login import HELPER_SECONDS  # noqa: PLC0415

        key = (context, timeout_seconds)
        with self._making:
            if key not in self._kubes:
                urgent = timeout_seconds == LEASE_TIMEOUT_SECONDS
                self._kubes[key] = connect(
                    context=context,
                    in_cluster=in_cluster,
                    outside=self.outside,
                    timeout_seconds=timeout_seconds,
                    helper_seconds=LEASE_HELPER_SECONDS if urgent else HELPER_SECONDS,
                )
                self.closes.callback(self._kubes[key].close)
            return self._kubes[key]

    @cached_property
    def lock(self) -> "LeaseLock":
        """The lock, on its own connection: a renewal must not wait behind other requests, nor for long."""
        from weighbridge.kubernetes.lease import LeaseLock  # noqa: PLC0415

        kube = self.kube_for(None, LEASE_TIMEOUT_SECONDS)
        return LeaseLock(
            kube, self.environment.cluster.namespace, self.environment.name, silence=self.silence
        )

    @cached_property
    def cluster(self) -> "ClusterFacts":
        from weighbridge.kubernetes.cluster import ClusterFacts  # noqa: PLC0415

        def other(context: str) -> "Kube":
            return self._kube(context, in_cluster=False, timeout_seconds=TIMEOUT_SECONDS)

        return ClusterFacts(self.kube, self.environment.cluster.namespace, other)

    @cached_property
    def secrets(self) -> "Secrets":
        from weighbridge.environment.secrets import Secrets  # noqa: PLC0415

        return Secrets(self.folder, kube_reader=lambda name: self.cluster.secret(name))  # noqa: PLW0108 - read only when asked

    @cached_property
    def ca_bundle(self) -> Path | None:
        trust = self.environment.trust
        return None if trust is None else self.folder / trust.ca_bundle

    @cached_property
    def outside(self) -> "Outside":
        """See ``workshop.Workshop``."""
        from weighbridge.environment.secrets import references  # noqa: PLC0415
        from weighbridge.mover.proxies import ProxySettings  # noqa: PLC0415
        from weighbridge.processes.variables import Outside  # noqa: PLC0415

        proxy = self.environment.proxy
        settings = (
            ProxySettings()
            if proxy is None
            else ProxySettings(proxy.http, proxy.https, proxy.no_proxy, alone=True)
        )
        return Outside(
            withheld=frozenset(
                ref.env for ref in references(self.environment) if isinstance(ref, EnvReference)
            ),
            proxy=settings,
            ca_bundle=self.ca_bundle.resolve() if self.ca_bundle else None,
        )

    def surroundings(self, cluster_uid: str | None) -> "Surroundings":
        """Return what playbooks get to know about this machine. With ``cluster_uid`` they refuse any other cluster."""
        from weighbridge.manifests.surroundings import Surroundings  # noqa: PLC0415

        return Surroundings(folder=self.folder.resolve(), cluster_uid=cluster_uid, ca_pem=self._ca_text())

    @cached_property
    def state(self) -> "State":
        """The place of Pulumi's state and the keys to it, resolved once."""
        from weighbridge.engines.pulumi.state import opened_state  # noqa: PLC0415
        from weighbridge.s3.keys import key_references, keys_from  # noqa: PLC0415

        state = self.environment.state
        wanted = state.credentials
        keys = keys_from(self.secrets.values(key_references(wanted))) if wanted is not None else None
        return opened_state(state.backend, self.folder, keys, self.environment.proxy, self.ca_bundle)

    @cached_property
    def stacks(self) -> "PulumiStacks":
        """Pulumi, with the state's passphrase and keys, which are resolved here."""
        from weighbridge.engines.pulumi.command import Limits  # noqa: PLC0415
        from weighbridge.engines.pulumi.environment import StateSecrets  # noqa: PLC0415
        from weighbridge.engines.pulumi.lock import StackLocks  # noqa: PLC0415
        from weighbridge.engines.pulumi.stacks import PulumiSettings, PulumiStacks  # noqa: PLC0415

        state, environment = self.state, self.environment
        passphrase = self.secrets.resolve(environment.state.passphrase)
        limits = Limits(grace=self.silence.seconds)
        settings = PulumiSettings(
            backend=state.backend,
            secrets=StateSecrets(passphrase=passphrase, keys=state.keys),
            cache=self.var / "cache",
            kubeconfig=os.environ.get("KUBECONFIG"),
            outside=self.outside,
            limits=limits,
            locks=StackLocks(state.backend, state.objects, self.lock, limits.grace),
        )
        return PulumiStacks(settings, read_object=state.objects.read)

    # -- doctor ------------------------------------------------------------------------------------------------------

    @cached_property
    def probes(self) -> "WorldProbes":
        """The probes that ``doctor`` and its steps use."""
        from weighbridge.doctor.made import made_probes  # noqa: PLC0415

        return made_probes(self)

    def diagnose(self, *, pods: bool) -> "Diagnosis":
        """Check what an apply would need, one item after another; with ``pods`` also from pods, removed afterwards."""
        from weighbridge.doctor.made import diagnosed  # noqa: PLC0415

        return diagnosed(self, self.port, pods=pods)

    def _journal(self, verb: str) -> "Journal":
        from weighbridge.core.events import Warned  # noqa: PLC0415
        from weighbridge.core.journal import open_journal  # noqa: PLC0415

        return open_journal(self.var, self.environment.name, verb, lambda text: self.observer(Warned(text)))

    def _ca_text(self) -> str | None:
        if self.ca_bundle is None:
            return None
        from weighbridge import trust  # noqa: PLC0415

        try:
            found = trust.pem_blocks(self.ca_bundle.read_bytes())
        except OSError as error:
            raise self._no_bundle(f"cannot be read: {error.strerror}") from error
        if not found:
            raise self._no_bundle("holds no certificate in PEM (-----BEGIN …)")
        return found

    def _no_bundle(self, what: str) -> PreconditionError:
        return PreconditionError(
            f"the CA bundle {self.ca_bundle} {what}",
            remedy="name a PEM file; relative paths start at the environment file's folder",
            place=Place(key="trust.ca_bundle"),
            code="trust-missing",
        )
