"""An API server in memory: as much of one as the registry meets, with the answers that the real one gives.

What it imitates was seen on kube-apiserver 1.34: a failed JSON-patch ``test`` is 422, ``managedFields`` carry seconds,
a write through the status subresource leaves ``generation`` alone, numbers lose a trailing ``.0``. The contract tests
run the same cases against it and against the real one.
"""

import copy
import itertools
import json
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from weighbridge.kubernetes.client import CONFIG_MAP, WATSONX_IFM, ApiRefusedError, Kind, Object

Key = tuple[str, str | None, str]


def refused(status: int, what: str) -> ApiRefusedError:
    return ApiRefusedError(what, status=status, reason="", transient=status in {409, 429, 500, 503})


@dataclass
class FakeApiServer:
    """Implements ``watsonx.registry.KubeApi``. ``now`` is its clock; ``before_patch`` runs between look and patch."""

    where: str = "context fake (https://fake.example.com)"
    uid: str = "11111111-2222-3333-4444-555555555555"
    now: datetime = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    objects: dict[Key, Object] = field(default_factory=dict)
    before_patch: Callable[[], None] = lambda: None
    failures: dict[str, list[Exception]] = field(default_factory=dict)
    """Method name and plural (``merge configmaps``) → errors to raise, one a call."""
    calls: list[str] = field(default_factory=list)
    _one_at_a_time: "threading.RLock" = field(default_factory=threading.RLock)
    _versions: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    # -- as the registry sees it

    def identity(self) -> str:
        return self.uid

    def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object | None:
        self._called("get", kind)
        return copy.deepcopy(self.objects.get((kind.plural, namespace, name)))

    def create(self, kind: Kind, body: Object) -> Object:
        self._called("create", kind)
        metadata = body["metadata"]
        key = (kind.plural, metadata.get("namespace"), metadata["name"])
        with self._one_at_a_time:
            if key in self.objects:
                raise refused(409, f"{key} already exists")
            return self._store(key, copy.deepcopy(body), manager="weighbridge", status=False)

    def merge(self, kind: Kind, name: str, namespace: str | None, patch: Object) -> Object:
        self._called("merge", kind)
        return self._store(
            self._there(kind, name, namespace), _merged(self._at(kind, name, namespace), patch)
        )

    def json_patch(
        self, kind: Kind, name: str, namespace: str | None, operations: Sequence[Object]
    ) -> Object:
        self._called("json_patch", kind)
        self.before_patch()
        with self._one_at_a_time:
            key = self._there(kind, name, namespace)
            return self._store(key, apply_json_patch(self._at(kind, name, namespace), operations))

    def delete(self, kind: Kind, name: str, namespace: str | None = None) -> bool:
        self._called("delete", kind)
        return self.objects.pop((kind.plural, namespace, name), None) is not None

    def delete_version(self, kind: Kind, name: str, namespace: str, version: str) -> bool:
        self._called("delete", kind)
        key = (kind.plural, namespace, name)
        with self._one_at_a_time:
            if key in self.objects and self.objects[key]["metadata"]["resourceVersion"] != version:
                raise refused(409, "Precondition failed: resourceVersion in precondition")
            return self.objects.pop(key, None) is not None

    # -- as a test sees it

    def put_cr(self, spec: Object, *, manager: str = "ibm-cpd-watsonx-ai-operator", **metadata: Any) -> None:
        key = (WATSONX_IFM.plural, "ns", "cr")
        body = {"metadata": {"name": "cr", "namespace": "ns", "uid": "cr-uid", **metadata}, "spec": spec}
        if key in self.objects:
            body["status"] = self.objects[key].get("status", {})
        self._store(key, body, manager=manager)

    def put_status(
        self, state: str, progress: str = "100%", *, completion: str | None = None, **more: Any
    ) -> None:
        succeeded = state == "Completed"
        conditions: list[Object] = [
            {"type": "Successful", "status": str(succeeded), "reason": "", "message": ""},
            {
                "type": "Failure",
                "status": str(state == "Failed"),
                "reason": "",
                "message": more.pop("message", ""),
            },
            {
                "type": "Running",
                "status": "True",
                "reason": "Running" if state == "InProgress" else "Successful",
            },
        ]
        if completion:
            conditions[2]["ansibleResult"] = {"completion": completion}
        body = copy.deepcopy(self.cr)
        body["status"] = {"watsonxaiifmStatus": state, "progress": progress, "conditions": conditions, **more}
        self._store((WATSONX_IFM.plural, "ns", "cr"), body, manager="ifm-operator", status=True)

    def put_note(self, note: str) -> None:
        """Somebody writes a key of their own into the status, beside what the operator says."""
        body = copy.deepcopy(self.cr)
        body["status"]["somebody"] = note
        row: Object = {
            "manager": "somebody",
            "subresource": "status",
            "time": self.now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "fieldsV1": {"f:status": {"f:somebody": {}}},
        }
        kept = [field for field in body["metadata"]["managedFields"] if field["manager"] != "somebody"]
        stored = self._store((WATSONX_IFM.plural, "ns", "cr"), body, manager="somebody", status=True)
        self.objects[WATSONX_IFM.plural, "ns", "cr"] = {
            **stored,
            "metadata": {**stored["metadata"], "managedFields": [*kept, row]},
        }

    @property
    def cr(self) -> Object:
        return self.objects[WATSONX_IFM.plural, "ns", "cr"]

    @property
    def models(self) -> list[Any]:
        return cast("list[Any]", copy.deepcopy(self.cr["spec"]["custom_foundation_models"]))

    def edit(self, operations: list[Object], manager: str = "team-a") -> None:
        """Somebody else's JSON patch."""
        self._store((WATSONX_IFM.plural, "ns", "cr"), apply_json_patch(self.cr, operations), manager=manager)

    def set_models(self, models: Any, manager: str = "team-a") -> None:
        body = copy.deepcopy(self.cr)
        body["spec"]["custom_foundation_models"] = models
        self._store((WATSONX_IFM.plural, "ns", "cr"), body, manager=manager)

    def intents(self, environment: str = "stage") -> dict[str, str] | None:
        found = self.objects.get((CONFIG_MAP.plural, "ns", f"weighbridge-{environment}-intents"))
        return None if found is None else cast("dict[str, str]", found["data"])

    def tick(self, seconds: float = 1) -> None:
        self.now += timedelta(seconds=seconds)

    # -- inside

    def _called(self, method: str, kind: Kind) -> None:
        call = f"{method} {kind.plural}"
        self.calls.append(call)
        if waiting := self.failures.get(call):
            raise waiting.pop(0)

    def _there(self, kind: Kind, name: str, namespace: str | None) -> Key:
        key = (kind.plural, namespace, name)
        if key not in self.objects:
            raise refused(404, f'{kind} "{name}" not found')
        return key

    def _at(self, kind: Kind, name: str, namespace: str | None) -> Object:
        return copy.deepcopy(self.objects[kind.plural, namespace, name])

    def _store(self, key: Key, body: Object, *, manager: str = "weighbridge", status: bool = False) -> Object:
        body = _go_numbers(body)
        old = self.objects.get(key, {})
        metadata = body["metadata"]
        changed = {part for part in ("spec", "status") if body.get(part) != old.get(part)}
        metadata["resourceVersion"] = str(next(self._versions))
        metadata["generation"] = old.get("metadata", {}).get("generation", 0) + ("spec" in changed)
        fields = [dict(row) for row in old.get("metadata", {}).get("managedFields", [])]
        if changed and key[0] == WATSONX_IFM.plural:
            wrote_models = body.get("spec", {}).get("custom_foundation_models") != old.get("spec", {}).get(
                "custom_foundation_models"
            )
            if wrote_models and not status:
                for row in fields:
                    row["fieldsV1"].get("f:spec", {}).pop("f:custom_foundation_models", None)
            owned: Object = (
                {"f:status": {}}
                if status
                else {"f:spec": {"f:custom_foundation_models": {}} if wrote_models else {}}
            )
            fields = [
                row
                for row in fields
                if (row["manager"], row.get("subresource")) != (manager, "status" if status else None)
            ]
            fields.append(
                {
                    "manager": manager,
                    "time": self.now.strftime("%Y-%m-%dT%H:%M:%SZ"),
                    "fieldsV1": owned,
                    **({"subresource": "status"} if status else {}),
                }
            )
        metadata["managedFields"] = fields
        self.objects[key] = body
        return copy.deepcopy(body)


