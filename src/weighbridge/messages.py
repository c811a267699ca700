"""Results → JSON for ``--json``: one object on standard output, ``{"type": …}`` first, names stable (docs/cli.md)."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from weighbridge.core.finding import Diagnosis, Level
from weighbridge.core.plan import Plan
from weighbridge.core.results import Applied, DestroyedAll, Status, Verified
from weighbridge.core.run import journal_facts
from weighbridge.core.step import PlannedStep, Verification
from weighbridge.domain.access import Role
from weighbridge.domain.digest import Json
from weighbridge.domain.stacks import StackPreview
from weighbridge.errors import InputErrors, WeighbridgeError
from weighbridge.grants import Grants

if TYPE_CHECKING:
    from weighbridge.sized import Sized


def plan_message(plan: Plan) -> Json:
    """``{"type": "plan", "digest": str, "pending": bool, "bytes_to_move": bytes, "steps": [{"key", "name", "item", "needs", …}],
    "entries": […], "stacks": {…}, "warnings": […]}``. ``digest`` is what ``apply --plan-digest`` takes.
    """
    return {
        "type": "plan",
        "environment": plan.environment,
        "cluster_uid": plan.cluster.uid,
        "digest": plan.digest,
        "pending": plan.pending,
        "bytes_to_move": plan.bytes_to_move,
        "steps": [_planned(planned) for planned in plan.steps],
        **plan.message,
        "stacks": {name: _preview(preview) for name, preview in plan.previews.items()},
        "warnings": list(plan.warnings),
    }


def applied_message(applied: Applied, rss: int) -> Json:
    """``{"type": "applied", "complete": bool, "changed": bool, "steps": […], "receipts": […], "errors": […], "warnings": […]}``."""
    return {
        "type": "applied",
        "environment": applied.plan.environment,
        "plan": applied.plan.digest,
        "complete": applied.complete,
        "changed": applied.changed,
        "seconds": round(applied.seconds, 3),
        "max_rss_bytes": rss,
        "steps": journal_facts(applied.results),
        "receipts": [],
        **applied.adds,
        "errors": [_error(failure.error) for failure in applied.failures],
        "warnings": list(applied.plan.warnings),
    }


def verified_message(verified: Verified, environment: str) -> Json:
    """``{"type": "verified", "sound": bool, "models": [{"model", "verdict", "damaged", "set_digest"}], …}``."""
    failures = verified.failures

    def row(item: Verification) -> Json:
        failed = failures.get(item.item)
        return {**item.row, "error": _error(failed) if failed else None}

    return {
        "type": "verified",
        "environment": environment,
        "sound": not verified.damaged and not failures,
        "seconds": round(verified.seconds, 3),
        "models": [row(item) for item in verified.items],
    }


def status_message(status: Status, environment: str) -> Json:
    """``{"type": "status", "operator": …, "models": [{"model", "registered", "entry", "entry_owner", "claim", "receipt"}],
    "entries": […], "warnings": […]}``. ``entry`` is the live one of that id; ``entry_owner``: ``ours`` (as we wrote it), ``edited``
    (ours, changed by somebody since), ``foreign`` (somebody else's) or null (there is none); ``registered``: it is ours.
    """

    def row(item: str) -> dict[str, Json]:
        found: dict[str, Json] = {"model": item}
        for part in status.parts.values():
            found |= part.items[item].row if item in part.items else {}
        return found

    message: Mapping[str, Json] = {
        key: value for part in status.parts.values() for key, value in part.message.items()
    }
    return {
        "type": "status",
        "environment": environment,
        "namespace": status.namespace,
        **message,
        "models": [row(item) for item in status.items],
        "warnings": list(status.warnings),
    }


def destroyed_message(destroyed: DestroyedAll, environment: str) -> Json:
    """``{"type": "destroyed", "removed": […], "kept_claims": […]}``."""
    return {
        "type": "destroyed",
        "environment": environment,
        "removed": [
            {"type": change.type, "name": change.name, "op": change.op.value} for change in destroyed.removed
        ],
        **destroyed.message,
    }


def rbac_message(grants: Grants, written: tuple[Path, ...]) -> Json:
    """``{"type": "rbac", "subject": str, "files": […], "rules": [{"rule", "roles", "why", "optional"}], "warnings": […]}``."""
    return {
        "type": "rbac",
        "environment": grants.environment.name,
        "subject": str(grants.subject),
        "files": [str(path) for path in written],
        "rules": [
            {
                "rule": rule.as_yaml(),
                "roles": [role.value for role in Role if role in rule.needed_by],
                "why": rule.why,
                "optional": rule.optional,
            }
            for rule in grants.rules
        ],
        "warnings": [*grants.warnings],
    }


def sized_message(found: "tuple[Sized, ...]") -> Json:
    """``{"type": "sized", "models": [{"model", "parameters", "parameters_from", "precision", "precision_from", "terms": [{"what", "how",
    "gb"}], "gpu_memory_gb", "gpus", "gpu_gb", "cpus", "memory_gb", "files_bytes", "claim_bytes", "cache_bytes", "mig_gb",
    "hardware_specification": {…}, "warnings": […]}]}``. GB: 10^9 bytes, as numbers in text, exact. ``cache_bytes`` and ``mig_gb`` may be null.
    """
    return {
        "type": "sized",
        "models": [
            {
                "model": one.model_id,
                "parameters": one.parameters,
                "parameters_from": one.parameters_from,
                "precision": one.precision.value,
                "precision_from": one.precision_from,
                "terms": [
                    {"what": term.what, "how": term.how, "gb": str(term.gb)} for term in one.hardware.terms
                ],
                "gpu_memory_gb": str(one.hardware.gpu_memory_gb),
                "gpus": one.hardware.gpus,
                "gpu_gb": one.gpu_gb,
                "cpus": one.hardware.cpus,
                "memory_gb": one.hardware.memory_gb,
                "files_bytes": one.files_bytes,
                "claim_bytes": one.claim_bytes,
                "cache_bytes": one.cache_bytes,
                "mig_gb": one.mig_gb,
                "hardware_specification": dict(one.specification),
                "warnings": [*one.warnings],
            }
            for one in found
        ],
    }


def diagnosed_message(diagnosis: Diagnosis, request: Path | None) -> Json:
    """``{"type": "diagnosed", "healthy": bool, "ok": n, "warn": n, "fail": n, "user": …, "request": path or null, "findings": [{"area", "name",
    "level", "said", "remedy", "for_administrators"}], "missing_rules": [{"apiGroups", "resources", "verbs", "resourceNames", "namespaced",
    "optional", "why"}]}``. ``level``: ``ok``, ``warn`` or ``fail``.
    """
    return {
        "type": "diagnosed",
        "environment": diagnosis.environment,
        "cluster": diagnosis.where,
        "user": diagnosis.user,
        "healthy": diagnosis.healthy,
        **{level.value: diagnosis.count(level) for level in Level},
        "request": None if request is None else str(request),
        "findings": [
            {
                "area": finding.area,
                "name": finding.name,
                "level": finding.level.value,
                "said": finding.said,
                "remedy": finding.remedy,
                "for_administrators": finding.theirs and finding.level is not Level.OK,
            }
            for finding in diagnosis.findings
        ],
        "missing_rules": [
            {
                "apiGroups": [rule.group],
                "resources": [rule.path],
                "verbs": list(rule.verbs),
                "resourceNames": list(rule.names),
                "namespaced": rule.namespaced,
                "optional": rule.optional,
                "why": rule.why,
            }
            for rule in diagnosis.missing
        ],
    }


def error_message(error: WeighbridgeError) -> Json:
    """``{"type": "error", "exit_code": n, "errors": [{"code", "what", "remedy", "file", "line", "column", "key"}]}``."""
    errors: tuple[WeighbridgeError, ...] = error.errors if isinstance(error, InputErrors) else (error,)
    return {"type": "error", "exit_code": error.exit_code, "errors": [_error(item) for item in errors]}


def _error(error: WeighbridgeError) -> Json:
    place = error.place
    return {
        "code": error.code,
        "what": error.what,
        "remedy": error.remedy,
        "file": place.file if place else None,
        "line": place.line if place else None,
        "column": place.column if place else None,
        "key": place.key if place else None,
    }


def _planned(planned: PlannedStep) -> Json:
    return {
        "key": planned.key,
        "name": planned.step,
        "item": planned.item,
        "needs": [*sorted(planned.needs)],
        "title": planned.value.title,
        "pending": planned.pending,
        "reason": planned.reason,
        "bytes_to_move": planned.bytes_to_move,
        "step": planned.value.as_json(),
    }


def _preview(preview: StackPreview) -> Json:
    return {
        "unchanged": preview.unchanged,
        "changes": [
            {
                "type": change.type,
                "name": change.name,
                "op": change.op.value,
                "drifted": change.drifted,
                "diffs": [dataclasses.asdict(diff) for diff in change.diffs],
            }
            for change in preview.changes
        ],
    }
