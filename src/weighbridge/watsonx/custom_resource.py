"""The ``Watsonxaiifm`` resource as we read it: its owner's settings, its operator's status, and who wrote when.

Field names and their meaning: IBM/charts ``repo/ibm-helm/watsonx-ai-ifm-cluster-scoped`` (the CRD), IBM Software Hub
5.x "Checking the status of watsonx.ai", and operator-sdk's ansible status conditions. All times are the API server's.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from weighbridge.domain.digest import Json, digest
from weighbridge.domain.visible import quoted

_TERMINAL: Final = frozenset({"Completed", "Failed"})
_OPERATORS: Final = frozenset(
    {
        "watsonxaiifmStatus",
        "progress",
        "progressMessage",
        "type",
        "watsonxaiifmBuildNumber",
        "versions",
        "conditions",
    }
)
"""Keys of the status that IBM's operator writes (seen in public dumps and in IBM's own scripts)."""


@dataclass(frozen=True, slots=True)
class Condition:
    type: str
    status: str
    """``True``, ``False`` or ``Unknown``, as text."""
    reason: str
    message: str
    completion: str | None
    """``ansibleResult.completion``: when the run ended, by the operator's clock. Compared only for equality."""


@dataclass(frozen=True, slots=True)
class Status:
    """The status that the operator wrote."""

    state: str | None
    """``watsonxaiifmStatus``: ``Completed``, ``InProgress``, ``Failed``; ``None`` before the first run."""
    progress: str | None
    """As written by the operator: ``100%``."""
    message: str | None
    reconciled_version: str | None
    conditions: tuple[Condition, ...]
    digest: str
    """Digest of the operator's status: it changes with every change of it. Keys that others may add do not count."""

    def condition(self, kind: str) -> Condition | None:
        return next((condition for condition in self.conditions if condition.type == kind), None)

    @property
    def percent(self) -> int | None:
        found = re.fullmatch(r"\s*(\d{1,3})\s*%?\s*", self.progress or "")
        return int(found.group(1)) if found else None

    @property
    def terminal(self) -> bool:
        """Whether the last run has ended. operator-sdk reports the end later than the playbook: while ``Running`` has
        the reason ``Running``, the run has not ended, whatever the playbook wrote.
        """
        running = self.condition("Running")
        under_way = running is not None and running.status == "True" and running.reason == "Running"
        return self.state in _TERMINAL and not under_way

    @property
    def running(self) -> bool:
        return self.state is not None and not self.terminal

    @property
    def completion(self) -> str | None:
        """Identity of the last run that ended."""
        return max(
            (condition.completion for condition in self.conditions if condition.completion), default=None
        )

    @property
    def failure(self) -> str | None:
        """The operator's message, if the last run failed."""
        condition = self.condition("Failure")
        failed = condition is not None and condition.status == "True"
        if not failed and self.state != "Failed":
            return None
        said = [condition.message] if condition is not None and failed and condition.message else []
        return (
            " / ".join(dict.fromkeys([*said, *([self.message] if self.message else [])]))
            or "without a message"
        )

    @property
    def ready(self) -> bool:
        """Whether the last run succeeded. Strict: ``Completed``, 100 %, Successful, and no Failure."""
        successful = self.condition("Successful")
        return (
            self.state == "Completed"
            and self.percent == 100  # noqa: PLR2004
            and successful is not None
            and successful.status == "True"
            and self.failure is None
        )

    def describe(self) -> str:
        parts = [self.state or "no status yet", self.progress or "", self.message or ""]
        return " ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Writer:
    """One entry of ``metadata.managedFields``."""

    manager: str
    time: datetime | None
    """In whole seconds."""
    status: bool
    """Whether it wrote through the status subresource."""
    spec: bool
    """Whether it owns a field under ``spec``."""
    models: bool
    """Whether it owns ``spec.custom_foundation_models``."""
    verdict: bool
    """Whether it wrote the operator's status through the status subresource."""


@dataclass(frozen=True, slots=True)
class GitOps:
    """A tool that keeps the custom resource equal to a repository, and may undo what others write."""

    tool: str
    evidence: str

    def __str__(self) -> str:
        return f"{self.tool} ({self.evidence})"


