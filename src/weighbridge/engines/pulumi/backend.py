"""Where the state is, and what it says before any engine runs: does the stack exist, and to which cluster does it
belong?

Read directly from Pulumi's self-managed layout (``.pulumi/stacks/PROJECT/STACK.json``, project-scoped since Pulumi
3.61; ``backend/diy/store.go``). The CLI cannot answer without writing ``.pulumi/meta.yaml`` into an empty backend,
and a refresh of another cluster's state must never start.
"""

import gzip
import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote, unquote, urlsplit

from weighbridge.domain.stacks import ClusterIdentity
from weighbridge.environment.home import at_home
from weighbridge.environment.state_url import file_complaints, s3_complaints, s3_place
from weighbridge.errors import InputError, Place, PreconditionError

CLUSTER_OUTPUT = "clusterUid"
"""The stack output that names the cluster of a state."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A ``file://`` backend."""

    path: Path

    @property
    def url(self) -> str:
        return "file://" + quote(str(self.path))


@dataclass(frozen=True, slots=True)
class Bucket:
    """An ``s3://`` backend."""

    url: str
    name: str
    prefix: str
    """Empty, or ends in ``/``."""
    endpoint: str | None
    region: str | None
    path_style: bool = False


Backend: TypeAlias = Folder | Bucket

ReadObject: TypeAlias = Callable[[Bucket, str], bytes | None]
"""Bucket and key (prefix included) → the object's bytes, ``None`` if there is no such object. Raises
``PreconditionError`` if the server refuses.
"""


def parse_backend(url: str, base: Path) -> Backend:
    """Parse a backend's URL. ``base``: the folder where a relative ``file://`` path starts, which is the environment
    file's folder. Raise ``InputError`` for any other URL.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        path = unquote(parts.netloc + parts.path)
        if path in ("", "~"):
            raise _refused(url, "it names no folder")
        if wrong := file_complaints(url):
            raise _refused(url, wrong[0].what)
        folder = at_home(path)
        if str(folder).startswith("~"):
            raise _refused(url, f"{folder.parts[0]} is no home that this machine knows")
        return Folder((base / folder).resolve())
    if parts.scheme == "s3":
        if not parts.netloc:
            raise _refused(url, "it names no bucket")
        if wrong := s3_complaints(url):
            raise _refused(url, f"{wrong[0].what}; {wrong[0].remedy}")
        place = s3_place(url)
        return Bucket(
            url=url,
            name=place.bucket,
            prefix=place.prefix,
            endpoint=place.endpoint,
            region=place.region,
            path_style=place.path_style,
        )
    raise _refused(url, f"`{parts.scheme or url}` is no kind of backend known here")


def _refused(url: str, why: str) -> InputError:
    return InputError(
        f"`{url}` cannot hold the state: {why}",
        remedy="write file://FOLDER (relative to the environment file) or s3://BUCKET/PREFIX?region=…[&endpoint=https://…]",
        place=Place(key="state.backend"),
        code="state-backend",
    )


@dataclass(frozen=True, slots=True)
class Recorded:
    """One resource in the state."""

    urn: str
    type: str
    name: str
    protected: bool


@dataclass(frozen=True, slots=True)
class RecordedStack:
    """What a state says about one stack."""

    cluster_uid: str | None
    """``None`` if nothing was ever created."""
    resources: tuple[Recorded, ...] = ()
    unfinished: tuple[str, ...] = ()
    """URNs that a killed Pulumi was creating when it last saved the state. Whether these objects exist is not known."""
    salt: str | None = None
    """Salt of the passphrase. With it the state does not open under a wrong passphrase, and the CLI refuses instead
    of creating a new salt.
    """

    @property
    def declared(self) -> tuple[Recorded, ...]:
        """The resources without Pulumi's own bookkeeping, in the order of creation, which varies from run to run."""
        return tuple(row for row in self.resources if not row.type.startswith("pulumi:"))

    def lasting(self, retained: Collection[str]) -> list[Recorded]:
        """Return what a plain destroy leaves in place: protected resources, and those of a ``retained`` type."""
        found = [row for row in self.declared if row.protected or row.type in retained]
        return sorted(found, key=lambda row: row.name)

    def require(self, cluster: ClusterIdentity, stack: str, environment: str) -> None:
        """Raise ``PreconditionError`` if the state belongs to another cluster."""
        if self.cluster_uid is None or self.cluster_uid == cluster.uid:
            return
        where = f"context {cluster.context}" if cluster.context else "the cluster in reach"
        raise PreconditionError(
            f"the state of stack `{stack}` of environment `{environment}` belongs to the cluster with kube-system UID "
            f"{self.cluster_uid}, but {where} is {cluster.uid}",
            remedy="correct `cluster.context`, or give this cluster's environment another name or `state.backend`; nothing was read or changed",
            code="state-of-another-cluster",
        )


