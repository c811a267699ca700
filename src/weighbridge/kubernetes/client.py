"""The Kubernetes API as plain JSON objects. Only this module knows lightkube; it also translates its errors.
``connection.py`` knows how the server is reached.

Only GET, LIST, POST, PATCH and DELETE are used: a namespace's ``edit`` role may not ``watch`` everything that is used
here (facts in ``docs/adr``), so callers that wait have to poll.
"""

import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import Any, TypeAlias, cast

import httpx2 as httpx
from lightkube import Client, SingleConfig
from lightkube.config.models import Cluster, Context, User
from lightkube.core.decoders import decode_list, decode_status
from lightkube.core.exceptions import ApiError
from lightkube.generic_resource import create_global_resource, create_namespaced_resource
from lightkube.types import CascadeType, PatchType

from weighbridge.errors import ForbiddenError as ForbiddenError  # noqa: PLC0414 - callers of Kube import it from here
from weighbridge.errors import PreconditionError, StepFailedError
from weighbridge.kubernetes.connection import Connection, proxy_to
from weighbridge.kubernetes.denials import forbidden
from weighbridge.kubernetes.kubeconfig import kubeconfig, service_account
from weighbridge.kubernetes.login import HELPER_SECONDS, login_for
from weighbridge.processes.variables import Outside

Object: TypeAlias = dict[str, Any]
"""One Kubernetes object, as in the API server's answer."""

FIELD_MANAGER = "weighbridge"

# msgspec, lightkube's decoder, learns a type at its first use; if two threads do so at once, the process crashes
# (tests/unit/kubernetes/test_first_meetings.py). So one thread uses each type first, before all others.
_ONE_AT_A_TIME = Lock()
decode_status(b"{}")


@dataclass(frozen=True, slots=True)
class Kind:
    """What an API path needs from a resource."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural


NAMESPACE = Kind("", "v1", "Namespace", "namespaces", namespaced=False)
SECRET = Kind("", "v1", "Secret", "secrets")
CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps")
POD = Kind("", "v1", "Pod", "pods")
EVENT = Kind("", "v1", "Event", "events")
CLAIM = Kind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims")
JOB = Kind("batch", "v1", "Job", "jobs")
LEASE = Kind("coordination.k8s.io", "v1", "Lease", "leases")
QUOTA = Kind("", "v1", "ResourceQuota", "resourcequotas")
STORAGE_CLASS = Kind("storage.k8s.io", "v1", "StorageClass", "storageclasses", namespaced=False)
WATSONX_IFM = Kind("watsonxaiifm.cpd.ibm.com", "v1beta1", "Watsonxaiifm", "watsonxaiifm")


class ApiRefusedError(StepFailedError):
    """The API server answered with an unexpected status. ``status`` is the HTTP code, ``reason`` the server's word for it."""

    def __init__(
        self, what: str, *, status: int, reason: str, remedy: str | None = None, transient: bool = False
    ) -> None:
        super().__init__(what, remedy=remedy, code=f"kubernetes-{status}", transient=transient)
        self.status = status
        self.reason = reason


