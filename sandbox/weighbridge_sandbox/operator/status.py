"""The status of a Watsonxaiifm through one reconciliation, as pure functions from status to status.

Keys and values of IBM's own part (watsonxaiifmStatus, progress, versions) are the documented ones. Conditions follow
operator-framework's ansible-operator (internal/ansible/controller: reconcile.go, status/utils.go): which are set when,
which keep their lastTransitionTime, and that a finished run says Running=True with reason Successful.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Status = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Tally:
    """Ansible's play recap for one run, and when it ended (UTC)."""

    ok: int
    changed: int
    skipped: int
    failures: int
    completion: datetime

    def as_result(self, *, offset: bool) -> dict[str, Any]:
        """The condition's ansibleResult; ``offset`` appends +00:00 to the completion time."""
        return {
            "ok": self.ok,
            "changed": self.changed,
            "skipped": self.skipped,
            "failures": self.failures,
            "completion": self.completion.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
            + ("+00:00" if offset else ""),
        }


def running(before: Mapping[str, Any], now: datetime) -> Status:
    """The run has begun: Running, no longer Successful, nothing done yet. Failure is left as the last run set it."""
    conditions = _conditions(before)
    if (successful := _find(conditions, "Successful")) is not None:
        _set(conditions, {**successful, "status": "False"}, now)
    _set(conditions, _condition("Running", "True", "Running", "Running reconciliation"), now)
    return _own(before, conditions, "InProgress", "0%", "Reconciliation started")


def progressing(before: Mapping[str, Any], percent: int, message: str) -> Status:
    """The same run, ``percent`` (0 to 99) further on."""
    return _own(before, _conditions(before), "InProgress", f"{percent}%", message)


def succeeded(
    before: Mapping[str, Any], tally: Tally, *, version: str | None, offset: bool = False
) -> Status:
    """Everything is as the spec asks; ``version`` becomes versions.reconciled."""
    now = tally.completion
    conditions = _conditions(before)
    done = _condition("Running", "True", "Successful", "Awaiting next reconciliation")
    _set(conditions, {**done, "ansibleResult": tally.as_result(offset=offset)}, now)
    _set(conditions, _condition("Successful", "True", "Successful", "Last reconciliation succeeded"), now)
    _set(conditions, _condition("Failure", "False", "", ""), now)
    status = _own(before, conditions, "Completed", "100%", "The Current Operation Is Completed")
    if version is not None:
        status["versions"] = {"reconciled": version}
    return status


def failed(before: Mapping[str, Any], tally: Tally, message: str, *, offset: bool = False) -> Status:
    """The run stopped with ``message``; progress stays where it was."""
    now = tally.completion
    conditions = _conditions(before)
    if (was_running := _find(conditions, "Running")) is not None:
        _set(conditions, {**was_running, "status": "False"}, now)
    failure = _condition("Failure", "True", "Failed", message)
    _set(conditions, {**failure, "ansibleResult": tally.as_result(offset=offset)}, now)
    _set(conditions, _condition("Successful", "False", "", ""), now)
    return _own(before, conditions, "Failed", str(before.get("progress", "0%")), message)


def _own(
    before: Mapping[str, Any], conditions: list[dict[str, Any]], state: str, progress: str, message: str
) -> Status:
    return {
        **before,
        "watsonxaiifmStatus": state,
        "progress": progress,
        "progressMessage": message,
        "conditions": conditions,
    }


def _conditions(status: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = status.get("conditions")
    if not isinstance(found, list):
        return []
    return [dict(one) for one in found if isinstance(one, Mapping) and isinstance(one.get("type"), str)]


def _condition(kind: str, status: str, reason: str, message: str) -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def _find(conditions: list[dict[str, Any]], kind: str) -> dict[str, Any] | None:
    return next((one for one in conditions if one.get("type") == kind), None)


def _set(conditions: list[dict[str, Any]], new: dict[str, Any], now: datetime) -> None:
    """Put ``new`` last, as SetCondition does: same status and reason is no change, except for Failure."""
    current = _find(conditions, new["type"])
    transition = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if current is not None and current.get("status") == new["status"]:
        if new["type"] != "Failure" and current.get("reason") == new["reason"]:
            return
        transition = current.get("lastTransitionTime", transition)
    conditions[:] = [one for one in conditions if one.get("type") != new["type"]]
    conditions.append({**new, "lastTransitionTime": transition})