def _go_numbers(value: Any) -> Any:
    return json.loads(
        json.dumps(value),
        parse_float=lambda text: int(float(text)) if float(text).is_integer() else float(text),
    )


def _merged(target: Any, patch: Any) -> Any:
    """JSON merge patch, RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), value)
    return result


def apply_json_patch(body: Any, operations: Sequence[Object]) -> Any:
    """JSON patch, RFC 6902: ``test``, ``add``, ``replace``, ``remove``. 422 where the API server answers 422."""
    body = copy.deepcopy(body)
    for operation in operations:
        *parents, last = (
            part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]
        )
        target = body
        for part in parents:
            target = target[int(part)] if isinstance(target, list) else target[part]
        verb, value = operation["op"], operation.get("value")
        if isinstance(target, list):
            index = len(target) if last == "-" else int(last)
            if verb == "add":
                target.insert(index, value)
            elif verb == "replace":
                target[index] = value
            elif verb == "remove":
                del target[index]
            else:
                raise AssertionError(operation)
        elif verb == "test":
            if last not in target or _text(target[last], _go) != _text(value):
                raise refused(422, f"testing path {operation['path']} failed")
        elif verb == "remove":
            del target[last]
        else:
            target[last] = value
    return body


def _text(value: Any, number: Callable[[float], str] = repr) -> str:
    """JSON with sorted keys, numbers as ``number`` writes them."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{_text(value[key], number)}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_text(item, number) for item in value) + "]"
    return number(value) if isinstance(value, float) else json.dumps(value)


def _go(number: float) -> str:
    """As Go's encoding/json writes a float64: exponents only below 1e-6 and from 1e21, without padding."""
    if number and not 1e-6 <= abs(number) < 1e21:
        return re.sub(r"(e[+-])0(?=\d)", r"\1", repr(number))
    return f"{number:.25f}".rstrip("0").rstrip(".") if "e" in repr(number) else repr(number)