class Kube:
    """A connection to one cluster. Every method raises ``PreconditionError`` if the cluster cannot be reached or
    refuses the login, ``ForbiddenError`` for a missing permission, ``ApiRefusedError`` for anything else.
    """

    def __init__(self, client: Client, where: str) -> None:
        self._client = client
        self.where = where
        """The cluster, for messages: context name and server address."""

    def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object | None:
        """Return the object, or ``None`` if there is none."""
        try:
            with self._translated(f"get {kind} {name}"):
                return self._plain(self._client.get(_resource(kind), name, **_in(kind, namespace)))
        except ApiRefusedError as error:
            if error.status == httpx.codes.NOT_FOUND:
                return None
            raise

    def list(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        labels: dict[str, str] | None = None,
        fields: dict[str, str] | None = None,
    ) -> list[Object]:
        """Return every object that the selectors match; an empty list if there is none."""
        with self._translated(f"list {kind}"):
            found = cast("Any", self._client).list(
                _resource(kind), labels=labels, fields=fields, **_in(kind, namespace)
            )
            return [self._plain(item) for item in found]

    def create(self, kind: Kind, body: Object) -> Object:
        """Create and return the object. Raise ``ApiRefusedError`` with status 409 if it exists already."""
        with self._translated(f"create {kind} {body['metadata'].get('name')}"):
            return self._plain(self._client.create(_resource(kind)(body), field_manager=FIELD_MANAGER))

    def apply(self, kind: Kind, body: Object) -> Object:
        """Create or change an object of ours by server-side apply: fields that another manager set stay. The path
        holds its name, so that a Role can limit by name what may be created.
        """
        with self._translated(f"apply {kind} {body['metadata']['name']}"):
            return self._plain(
                self._client.apply(_resource(kind)(body), field_manager=FIELD_MANAGER, force=True)
            )

    def rehearse(self, kind: Kind, body: Object) -> tuple[str, ...]:
        """Run :meth:`apply` as a dry run: admission and validation answer, and nothing is kept. Return the API
        server's warnings.

        Raise ``ApiRefusedError`` with its words if it would refuse.
        """
        name, namespace = body["metadata"]["name"], body["metadata"].get("namespace")
        client = cast("Any", self._client)._client  # noqa: SLF001  lightkube's own call drops the warnings
        with self._translated(f"apply {kind} {name}"):
            request = client.prepare_request(
                "patch",
                _resource(kind),
                body,
                name,
                namespace,
                headers={"Content-Type": PatchType.APPLY.value},
                params={"dryRun": "All", "force": "true", "fieldManager": FIELD_MANAGER},
            )
            response = client.send(client.build_adapter_request(request))
            client.handle_response("patch", response, request)
        return tuple(response.headers.get_list("warning"))

    def read(self, path: str) -> tuple[Object, str | None]:
        """Return the answer to a path such as ``version``, and its ``Date`` header."""
        client = cast("Any", self._client)._client._client  # noqa: SLF001  lightkube knows only resources
        with self._translated(f"read {path}"):
            response = client.send(client.build_request("GET", path))
            cast("Any", self._client)._client.raise_for_status(response)  # noqa: SLF001  raises lightkube's own kind of error
            found = response.json()
        return (found if isinstance(found, dict) else {}), response.headers.get("date")

    def merge(self, kind: Kind, name: str, namespace: str | None, patch: Object) -> Object:
        """Apply a JSON merge patch (RFC 7386) to an object of ours."""
        return self._patch(kind, name, namespace, patch, PatchType.MERGE)

    def json_patch(
        self, kind: Kind, name: str, namespace: str | None, operations: Sequence[Object]
    ) -> Object:
        """Apply a JSON patch (RFC 6902). A failed ``test`` is answered with status 422, not 409."""
        return self._patch(kind, name, namespace, [*operations], PatchType.JSON)

    def delete(self, kind: Kind, name: str, namespace: str | None = None) -> bool:
        """Return true if there was an object to delete. Its dependents are deleted in the background."""
        try:
            with self._translated(f"delete {kind} {name}"):
                cast("Any", self._client).delete(
                    _resource(kind), name, cascade=CascadeType.BACKGROUND, **_in(kind, namespace)
                )
        except ApiRefusedError as error:
            if error.status == httpx.codes.NOT_FOUND:
                return False
            raise
        return True

    def delete_version(self, kind: Kind, name: str, namespace: str, version: str) -> bool:
        """Delete the object if its resourceVersion is still the one that was read; else raise ``ApiRefusedError``
        with status 409. Return false if there is none.
        """
        client = cast("Any", self._client)._client  # noqa: SLF001  lightkube's own delete takes no preconditions
        try:
            with self._translated(f"delete {kind} {name}"):
                request = client.prepare_request("delete", _resource(kind), name=name, namespace=namespace)
                request.data = {"preconditions": {"resourceVersion": version}}
                client.handle_response("delete", client.send(client.build_adapter_request(request)), request)
        except ApiRefusedError as error:
            if error.status == httpx.codes.NOT_FOUND:
                return False
            raise
        return True

    def log(
        self, pod: str, namespace: str, *, follow: bool = False, since_seconds: int | None = None
    ) -> Iterator[str]:
        """Yield the lines of the pod's only container; with ``follow``, until it ends."""
        with self._translated(f"read the log of pod {pod}"):
            yield from self._client.log(
                pod, namespace=namespace, follow=follow, since=since_seconds, newlines=False
            )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def identity(self) -> str:
        """Return the UID of the namespace ``kube-system``. It is the accepted name of a cluster, which has no other."""
        found = self.get(NAMESPACE, "kube-system")
        if found is None:
            raise PreconditionError(
                f"{self.where} has no namespace kube-system, so it cannot be told from other clusters"
            )
        return str(found["metadata"]["uid"])

    def _patch(self, kind: Kind, name: str, namespace: str | None, patch: Any, how: PatchType) -> Object:
        with self._translated(f"patch {kind} {name}"):
            return self._plain(
                cast("Any", self._client).patch(
                    _resource(kind),
                    name,
                    patch,
                    patch_type=how,
                    field_manager=FIELD_MANAGER,
                    **_in(kind, namespace),
                )
            )

    @staticmethod
    def _plain(found: Any) -> Object:
        return cast("Object", found.to_dict())

    @contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        try:
            yield
        except ApiError as error:
            raise self._refusal(error, doing) from error
        except (httpx.LocalProtocolError, UnicodeEncodeError):  # its text quotes the header and the token
            raise PreconditionError(
                f"the login to {self.where} holds what no HTTP header can carry: a line break or white space around its token, say",
                remedy="correct the token of this context's user: the value alone, in one line",
                code="cluster-login",
            ) from None
        except (httpx.HTTPStatusError, ValueError) as error:
            raise PreconditionError(
                f"{self.where} does not answer as a Kubernetes API does: {_first_line(error)}",
                remedy="is there a proxy or a login page in between? Try kubectl get --raw /version with the same context",
                code="cluster-strange",
            ) from error
        except (httpx.TimeoutException, httpx.TransportError) as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error) or isinstance(error.__cause__, ssl.SSLError):
                raise PreconditionError(
                    f"TLS to the Kubernetes API at {self.where} failed: {error}",
                    remedy="the kubeconfig names whom to trust (certificate-authority, tls-server-name); without it the system's "
                    "authorities and trust.ca_bundle count",
                    code="cluster-tls",
                ) from error
            raise PreconditionError(
                f"the Kubernetes API at {self.where} does not answer: {str(error) or type(error).__name__}",
                remedy="check the address, the network and the proxy of this cluster (kubectl get --raw /readyz)",
                code="cluster-unreachable",
            ) from error

    def _refusal(self, error: ApiError, doing: str) -> PreconditionError | StepFailedError:
        status = error.status.code or error.response.status_code
        reason = error.status.reason or ""
        message = error.status.message or reason
        if status == httpx.codes.UNAUTHORIZED:
            return PreconditionError(
                f"{self.where} does not accept the login of this kubeconfig context",
                remedy="log in again (oc login, or renew the token or certificate) and repeat the command",
                code="cluster-login",
            )
        if status == httpx.codes.FORBIDDEN and (denied := forbidden(message)) is not None:
            return denied
        transient = status in {409, 429, 500, 502, 503, 504}
        return ApiRefusedError(
            f"cannot {doing}: {message}", status=status, reason=reason, transient=transient
        )


