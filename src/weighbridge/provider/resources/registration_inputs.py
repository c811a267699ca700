"""The inputs and the content of a ``weighbridge:index:Registrations`` resource, checked and typed."""

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final, Self

from weighbridge.domain.digest import Json
from weighbridge.errors import InputError
from weighbridge.provider.clusters import Connection
from weighbridge.provider.resource import Problem, Values
from weighbridge.watsonx.entry import Entry, entries_by_id

_TEXTS: Final = ("namespace", "customResource", "environment", "clusterUid")
_DESCRIBED: Final = {
    "context": "kubeconfig context; the files are those of KUBECONFIG. Never credentials.",
    "inCluster": "use the pod's own service account instead of a kubeconfig",
    "namespace": "operands namespace of the custom resource",
    "customResource": "name of the Watsonxaiifm resource, which must exist",
    "environment": "name of the environment: whose entries these are",
    "clusterUid": "UID of namespace kube-system of the cluster that is meant; any other cluster is refused",
    "entries": "items of spec.custom_foundation_models by model_id (a list of them is accepted)",
    "adopt": "model_ids whose entry may be taken over from whoever made it; not part of what is compared",
}
INPUT_KEYS: Final = frozenset(_DESCRIBED)
DESCRIPTIONS: Final = _DESCRIBED
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Inputs:
    connection: Connection
    namespace: str
    custom_resource: str
    environment: str
    cluster_uid: str
    entries: tuple[Entry, ...]
    adopt: frozenset[str] = frozenset()

    @property
    def id(self) -> str:
        return f"{self.namespace}/{self.custom_resource}/{self.environment}"

    @classmethod
    def of(cls, values: Values) -> Self:
        """Return the inputs from values that passed :func:`check` (or from a state made of such values)."""
        adopt = values.get("adopt")
        context = values.get("context")
        return cls(
            connection=Connection(
                context if isinstance(context, str) else None, values.get("inCluster") is True
            ),
            namespace=str(values.get("namespace", "")),
            custom_resource=str(values.get("customResource", "")),
            environment=str(values.get("environment", "")),
            cluster_uid=str(values.get("clusterUid", "")),
            entries=entries_of(values.get("entries")),
            adopt=frozenset(str(item) for item in adopt) if isinstance(adopt, list) else frozenset(),
        )

    def as_json(self) -> dict[str, Json]:
        values: dict[str, Json] = {
            "namespace": self.namespace,
            "customResource": self.custom_resource,
            "environment": self.environment,
            "clusterUid": self.cluster_uid,
            "entries": keyed(self.entries),
        }
        if self.connection.context is not None:
            values["context"] = self.connection.context
        if self.connection.in_cluster:
            values["inCluster"] = True
        if self.adopt:
            values["adopt"] = list[Json](sorted(self.adopt))
        return values


def parse_id(text: str) -> tuple[str, str, str]:
    """Return (namespace, custom resource, environment). Raise ``InputError`` for any other text."""
    parts = text.split("/")
    if len(parts) != 3 or not all(_NAME.fullmatch(part) for part in parts):  # noqa: PLR2004
        raise InputError(
            f"{text!r} names no registrations",
            remedy="write NAMESPACE/CUSTOM-RESOURCE/ENVIRONMENT, e.g. cpd-instance/watsonxaiifm-cr/stage",
            code="import-id",
        )
    return parts[0], parts[1], parts[2]


def entries_of(value: Json) -> tuple[Entry, ...]:
    """Return the entries of a list, or of a mapping by model_id, sorted by it: the wire does not keep the order of keys."""
    items: Json = list(value.values()) if isinstance(value, dict) else value
    found = [copies[0][1] for copies in entries_by_id(items).values()]
    return tuple(sorted(found, key=lambda entry: entry.model_id))


def keyed(entries: Iterable[Entry]) -> Json:
    """Return the entries by model_id, so that a preview names the changed model, not its place in the list."""
    return {entry.model_id: entry.value() for entry in entries}


def path_of(model_id: str) -> str:
    """Return the Pulumi property path of one entry."""
    return f"entries[{json.dumps(model_id)}]"


def check(given: Values, unknown: Collection[str]) -> tuple[Problem, ...]:
    """Return every problem of the inputs themselves, without asking a cluster. Skip unknown values."""
    problems = [
        Problem(key, f"is no input; there are: {', '.join(sorted(INPUT_KEYS))}")
        for key in given.keys() - INPUT_KEYS
    ]
    for key in _TEXTS:
        if key in unknown:
            continue
        value = given.get(key)
        if not isinstance(value, str) or not value:
            problems.append(Problem(key, f"is required: {_DESCRIBED[key]}"))
        elif key != "clusterUid" and not _NAME.fullmatch(value):
            problems.append(
                Problem(key, f"{value!r} is no Kubernetes name (lower-case letters, digits, '-' and '.')")
            )
    context = given.get("context")
    if context is not None and not isinstance(context, str):
        problems.append(Problem("context", f"is a text: {_DESCRIBED['context']}"))
    adopt = given.get("adopt", [])
    if not isinstance(adopt, list) or not all(isinstance(item, str) for item in adopt):
        problems.append(Problem("adopt", f"is a list of texts: {_DESCRIBED['adopt']}"))
    if "entries" not in unknown:
        problems += _check_entries(given.get("entries"), known=given.get("entries") is not None)
    return tuple(sorted(problems, key=lambda problem: problem.path))


def _check_entries(value: Json, *, known: bool) -> list[Problem]:
    if not known or not isinstance(value, dict | list):
        return [Problem("entries", f"is required: {_DESCRIBED['entries']}")]
    rows = [(path_of(key), key, item) for key, item in value.items()] if isinstance(value, dict) else None
    rows = rows if rows is not None else [(f"entries[{at}]", "", item) for at, item in enumerate(value)]
    problems: list[Problem] = []
    seen: set[str] = set()
    for path, key, item in rows:
        try:
            entry = Entry.of(item)
        except ValueError as error:
            problems.append(Problem(path, str(error)))
            continue
        if key and entry.model_id != key:
            problems.append(Problem(f"{path}.model_id", f"{entry.model_id!r} stands under {key!r}"))
        if entry.model_id in seen:
            problems.append(Problem(f"{path}.model_id", f"{entry.model_id!r} stands there twice"))
        seen.add(entry.model_id)
        problems += [
            Problem(f"{path}.location{tail}", reason) for tail, reason in _check_location(entry.value())
        ]
    return problems


def _check_location(entry: dict[str, Json]) -> Iterable[tuple[str, str]]:
    """Check ``location`` (IBM Software Hub, "Properties and parameters for custom foundation models"): pvc_name is required."""
    location = entry.get("location")
    if not isinstance(location, dict):
        yield "", "is required: {pvc_name, sub_path}"
        return
    claim = location.get("pvc_name")
    if not isinstance(claim, str) or not _NAME.fullmatch(claim):
        yield ".pvc_name", f"{claim!r} is no name of a PersistentVolumeClaim"
    sub_path = location.get("sub_path", "")
    if not isinstance(sub_path, str) or sub_path.startswith("/") or ".." in sub_path.split("/"):
        yield ".sub_path", f"{sub_path!r} is no path within the volume"
