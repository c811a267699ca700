"""Results → JSON for ``--json``: one object on standard output, ``{"type": …}`` first, names stable (docs/cli.md)."""

import dataclasses
from pathlib import Path

from weighbridge.core.plan import Plan, PlannedStep
from weighbridge.core.run import journal_facts
from weighbridge.core.session import Applied, Destroyed, Status, Verified
from weighbridge.doctor.finding import Diagnosis, Level
from weighbridge.domain.digest import Json
from weighbridge.domain.facts import ClaimFacts, PlannedEntry
from weighbridge.domain.permissions import Role
from weighbridge.domain.stacks import StackPreview, StackResult
from weighbridge.domain.weights import Receipt
from weighbridge.errors import InputErrors, WeighbridgeError
from weighbridge.manifests.grants import Grants


def plan_message(plan: Plan) -> Json:
    """``{"type": "plan", "pending": bool, "bytes_to_move": bytes, "steps": […], "entries": […], "stacks": {…}, "warnings": […]}``."""
    stacks = {
        preview.stack: _preview(preview)
        for preview in (plan.facts.storage, plan.facts.registration)
        if preview
    }
    return {
        "type": "plan",
        "environment": plan.environment,
        "cluster_uid": plan.facts.cluster.uid,
        "digest": plan.digest,
        "pending": plan.pending,
        "bytes_to_move": plan.bytes_to_move,
        "steps": [_planned(planned) for planned in plan.steps],
        "entries": [_entry(entry) for entry in plan.facts.entries],
        "stacks": stacks,
        "warnings": list(plan.facts.warnings),
    }


def applied_message(applied: Applied, rss: int) -> Json:
    """``{"type": "applied", "complete": bool, "changed": bool, "steps": […], "receipts": […], "errors": […], "warnings": […]}``."""
    receipts = [
        result.report.receipt for result in applied.results if result.report and result.report.receipt
    ]
    return {
        "type": "applied",
        "environment": applied.plan.environment,
        "plan": applied.plan.digest,
        "complete": applied.complete,
        "changed": applied.changed,
        "seconds": round(applied.seconds, 3),
        "max_rss_bytes": rss,
        "steps": journal_facts(applied.results),
        "receipts": [_receipt(receipt) for receipt in receipts],
        "errors": [_error(failure.error) for failure in applied.failures],
        "warnings": list(applied.plan.facts.warnings),
    }


def verified_message(verified: Verified, environment: str) -> Json:
    """``{"type": "verified", "sound": bool, "models": [{"model", "verdict", "damaged", "set_digest"}], …}``."""
    models: list[Json] = []
    for model_id, report in verified.reports.items():
        failed = verified.failures.get(model_id)
        receipt = report.receipt
        models.append(
            {
                "model": model_id,
                "verdict": None if failed or receipt is None else receipt.verdict,
                "damaged": list(receipt.damaged) if receipt else [],
                "set_digest": receipt.set_digest if receipt else None,
                "mover_rss_bytes": report.mover_rss_bytes,
                "error": _error(failed) if failed else None,
            }
        )
    sound = not verified.damaged and not verified.failures
    return {
        "type": "verified",
        "environment": environment,
        "sound": sound,
        "seconds": round(verified.seconds, 3),
        "models": models,
    }


def status_message(status: Status, environment: str) -> Json:
    """``{"type": "status", "operator": …, "models": [{"model", "registered", "entry", "entry_owner", "claim", "receipt"}],
    "entries": […], "warnings": […]}``. ``entry`` is the live one of that id; ``entry_owner``: ``ours`` (as we wrote it), ``edited``
    (ours, changed by somebody since), ``foreign`` (somebody else's) or null (there is none); ``registered``: it is ours.
    """
    return {
        "type": "status",
        "environment": environment,
        "namespace": status.namespace,
        "custom_resource": status.custom_resource,
        "operator": status.operator,
        "unreconciled": status.unreconciled,
        "models": [
            {
                "model": model.model_id,
                "registered": model.registered,
                "entry": dict(model.entry.value) if model.entry else None,
                "entry_owner": model.entry.owner if model.entry else None,
                "claim": _claim(model.claim) if model.claim else None,
                "receipt": _receipt(model.receipt) if model.receipt else None,
            }
            for model in status.models
        ],
        "entries": [entry.model_id for entry in status.entries],
        "warnings": list(status.warnings),
    }


def destroyed_message(destroyed: Destroyed, environment: str) -> Json:
    """``{"type": "destroyed", "removed": […], "kept_claims": […]}``."""
    removed: list[Json] = []
    for result in (destroyed.registration, destroyed.storage):
        removed += _changes(result) if result else []
    return {
        "type": "destroyed",
        "environment": environment,
        "removed": removed,
        "kept_claims": list(destroyed.kept),
        "operator": destroyed.operator,
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
        "title": planned.step.title,
        "pending": planned.pending,
        "reason": planned.reason,
        "bytes_to_move": planned.bytes_to_move,
        "step": planned.step.as_json(),
    }


def _entry(entry: PlannedEntry) -> Json:
    return {"model_id": entry.model_id, "fate": entry.fate, "changes": list(entry.changes)}


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


def _changes(result: StackResult) -> list[Json]:
    return [{"type": change.type, "name": change.name, "op": change.op.value} for change in result.changes]


def _receipt(receipt: Receipt) -> Json:
    return {**dataclasses.asdict(receipt), "damaged": list(receipt.damaged)}


def _claim(claim: ClaimFacts) -> Json:
    return dataclasses.asdict(claim)