def read_stack(
    backend: Backend, project: str, stack: str, read_object: ReadObject | None
) -> RecordedStack | None:
    """Return the stack in the backend; ``None`` if it does not exist."""
    key = f".pulumi/stacks/{project}/{stack}.json"
    for suffix in ("", ".gz"):
        content = _read(backend, key + suffix, read_object)
        if content is not None:
            plain = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
            return recorded_stack(_parsed(plain, key + suffix))
    return None


def _read(backend: Backend, key: str, read_object: ReadObject | None) -> bytes | None:
    if isinstance(backend, Folder):
        try:
            return (backend.path / key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise PreconditionError(
                f"the state {backend.path / key} cannot be read: {error.strerror}",
                remedy="give this user the right to read and write `state.backend`",
                code="state-unreadable",
            ) from error
    if read_object is None:
        raise PreconditionError(
            f"no credentials are known for the state in bucket `{backend.name}`",
            remedy="name them under `state.credentials` in the environment file",
            code="state-credentials",
        )
    return read_object(backend, backend.prefix + key)


def _parsed(content: bytes, key: str) -> dict[str, Any]:
    try:
        parsed = json.loads(content)
    except ValueError as damaged:
        raise PreconditionError(
            f"the state `{key}` is not JSON: {damaged}",
            remedy=f"restore `{key}.bak` or the newest file under `.pulumi/backups` of the same backend",
            code="state-damaged",
        ) from damaged
    return parsed if isinstance(parsed, dict) else {}


def recorded_stack(checkpoint: dict[str, Any]) -> RecordedStack:
    """Parse a checkpoint file (``apitype.VersionedCheckpoint``) or the output of ``pulumi stack export``."""
    deployment = (checkpoint.get("checkpoint") or {}).get("latest") or checkpoint.get("deployment") or {}
    resources = deployment.get("resources") or []
    return RecordedStack(
        cluster_uid=next(filter(None, map(_uid_of, resources)), None),
        resources=tuple(
            Recorded(
                urn=row["urn"],
                type=row["type"],
                name=row["urn"].rpartition("::")[2],
                protected=bool(row.get("protect")),
            )
            for row in resources
        ),
        unfinished=tuple(
            row["resource"]["urn"]
            for row in deployment.get("pending_operations") or []
            if row.get("type") == "creating"
        ),
        salt=((deployment.get("secrets_providers") or {}).get("state") or {}).get("salt"),
    )


def _uid_of(row: dict[str, Any]) -> str | None:
    """Return the cluster that a resource names. Ask each: the stack's output exists only after a program ran to its end."""
    match row.get("type"):
        case "pulumi:pulumi:Stack":
            found = (row.get("outputs") or {}).get(CLUSTER_OUTPUT)
        case "pulumi:providers:kubernetes":
            found = (row.get("inputs") or {}).get("clusterIdentifier")
        case str(kind) if kind.startswith("weighbridge:index:"):
            found = (row.get("inputs") or {}).get("clusterUid")
        case _:
            found = None
    return found if isinstance(found, str) else None
