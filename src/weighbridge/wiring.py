"""The composition root of the command line: names every adapter and every stack."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from weighbridge.core.events import Note
from weighbridge.core.journal import open_journal
from weighbridge.core.plan import claim_of
from weighbridge.core.session import Session
from weighbridge.doctor.examine import examine
from weighbridge.doctor.finding import Diagnosis
from weighbridge.doctor.plans import Document, documents
from weighbridge.doctor.probing_pod import ProbingPod
from weighbridge.doctor.request import request_text
from weighbridge.doctor.world import WorldProbes
from weighbridge.domain.credentials import S3Keys
from weighbridge.domain.digest import Json
from weighbridge.domain.lease import Turn
from weighbridge.domain.naming import slug
from weighbridge.domain.weights import SourceListing, sub_path_of
from weighbridge.engines.pulumi.backend import Backend, Bucket, parse_backend
from weighbridge.engines.pulumi.environment import StateSecrets
from weighbridge.engines.pulumi.lock import StackLocks
from weighbridge.engines.pulumi.stacks import PulumiSettings, PulumiStacks
from weighbridge.environment.file import LoadedEnvironment, excerpt, load
from weighbridge.environment.secrets import Secrets, references
from weighbridge.environment.types import Environment, EnvReference, Model
from weighbridge.errors import DefectError, Place, PreconditionError
from weighbridge.kubernetes.client import Kube, connect
from weighbridge.kubernetes.cluster import ClusterFacts
from weighbridge.kubernetes.lease import LeaseLock
from weighbridge.look import Location, Manifests
from weighbridge.manifests import render
from weighbridge.manifests.grants import Grants, Subject, render_grants, write_grants
from weighbridge.manifests.resources import share_dir
from weighbridge.observers import ClosingObserver, observer_for
from weighbridge.ports import Journal
from weighbridge.s3.objects import ObjectReader
from weighbridge.sources.s3_listing import S3Weights
from weighbridge.steps.registration.stack import REGISTRATION
from weighbridge.steps.storage.stack import STORAGE
from weighbridge.steps.weights import bundle
from weighbridge.steps.weights.playbooks import AnsiblePlaybooks
from weighbridge.watsonx.reconciling import ReconcilingRegistry
from weighbridge.watsonx.registry import Limits

__all__ = ["Opened", "Subject", "checked", "excerpt", "granted", "opened"]

LEASE_TIMEOUT_SECONDS = 6
"""For one call that takes or renews the Lease: several fit into the time after which a holder gives up."""

ENVIRONMENTS = Path("environments")
"""Where names of environments are looked up: in the folder the command is run from."""


def checked(name_or_path: str) -> LoadedEnvironment:
    """The environment file, read and checked. ``InputErrors`` (exit 2) with every mistake in it; no network."""
    return load(name_or_path, ENVIRONMENTS)


def granted(
    loaded: LoadedEnvironment, subject: Subject | None, out: Path | None
) -> tuple[Grants, tuple[Path, ...]]:
    """What the environment needs of its cluster, written below ``out`` (default: ``var/rbac/ENV``); no network."""
    grants = render_grants(loaded.environment, subject)
    return grants, write_grants(out or var_folder() / "rbac" / loaded.environment.name, grants)


def var_folder() -> Path:
    """Journals, spool, caches and what was written to be read; may be lost at any time."""
    return Path(os.environ.get("WEIGHBRIDGE_VAR", "var"))


def opened(name_or_path: str, stream: IO[str], *, as_json: bool, verbose: bool) -> "Opened":
    """An environment ready for its verbs; progress goes to ``stream``. Nothing is sent before a verb is called."""
    return Opened(checked(name_or_path), observer_for(stream, as_json=as_json, verbose=verbose))


@dataclass
class Opened:
    """One environment with its adapters, each made when first needed. A context manager: it gives the terminal back."""

    loaded: LoadedEnvironment
    observer: ClosingObserver

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.observer.close()
        if "kube" in vars(self):
            self.kube.close()
        if "_lease_kube" in vars(self):
            self._lease_kube.close()

    @property
    def environment(self) -> Environment:
        return self.loaded.environment

    @property
    def var(self) -> Path:
        """Journals, spool and caches of this machine; may be lost at any time."""
        return var_folder()

    @property
    def session(self) -> Session:
        return Session(
            environment=self.environment,
            eyes=self,
            observer=self.observer,
            open_journal=self._journal,
            render_to=self._render_to,
        )

    @cached_property
    def kube(self) -> Kube:
        return self._connect()

    @cached_property
    def _lease_kube(self) -> Kube:
        """A connection of the Lease's own: a renewal neither waits behind other requests nor for long."""
        return self._connect(timeout_seconds=LEASE_TIMEOUT_SECONDS)

    def _connect(self, timeout_seconds: float = 20) -> Kube:
        cluster, proxy = self.environment.cluster, self.environment.proxy
        return connect(
            context=cluster.context,
            in_cluster=cluster.in_cluster,
            proxy=proxy.https if proxy else None,
            timeout_seconds=timeout_seconds,
        )

    @cached_property
    def lock(self) -> LeaseLock:
        return LeaseLock(self._lease_kube, self.environment.cluster.namespace, self.environment.name)

    @cached_property
    def cluster(self) -> ClusterFacts:
        return ClusterFacts(self.kube, self.environment.cluster.namespace)

    @cached_property
    def secrets(self) -> Secrets:
        return Secrets(self.loaded.folder, kube_reader=self._kubernetes_secret)

    @cached_property
    def ca_bundle(self) -> Path | None:
        trust = self.environment.trust
        return None if trust is None else self.loaded.folder / trust.ca_bundle

    @cached_property
    def weights(self) -> "Sources":
        return Sources(self)

    @cached_property
    def registry(self) -> ReconcilingRegistry:
        cluster = self.environment.cluster
        limits = Limits(reconcile=self.environment.platform.reconcile_seconds)
        return ReconcilingRegistry(
            self.kube, cluster.namespace, cluster.custom_resource, self.environment.name, limits
        )

    @cached_property
    def stacks(self) -> PulumiStacks:
        state = self._state
        passphrase = self.secrets.resolve(self.environment.state.passphrase)
        settings = PulumiSettings(
            backend=state.backend,
            secrets=StateSecrets(passphrase=passphrase, keys=state.keys),
            cache=self.var / "cache",
            kubeconfig=os.environ.get("KUBECONFIG"),
            withheld=frozenset(
                ref.env for ref in references(self.environment) if isinstance(ref, EnvReference)
            ),
            extra=self._network_variables(),
            locks=StackLocks(state.backend, state.objects, self.lock),
        )
        return PulumiStacks(settings, read_object=state.objects.read)

    @cached_property
    def playbooks(self) -> AnsiblePlaybooks:
        return AnsiblePlaybooks(
            environment=self.environment,
            around=self._surroundings(self.cluster.uid()),
            secrets=lambda model_id: self.secrets.collect_model(self.environment, model_id),
            spool=self.var / "spool",
            notes=self.lock,
        )

    def diagnose(self, *, pods: bool) -> Diagnosis:
        """What an apply would need, looked at piece by piece; with ``pods`` also from pods, which are removed again."""

        def rehearsed(model: Model, listing: SourceListing) -> list[Document]:
            return documents(self.environment, model, listing, self._surroundings(None))

        def say(what: str) -> None:
            self.observer(Note(f"looking at {what}"))

        return examine(self.environment, self._probes, rehearsed, pods=pods, say=say)

    def write_request(self, diagnosis: Diagnosis, file: Path | None) -> Path | None:
        """Write what the cluster's administrators are asked for; to the usual place only where there is something."""
        if file is None and not diagnosis.asked:
            return None
        path = file or self.var / "doctor" / f"{self.environment.name}-request.md"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(request_text(self.environment, diagnosis, datetime.now(UTC)), encoding="utf-8")
        except OSError as error:
            raise PreconditionError(
                f"{path} cannot be written: {error.strerror}",
                remedy="name another file with --request",
                code="request-unwritable",
            ) from error
        return path

    @property
    def _probes(self) -> WorldProbes:
        return WorldProbes(
            environment=self.environment,
            connect=lambda: self.kube,
            secrets=self.secrets,
            weights=self.weights,
            ca_bundle=self.ca_bundle,
            backend=lambda: (self._state.backend, self._state.objects.read),
            stacks=(STORAGE, REGISTRATION),
            cache=self.var / "cache",
            pod_run=lambda: ProbingPod(
                self.kube,
                self.environment,
                self._surroundings(None),
                lambda model: self.secrets.s3_keys(model.source.s3.credentials),
            ),
            lease=lambda: self.lock.hold("doctor", Turn(), self.observer, lambda: None),
            holder=lambda: self.lock.under_way(),  # noqa: PLW0108 - the kubeconfig is read when it is asked
        )

    @cached_property
    def _state(self) -> "_State":
        """Where Pulumi's state lies, and the keys to it, resolved once."""
        state = self.environment.state
        keys = self.secrets.s3_keys(state.credentials) if state.credentials else None
        return _State(
            backend=parse_backend(state.backend, self.loaded.folder),
            keys=keys,
            objects=_Objects(ObjectReader(keys, self.environment.proxy, self.ca_bundle)),
        )

    @cached_property
    def manifests(self) -> Manifests:
        environment = self.environment

        def claim(model: Model, listing: SourceListing, current: int | None) -> Mapping[str, Json]:
            found = render.render_claim(environment, model, listing, current)
            if found is None:
                raise DefectError(f"a claim of {model.id} was asked for, which uses an existing one")
            return found

        def entries(places: Mapping[str, Location]) -> tuple[Mapping[str, Json], ...]:
            return tuple(render.render_entries(environment, places))

        return Manifests(claim=claim, entries=entries)

    def playbook_commands(self, out: Path) -> tuple[str, ...]:
        """How to run what ``render`` wrote by hand."""
        return tuple(
            f"ansible-playbook {share_dir('playbooks') / 'sync_weights.yml'} -e @{out / 'weights' / slug(model.id) / 'vars.yml'}"
            for model in self.environment.models
        )

    def _kubernetes_secret(self, name: str) -> Mapping[str, str]:
        return self.cluster.secret(name)

    def _journal(self, verb: str) -> Journal:
        return open_journal(self.var, self.environment.name, verb)

    def _surroundings(self, cluster_uid: str | None) -> bundle.Surroundings:
        return bundle.Surroundings(
            folder=self.loaded.folder.resolve(), cluster_uid=cluster_uid, ca_pem=self._ca_text()
        )

    def _ca_text(self) -> str | None:
        if self.ca_bundle is None:
            return None
        try:
            return self.ca_bundle.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise PreconditionError(
                f"the CA bundle {self.ca_bundle} cannot be read: {error}",
                remedy="name a PEM file; relative paths start at the environment file's folder",
                place=Place(key="trust.ca_bundle"),
                code="trust-missing",
            ) from error

    def _render_to(self, out: Path, listings: Mapping[str, SourceListing]) -> tuple[Path, ...]:
        environment = self.environment
        claims = {
            slug(model.id): self.manifests.claim(model, listings[model.id], None)
            for model in environment.models
            if model.storage.existing_pvc is None
        }
        places = {
            model.id: (claim_of(environment, model), sub_path_of(model.id, listings[model.id].fingerprint))
            for model in environment.models
        }
        around = self._surroundings(None)
        return bundle.write_bundle(
            out,
            claims={key: dict(claim) for key, claim in claims.items()},
            registration=render.render_registration(environment, places),
            weights=[
                bundle.render_weights(environment, model, listings[model.id], around)
                for model in environment.models
            ],
        )

    def _network_variables(self) -> dict[str, str]:
        proxy = self.environment.proxy
        values = (
            {}
            if proxy is None
            else {"HTTP_PROXY": proxy.http, "HTTPS_PROXY": proxy.https, "NO_PROXY": ",".join(proxy.no_proxy)}
        )
        if self.ca_bundle is not None:
            values["AWS_CA_BUNDLE"] = str(self.ca_bundle.resolve())
        return {name: value for name, value in values.items() if value}