@dataclass(frozen=True, slots=True)
class LiveCustomResource:
    """The custom resource at one moment."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    generation: int
    has_spec: bool
    models: Json
    """``spec.custom_foundation_models`` as it is: a list, ``None`` if absent, or any other value that somebody wrote."""
    version: str | None
    """``spec.version``: the requested version."""
    shutdown: str | None
    ignore_for_maintenance: bool
    status: Status
    writers: tuple[Writer, ...]
    gitops: tuple[GitOps, ...]

    @property
    def where(self) -> str:
        return f"Watsonxaiifm {self.namespace}/{self.name}"

    @property
    def status_written_at(self) -> datetime | None:
        """The time of the operator's last write. Writes of others to the status do not count."""
        return max((writer.time for writer in self.writers if writer.verdict and writer.time), default=None)

    def spec_written(self, manager: str | None = None) -> Writer | None:
        """Return the newest writer of the spec, or the newest one with that name."""
        found = [
            writer
            for writer in self.writers
            if writer.spec and not writer.status and writer.time and manager in {None, writer.manager}
        ]
        return max(found, key=lambda writer: (writer.time, writer.models), default=None)

    def newest_writer_but(self, manager: str) -> Writer | None:
        """Return the newest writer of the spec other than ``manager``."""
        found = [
            writer for writer in self.writers if writer.spec and writer.time and writer.manager != manager
        ]
        return max(found, key=lambda writer: str(writer.time), default=None)

    @property
    def models_writer(self) -> Writer | None:
        """Who wrote the list last. ``None`` if unknown: a list that is gone has no owner, and the order of two writes
        within one second cannot be told.
        """
        found = [writer for writer in self.writers if writer.models and writer.time]
        newest = max((str(writer.time) for writer in found), default="")
        last = [writer for writer in found if str(writer.time) == newest]
        return last[0] if len(last) == 1 else None

    def obstacle(self) -> str | None:
        """Return why nobody should write now (IBM Software Hub, maintenance and upgrade), or ``None``."""
        if self.ignore_for_maintenance:
            return (
                "spec.ignoreForMaintenance is true: its operator ignores every change until maintenance ends"
            )
        if self.shutdown not in {None, "", "false"}:
            return f'spec.shutdown is "{self.shutdown}": the service is shut down'
        reconciled = self.status.reconciled_version
        if self.version and reconciled and self.version != reconciled:
            return f"an upgrade is not finished: spec.version is {self.version}, reconciled is {reconciled}"
        return None


def parse_time(text: object) -> datetime | None:
    """Parse RFC 3339 as the API server writes it. Return ``None`` for anything else."""
    try:
        return datetime.fromisoformat(str(text)) if text else None
    except ValueError:
        return None


def parse_custom_resource(raw: Mapping[str, Any]) -> LiveCustomResource:
    """Return the resource from the API server's JSON. Its schema keeps unknown fields, so accept any shape without failing."""
    metadata = _object(raw.get("metadata"))
    spec = _object(raw.get("spec"))
    fields = metadata.get("managedFields")
    writers = (
        tuple(_writer(field) for field in fields if isinstance(field, dict))
        if isinstance(fields, list)
        else ()
    )
    return LiveCustomResource(
        namespace=str(metadata.get("namespace", "")),
        name=str(metadata.get("name", "")),
        uid=str(metadata.get("uid", "")),
        resource_version=str(metadata.get("resourceVersion", "")),
        generation=int(metadata.get("generation", 0)),
        has_spec=isinstance(raw.get("spec"), dict),
        models=spec.get("custom_foundation_models"),
        version=_text(spec.get("version")),
        shutdown=_text(spec.get("shutdown")),
        ignore_for_maintenance=spec.get("ignoreForMaintenance") is True,
        status=_status(_object(raw.get("status"))),
        writers=writers,
        gitops=_gitops(metadata, writers),
    )


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _status(raw: dict[str, Any]) -> Status:
    rows = raw.get("conditions")
    conditions = tuple(
        Condition(
            type=str(row.get("type", "")),
            status=str(row.get("status", "")),
            reason=str(row.get("reason") or ""),
            message=str(row.get("message") or ""),
            completion=_text(_object(row.get("ansibleResult")).get("completion")),
        )
        for row in (rows if isinstance(rows, list) else ())
        if isinstance(row, dict)
    )
    return Status(
        state=_text(raw.get("watsonxaiifmStatus")),
        progress=_text(raw.get("progress")),
        message=_text(raw.get("progressMessage")),
        reconciled_version=_text(_object(raw.get("versions")).get("reconciled")),
        conditions=conditions,
        digest=digest({key: value for key, value in raw.items() if key in _OPERATORS}),
    )


def _writer(field: dict[str, Any]) -> Writer:
    owned = _object(field.get("fieldsV1"))
    spec, said = _object(owned.get("f:spec")), _object(owned.get("f:status"))
    return Writer(
        manager=str(field.get("manager", "")),
        time=parse_time(field.get("time")),
        status=field.get("subresource") == "status",
        spec="f:spec" in owned,
        models="f:custom_foundation_models" in spec,
        verdict=field.get("subresource") == "status"
        and (not said or any(f"f:{key}" in said for key in _OPERATORS)),
    )


_TRACKING: Final = (
    ("Argo CD", "annotations", "argocd.argoproj.io/tracking-id"),
    ("Argo CD", "labels", "argocd.argoproj.io/instance"),
    ("Flux", "labels", "kustomize.toolkit.fluxcd.io/name"),
    ("Flux", "labels", "helm.toolkit.fluxcd.io/name"),
)
_MANAGERS: Final = {
    "argocd-controller": "Argo CD",
    "argocd-application-controller": "Argo CD",
    "kustomize-controller": "Flux",
    "helm-controller": "Flux",
}


def _gitops(metadata: dict[str, Any], writers: tuple[Writer, ...]) -> tuple[GitOps, ...]:
    """Find the tracking marks of Argo CD ("Resource Tracking") and Flux (kustomize- and helm-controller), and managers."""
    found = [
        GitOps(tool, f"{place[:-1]} {key}={quoted(str(_object(metadata.get(place))[key]))}")
        for tool, place, key in _TRACKING
        if key in _object(metadata.get(place))
    ]
    found += [
        GitOps(_MANAGERS[writer.manager], f"field manager {writer.manager}, {writer.time}")
        for writer in writers
        if writer.manager in _MANAGERS and writer.spec
    ]
    return tuple(found)
