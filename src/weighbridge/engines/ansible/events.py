"""Read ansible-runner's events of one playbook run: progress, results, and the failure if any. Without side effects."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from weighbridge.core.events import Event, FileVerified, Note, TransferProgress, Warned
from weighbridge.domain.digest import Json
from weighbridge.domain.receipts import from_json
from weighbridge.domain.weights import Receipt
from weighbridge.errors import (
    PreconditionError,
    StepFailedError,
    VerificationError,
    WeighbridgeError,
)
from weighbridge.kubernetes.denials import forbidden

COLLECTION = "weighbridge.byom"
REMOVALS = ("/roles/weights/tasks/remove.yml:", "/roles/weights/tasks/clean_up.yml:")
"""Files of the tasks that look for short-lived objects and remove them, as in an event's ``task_path`` (``PATH:LINE``)."""
_REFUSALS = {400, 403, 404, 422}


@dataclass(slots=True)
class Collected:
    """What one run has reported so far."""

    receipts: str
    """Name of the receipts ConfigMap."""
    receipt_key: str
    state: Mapping[str, Any] = field(default_factory=dict)
    """Result of ``weights_state``."""
    job: Mapping[str, Any] = field(default_factory=dict)
    """The last mover's termination message."""
    pushed: Mapping[str, Any] = field(default_factory=dict)
    receipt: Receipt | None = None
    """The receipt that this run wrote."""
    changed: bool = False
    failure: WeighbridgeError | None = None
    tidy: bool = True
    """Whether all objects that should be removed were removed."""
    output: list[str] = field(default_factory=list)
    """Output outside any task: Ansible's own messages if it cannot start."""

    def take(self, raw: Mapping[str, Any]) -> Iterator[Event]:
        """Take one event of ansible-runner; yield the events for an observer."""
        kind, data = raw.get("event"), raw.get("event_data") or {}
        if kind == "verbose":
            yield from self._spoken(str(raw.get("stdout") or ""))
        elif kind == "runner_on_ok":
            self._ended(data.get("task_action") or "", data.get("res") or {})
        elif kind in {"runner_on_failed", "runner_on_unreachable"} and not data.get("ignore_errors"):
            error = self._failed(data)
            self.tidy &= not any(place in str(data.get("task_path")) for place in REMOVALS)
            if self.failure is None:
                self.failure = error
            else:
                yield Warned(f"afterwards: {error.what}")

    def _spoken(self, text: str) -> Iterator[Event]:
        for line in text.splitlines():
            event = _json_object(line)
            if event is not None and "event" in event:
                found = to_event(event)
                if found is not None:
                    yield found
            elif line.strip():
                self.output.append(line.strip())

    def _ended(self, action: str, result: Mapping[str, Any]) -> None:
        self.changed |= bool(result.get("changed"))
        if action == f"{COLLECTION}.weights_state":
            self.state = result
        elif action == f"{COLLECTION}.follow_job":
            self.job = result.get("result") or {}
        elif action == f"{COLLECTION}.weights_push":
            self.pushed = result
        elif action == "kubernetes.core.k8s":
            self._recorded(result.get("result") or {})

    def _recorded(self, found: Mapping[str, Any]) -> None:
        if (found.get("metadata") or {}).get("name") == self.receipts and found.get("kind") == "ConfigMap":
            self.receipt = from_json(found["data"][self.receipt_key])

    def _failed(self, data: Mapping[str, Any]) -> WeighbridgeError:
        result = data.get("res") or {}
        if data.get("task_action") == f"{COLLECTION}.follow_job" and isinstance(
            result.get("result"), Mapping
        ):
            self.job = result["result"]
        ours = result.get("weighbridge")
        if isinstance(ours, Mapping):
            return error_from(ours, tuple(str(line) for line in result.get("last_lines") or ()))
        return _foreign_failure(str(data.get("task") or "a task"), result)


def to_event(event: Mapping[str, Any]) -> Event | None:
    """Return a line of the mover or of a plugin as an event; ``None`` for lines that nobody needs."""
    model_id = str(event.get("model_id", ""))
    match event.get("event"):
        case "progress":
            return TransferProgress(
                model_id,
                phase=str(event.get("phase", "")),
                bytes=int(event.get("bytes", 0)),
                total=int(event.get("total", 0)),
                rate=float(event.get("rate", 0.0)),
            )
        case "file":
            return FileVerified(
                model_id, str(event.get("path")), int(event.get("size", 0)), str(event.get("sha256"))
            )
        case "note":
            return Note(f"{model_id}: {event.get('text')}" if model_id else str(event.get("text")))
        case "problem":
            return Warned(f"{model_id}: {event.get('path')} is {event.get('reason')}")
    return None


def error_from(said: Mapping[str, Json], last_lines: tuple[str, ...] = ()) -> WeighbridgeError:
    """Return the failure that one of our plugins put into its result."""
    what, code = str(said.get("what")), str(said.get("code"))
    remedy = None if said.get("remedy") is None else str(said["remedy"])
    if last_lines:
        what = f"{what}; its last words: {' | '.join(last_lines[-3:])}"
    if said.get("exit_code") == PreconditionError.exit_code:
        return PreconditionError(what, remedy=remedy, code=code)
    if said.get("exit_code") == VerificationError.exit_code:
        return VerificationError(what, remedy=remedy, code=code)
    return StepFailedError(what, remedy=remedy, code=code, transient=bool(said.get("transient")))


def _foreign_failure(task: str, result: Mapping[str, Any]) -> WeighbridgeError:
    """Return the failure of a module that is not ours, with the API server's own sentence if there is one."""
    text = str(result.get("msg") or result.get("module_stderr") or "no message").strip()
    status = _status_in(text)
    if status is not None:
        message, code = str(status.get("message", text)), status.get("code")
        if (denied := forbidden(message)) is not None:
            return denied
        if code in _REFUSALS:
            return PreconditionError(
                f"the cluster refuses to {task[:1].lower()}{task[1:]}: {message}", code=f"kubernetes-{code}"
            )
        text = message
    return StepFailedError(
        f"{task}: {' '.join(text.split())}",
        remedy="run the command again; if it fails the same way, look at what the task names",
        code="task-failed",
        transient=True,
    )


def _status_in(text: str) -> Mapping[str, Any] | None:
    """Return the Kubernetes ``Status`` in a message of kubernetes.core, written as a bytes literal or as JSON."""
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start:
        return None
    body = text[start : end + 1]
    # In b'…', quotes and backslashes are escaped once more.
    return _json_object(body) or _json_object(body.replace('\\\\"', '\\"').replace("\\'", "'"))


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