@dataclass(frozen=True)
class _Objects:
    """Objects of the state's bucket, wherever its URL says that it is."""

    reader: ObjectReader

    def read(self, bucket: Bucket, key: str) -> bytes | None:
        return self.reader.read(bucket.name, key, **_place(bucket))

    def list(self, bucket: Bucket, prefix: str) -> tuple[str, ...]:
        return self.reader.list(bucket.name, prefix, **_place(bucket))

    def delete(self, bucket: Bucket, key: str) -> None:
        self.reader.delete(bucket.name, key, **_place(bucket))


@dataclass(frozen=True)
class _State:
    """Pulumi's state of the environment."""

    backend: Backend
    keys: S3Keys | None = field(repr=False)
    objects: _Objects


def _place(bucket: Bucket) -> dict[str, str]:
    region = bucket.region or "us-east-1"
    return {"endpoint": bucket.endpoint or f"https://s3.{region}.amazonaws.com", "region": region}


@dataclass(frozen=True)
class Sources:
    """The port ``Weights`` with an environment's trust, proxy and keys bound to it."""

    opened: Opened

    def list(self, model: Model) -> SourceListing:
        """What the model's source holds now."""
        source = model.source.s3
        return S3Weights().list(
            source,
            keys=self.opened.secrets.s3_keys(source.credentials),
            exclude=model.exclude,
            ca_bundle=self.opened.ca_bundle,
            proxy=self.opened.environment.proxy,
        )
