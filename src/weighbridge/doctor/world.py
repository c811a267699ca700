"""``probing.probes.Probes`` on the real world: the API server, the source, Pulumi's backend, this machine."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Protocol

from weighbridge.doctor.probing_pod import ProbingPod
from weighbridge.doctor.tools import LocalTools
from weighbridge.domain.access import Access
from weighbridge.domain.stacks import Stack
from weighbridge.domain.weights import SourceListing
from weighbridge.engines.pulumi import backend as backends
from weighbridge.engines.pulumi.stacks import project_name
from weighbridge.environment.secrets import Secrets, reference_key, references
from weighbridge.environment.types import Environment, Model
from weighbridge.errors import PreconditionError, WeighbridgeError
from weighbridge.kubernetes.client import (
    CLAIM,
    CONFIG_MAP,
    JOB,
    NAMESPACE,
    POD,
    QUOTA,
    STORAGE_CLASS,
    WATSONX_IFM,
    ApiRefusedError,
    ForbiddenError,
    Kind,
    Kube,
)
from weighbridge.mover.endpoint import Endpoint, look
from weighbridge.probing.probes import (
    Document,
    Object,
    Operator,
    PodReport,
    RecordedState,
    Rehearsal,
    Server,
    Stage,
    Tool,
)
from weighbridge.processes.variables import Outside
from weighbridge.watsonx.custom_resource import LiveCustomResource, parse_custom_resource

NEIGHBOURS = 8
"""Number of requests at one time."""

OPERATOR_DEPLOYMENT = "ibm-cpd-watsonx-ai-ifm-operator"
"""IBM/charts, repo/ibm-helm/watsonx-ai-ifm; the installer chooses its namespace."""

_ACCESS_REVIEW = Kind(
    "authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", namespaced=False
)
_SUBJECT_REVIEW = Kind(
    "authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews", namespaced=False
)
_LIMIT_RANGE = Kind("", "v1", "LimitRange", "limitranges")
_NETWORK_POLICY = Kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies")
_CSI_DRIVER = Kind("storage.k8s.io", "v1", "CSIDriver", "csidrivers", namespaced=False)
_DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments")
_REHEARSED = {kind.kind: kind for kind in (CLAIM, CONFIG_MAP, JOB, POD)}


class Listing(Protocol):
    """The part of ``ports.Weights`` that is used here."""

    def list(self, model: Model) -> SourceListing: ...

    def look(self, model: Model, listing: SourceListing, *, in_place: bool) -> SourceListing: ...


@dataclass(frozen=True)
class WorldProbes:
    """Probes on the real world. Each part is made at its first use: a kubeconfig without a cluster stops only what needs it."""

    environment: Environment
    connect: Callable[[], Kube]
    """Returns the same connection each time."""
    secrets: Secrets
    weights: Listing
    ca_bundle: Path | None
    outside: Outside
    """Settings for children and connections."""
    backend: Callable[[], tuple[backends.Backend, backends.ReadObject]]
    stacks: Sequence[Stack]
    """Stacks whose states are checked."""
    cache: Path
    pod_run: Callable[[], ProbingPod]
    lease: Callable[[], AbstractContextManager[object]]
    """The environment's Lease, to be held while a pod probes."""
    holder: Callable[[], str | None]
    """Who holds it, in words."""

    @property
    def where(self) -> str:
        return self.connect().where

    def tools(self) -> Sequence[Tool]:
        return LocalTools(self.environment, self.cache, os.environ.get("PATH", os.defpath)).look()

    # -- the API server ----------------------------------------------------------------------------------------------

    def server(self) -> Server:
        kube = self.connect()
        found, date = kube.read("version")
        skew = None
        if date is not None:
            skew = (datetime.now(UTC) - parsedate_to_datetime(date)).total_seconds()
        return Server(
            where=kube.where,
            version=str(found.get("gitVersion", "unknown")),
            user=self._user(kube),
            skew_seconds=skew,
        )

    def _user(self, kube: Kube) -> str | None:
        """Return the user. Raise ``PreconditionError`` if the login is refused: this call checks it, as ``/version``
        is open to everybody.
        """
        try:
            found = kube.create(_SUBJECT_REVIEW, _review(_SUBJECT_REVIEW, None))
        except (ForbiddenError, ApiRefusedError):
            return None
        user = (found.get("status") or {}).get("userInfo", {}).get("username")
        return str(user) if user else None

    def uid(self) -> str:
        return self.connect().identity()

    def allowed(self, asked: Iterable[Access]) -> Mapping[Access, bool]:
        kube, questions = self.connect(), list(dict.fromkeys(asked))

        def ask(access: Access) -> bool:
            attributes = {
                "verb": access.verb,
                "group": access.group,
                "resource": access.resource,
                "subresource": access.subresource,
                "name": access.name,
                "namespace": access.namespace,
            }
            spec = {"resourceAttributes": {key: value for key, value in attributes.items() if value}}
            found = kube.create(_ACCESS_REVIEW, _review(_ACCESS_REVIEW, spec))
            return bool((found.get("status") or {}).get("allowed"))

        with ThreadPoolExecutor(max_workers=NEIGHBOURS) as pool:
            return dict(zip(questions, pool.map(ask, questions), strict=True))

    @property
    def _namespace(self) -> str:
        return self.environment.cluster.namespace

    def namespace(self) -> Object | None:
        return self.connect().get(NAMESPACE, self._namespace)

    def served_versions(self) -> tuple[str, ...]:
        try:
            found, _ = self.connect().read(f"apis/{WATSONX_IFM.group}")
        except ApiRefusedError as error:
            if error.status == 404:  # noqa: PLR2004 - HTTP's own number
                return ()
            raise
        return tuple(str(row.get("version")) for row in found.get("versions") or ())

    def custom_resource(self) -> LiveCustomResource | None:
        raw = self.connect().get(WATSONX_IFM, self.environment.cluster.custom_resource, self._namespace)
        return parse_custom_resource(raw) if raw is not None else None

    def operators(self) -> Sequence[Operator] | None:
        try:
            found = self.connect().list(_DEPLOYMENT, "*", fields={"metadata.name": OPERATOR_DEPLOYMENT})
        except ForbiddenError:
            return None
        return [
            Operator(
                namespace=item["metadata"]["namespace"],
                name=item["metadata"]["name"],
                ready=int((item.get("status") or {}).get("readyReplicas") or 0),
                wanted=int((item.get("spec") or {}).get("replicas", 1)),
            )
            for item in found
        ]

    def storage_class(self, name: str) -> Object | None:
        return self.connect().get(STORAGE_CLASS, name)

    def csi_driver(self, name: str) -> Object | None:
        if "/" in name:  # not a CSI driver's name, but another kind of provisioner
            return None
        return self.connect().get(_CSI_DRIVER, name)

    def claim(self, name: str) -> Object | None:
        return self.connect().get(CLAIM, name, self._namespace)

    def quotas(self) -> Sequence[Object]:
        return self.connect().list(QUOTA, self._namespace)

    def limit_ranges(self) -> Sequence[Object]:
        return self.connect().list(_LIMIT_RANGE, self._namespace)

    def network_policies(self) -> Sequence[Object]:
        return self.connect().list(_NETWORK_POLICY, self._namespace)

    def rehearse(self, documents: Sequence[Document]) -> Sequence[Rehearsal]:
        with ThreadPoolExecutor(max_workers=NEIGHBOURS) as pool:
            return [found for found in pool.map(self._rehearsed, documents) if found is not None]

    def _rehearsed(self, document: Document) -> Rehearsal | None:
        body: dict[str, Any] = document.body
        kind, name = _REHEARSED[str(body["kind"])], str(body["metadata"]["name"])
        try:
            if not document.optional and self.connect().get(kind, name, self._namespace) is not None:
                return Rehearsal(kind=kind.kind, name=name, exists=True)
            return Rehearsal(kind=kind.kind, name=name, warnings=self.connect().rehearse(kind, body))
        except ForbiddenError as error:
            return None if document.optional else Rehearsal(kind=kind.kind, name=name, error=error)
        except WeighbridgeError as error:
            return Rehearsal(kind=kind.kind, name=name, error=error)

    def under_way(self) -> str | None:
        return self.holder()

    # -- source, state -----------------------------------------------------------------------------------------------

    def references(self, environment: Environment) -> Sequence[tuple[str, WeighbridgeError | None]]:
        found: dict[str, WeighbridgeError | None] = {}
        for reference in references(environment):
            passphrase = reference == environment.state.passphrase
            try:
                self.secrets.resolve(reference) if passphrase else self.secrets.token(reference)
                found[reference_key(reference)] = None
            except WeighbridgeError as error:
                found[reference_key(reference)] = error
        for model in environment.models:
            wanted = model.source.chosen.secrets
            if wanted.existing is not None:
                key = f"secret:{wanted.existing}"
                try:
                    self.secrets.of_source(wanted)
                    found[key] = None
                except WeighbridgeError as error:
                    found[key] = error
        return list(found.items())

    def reach(self, server: str) -> Sequence[Stage]:
        return look(
            Endpoint(server, self.outside.proxy, ca_file=str(self.ca_bundle) if self.ca_bundle else None)
        )

    def listing(self, model: Model) -> SourceListing:
        return self.weights.look(model, self.weights.list(model), in_place=False)

    def states(self) -> Sequence[RecordedState]:
        backend, read = self.backend()
        if isinstance(backend, backends.Folder):
            _require_folder(backend.path)
        found = []
        for stack in self.stacks:
            recorded = backends.read_stack(backend, project_name(stack), self.environment.name, read)
            uid = recorded.cluster_uid if recorded else None
            found.append(RecordedState(stack=stack.name, exists=recorded is not None, cluster_uid=uid))
        return found

    # -- from a pod --------------------------------------------------------------------------------------------------

    def pod(self, model: Model, *, volume: bool) -> PodReport:
        try:
            with self.lease():
                return self.pod_run().run(model, volume=volume)
        except WeighbridgeError as error:  # an error of the Lease: the pod's own errors are in its report
            return PodReport(skipped=error)


def _review(kind: Kind, spec: dict[str, Any] | None) -> dict[str, Any]:
    body: dict[str, Any] = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {}}
    return body if spec is None else {**body, "spec": spec}


def _require_folder(path: Path) -> None:
    """Require a folder that is writable, or that can be created below a writable one."""
    # Path.exists raises an error below a folder that may not be searched.
    nearest = next(folder for folder in (path, *path.parents) if os.access(folder, os.F_OK))
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise PreconditionError(
            f"the folder for the state, {path}, cannot be written",
            remedy="give this user the right to write it, or correct state.backend",
            code="state-unwritable",
        )