def connect(  # noqa: PLR0913  which cluster, through what, and how long
    *,
    context: str | None,
    in_cluster: bool = False,
    outside: Outside | None = None,
    timeout_seconds: float = 20,
    helper_seconds: float = HELPER_SECONDS,
    environ: Mapping[str, str] | None = None,
) -> Kube:
    """Return a connection for ``context`` of the kubeconfig files in ``KUBECONFIG`` (of ``environ``, else of this
    process) or ``~/.kube/config``, or for the pod's own service account. Nothing is sent yet, and no login helper is
    asked.

    Raise ``PreconditionError`` if the kubeconfig's content cannot be used.
    """
    chosen = service_account() if in_cluster else kubeconfig(context, environ)
    around = outside or Outside()
    proxy = proxy_to(chosen, around.proxy)
    try:
        connection = Connection(
            chosen,
            login_for(chosen, around),
            proxy=proxy,
            ca_bundle=around.ca_bundle,
            helper_seconds=helper_seconds,
        )
        config = SingleConfig(
            context_name=chosen.name or "",
            context=Context(cluster="chosen"),
            cluster=Cluster(server=chosen.server, insecure=True),  # our connection checks certificates
            user=User(),
        )
        timeout = httpx.Timeout(timeout_seconds)
        client = Client(
            config, field_manager=FIELD_MANAGER, timeout=timeout, trust_env=False, transport=connection
        )
    except httpx.InvalidURL as error:
        raise chosen.refused(
            "cluster.server, or the proxy on the way to it, is no URL that can be dialled",
            "correct it: https://host:port",
        ) from error
    where = f"context {chosen.name}" if chosen.name else "this pod's service account"
    through = f", through proxy {proxy.rpartition('@')[2].rpartition('/')[2]}" if proxy else ""
    return Kube(client, f"{where} ({chosen.server}{through})")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _resource(kind: Kind) -> Any:
    with _ONE_AT_A_TIME:  # around the cache too: lightkube refuses to create a type twice
        return _met(kind)


@cache
def _met(kind: Kind) -> Any:
    make = create_namespaced_resource if kind.namespaced else create_global_resource
    resource = make(kind.group, kind.version, kind.kind, kind.plural)
    decode_list(b'{"items": [], "metadata": {}}', resource)
    return resource


def _in(kind: Kind, namespace: str | None) -> dict[str, Any]:
    return {"namespace": namespace} if kind.namespaced and namespace else {}
