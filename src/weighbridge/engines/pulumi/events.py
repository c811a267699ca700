"""Read Pulumi's engine events for what weighbridge reports about a preview or an update."""

import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pulumi.automation import EngineEvent, OpType, StepEventMetadata

from weighbridge.core.events import Observer, ResourceChanged
from weighbridge.domain.digest import Json
from weighbridge.domain.stacks import Op, PropertyChange, ResourceChange

_OPS = {
    OpType.CREATE: Op.CREATE,
    OpType.UPDATE: Op.UPDATE,
    OpType.DELETE: Op.DELETE,
    OpType.IMPORT: Op.IMPORT,
    OpType.REPLACE: Op.REPLACE,
    OpType.CREATE_REPLACEMENT: Op.REPLACE,
    OpType.DELETE_REPLACED: Op.REPLACE,
    OpType.IMPORT_REPLACEMENT: Op.REPLACE,
}
_STACK = "pulumi:pulumi:Stack"
_UNSEEN = (_STACK, "pulumi:providers:")
"""Pulumi's own bookkeeping, never declared by a user."""

ALLOWED_OUTPUTS = frozenset({"clusterUid"})

_TOKEN = re.compile(r'\.?([^.\[\]]+)|\["((?:[^"\\]|\\.)*)"\]|\[(\d+)\]')


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """A message of the engine, of a provider or of the program."""

    severity: str
    text: str
    resource: str | None
    """Logical name."""


class Recorder:
    """Receives events from the Automation API, called from threads of that API."""

    def __init__(self, stack: str, observer: Observer | None = None, ignored: Iterable[str] = ()) -> None:
        self._stack = stack
        self._observer = observer
        self._ignored = frozenset(ignored)
        self._lock = threading.Lock()
        self._changes: dict[str, ResourceChange] = {}
        self._same: set[str] = set()
        self._drifted: set[str] = set()
        self.diagnostics: list[Diagnostic] = []
        self.outputs: dict[str, Json] = {}

    def __call__(self, event: EngineEvent) -> None:
        with self._lock:
            if event.resource_pre_event:
                self._planned(event.resource_pre_event.metadata)
            elif event.res_outputs_event:
                self._finished(
                    event.res_outputs_event.metadata, planning=bool(event.res_outputs_event.planning)
                )
            elif event.diagnostic_event and event.diagnostic_event.severity != "debug":
                heard = event.diagnostic_event
                text = heard.message.strip()
                if text:
                    self.diagnostics.append(
                        Diagnostic(heard.severity, text, _name(heard.urn) if heard.urn else None)
                    )

    def changes(self) -> tuple[ResourceChange, ...]:
        """Sorted by type and name, because the engine's own order varies from run to run."""
        with self._lock:
            return tuple(sorted(self._changes.values(), key=lambda change: (change.type, change.name)))

    @property
    def unchanged(self) -> int:
        with self._lock:
            return len(self._same - set(self._changes) - self._ignored)

    def _planned(self, step: StepEventMetadata) -> None:
        if step.type.startswith(_UNSEEN):
            return
        if step.op is OpType.SAME:
            self._same.add(step.urn)
        elif step.op is OpType.REFRESH:
            self._drift(step)
        elif step.op in _OPS:
            self._changes.setdefault(step.urn, self._change(step))

    def _finished(self, step: StepEventMetadata, *, planning: bool) -> None:
        if step.type == _STACK and step.new and step.new.outputs:
            self.outputs = {
                name: value for name, value in step.new.outputs.items() if name in ALLOWED_OUTPUTS
            }
        if step.type.startswith(_UNSEEN):
            return
        if step.op is OpType.REFRESH:
            self._drift(step)
        elif step.op in _OPS and self._observer and not planning:
            self._observer(
                ResourceChanged(self._stack, _short_type(step.type), _name(step.urn), _OPS[step.op])
            )

    def _drift(self, step: StepEventMetadata) -> None:
        if step.new is None or step.detailed_diff or (step.old and step.old.outputs != step.new.outputs):
            self._drifted.add(step.urn)

    def _change(self, step: StepEventMetadata) -> ResourceChange:
        return ResourceChange(
            type=_short_type(step.type),
            name=_name(step.urn),
            op=_OPS[step.op],
            diffs=_diffs(step),
            drifted=step.urn in self._drifted,
        )


def _diffs(step: StepEventMetadata) -> tuple[PropertyChange, ...]:
    before = (step.old.inputs or {}, step.old.outputs or {}) if step.old else ({}, {})
    after = (step.new.inputs or {}) if step.new else {}
    return tuple(
        PropertyChange(
            path=path,
            kind=diff.diff_kind.value.removesuffix("-replace"),
            before=_at(before[0], path) if diff.input_diff else _either(before[1], before[0], path),
            after=_at(after, path),
        )
        for path, diff in sorted((step.detailed_diff or {}).items())
    )


def _either(first: Mapping[str, Any], second: Mapping[str, Any], path: str) -> Json:
    found = _at(first, path)
    return _at(second, path) if found is None else found


def _at(value: Any, path: str) -> Json:
    """Return the value at one of Pulumi's property paths (``sdk/go/common/resource/property_path.go``), or ``None``."""
    for match in _TOKEN.finditer(path):
        name, quoted, index = match.groups()
        key = quoted.replace('\\"', '"') if quoted is not None else name  # no other character is escaped
        if isinstance(value, Mapping) and key in value:
            value = value[key]
        elif isinstance(value, list) and index is not None and int(index) < len(value):
            value = value[int(index)]
        else:
            return None
    found: Json = value
    return found


def _name(urn: str) -> str:
    return urn.rpartition("::")[2]


def _short_type(token: str) -> str:
    """Return ``v1/PersistentVolumeClaim`` for ``kubernetes:core/v1:PersistentVolumeClaim``, ``weighbridge/X`` for
    ``weighbridge:index:X``.
    """
    package, _, rest = token.partition(":")
    module, _, kind = rest.rpartition(":")
    group = module.removeprefix("core/") if package == "kubernetes" else package
    return f"{group}/{kind}"
