"""Results → what a person reads. Pure: values in, text out."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from weighbridge.core.plan import Plan, PlannedStep
from weighbridge.core.session import Applied, Destroyed, ModelStatus, Status, Verified
from weighbridge.doctor.finding import Diagnosis, Level
from weighbridge.domain import human
from weighbridge.domain.facts import EntryOwner, PlannedEntry
from weighbridge.domain.permissions import Role, of_role
from weighbridge.domain.stacks import Op, ResourceChange
from weighbridge.domain.steps import DeclareStack, SyncWeights
from weighbridge.manifests.grants import PURPOSE, Grants

_FATES = {"add": "+", "update": "~", "keep": "=", "remove": "-", "foreign": " "}
_OPS = {"create": "+", "update": "~", "replace": "!", "delete": "-", "import": "<"}


_REGISTERED: Mapping[EntryOwner | None, str] = {
    "ours": "registered",
    "edited": "registered, but somebody has edited the entry since",
    "foreign": "not registered: the entry of this id is somebody else's",
    None: "not registered",
}


def plan_screen(plan: Plan, environment: str) -> str:
    """The plan step by step, then the custom resource's list entry by entry."""
    facts = plan.facts
    lines = [f"Plan for {plan.environment} on {facts.where}, namespace {facts.cluster.namespace}", ""]
    for planned in plan.steps:
        lines += _planned(planned, plan)
    lines += ["", f"spec.custom_foundation_models of {plan.custom_resource}, entry by entry:"]
    lines += [f"  {line}" for line in _entries(facts.entries)] or ["  (empty)"]
    lines += [f"! {warning}" for warning in facts.warnings]
    lines.append("")
    pending = sum(planned.pending for planned in plan.steps)
    if not pending:
        lines.append("No changes: everything is as the environment file says.")
    else:
        steps = human.count(pending, "step")
        lines.append(
            f"{steps} to do, {human.size(plan.bytes_to_move)} to move. Make it so: weighbridge apply {environment}"
        )
    return "\n".join(lines)


def applied_screen(applied: Applied, environment: str, orchestrator_rss: int) -> str:
    """What an apply did, what it proved, and what is left to do."""
    lines: list[str] = []
    receipts = {
        result.report.receipt.model_id: (result.report, result.report.receipt)
        for result in applied.results
        if result.report is not None and result.report.receipt is not None
    }
    for model_id, (report, receipt) in receipts.items():
        moved = f"{human.size(report.bytes_moved)} moved" if report.bytes_moved else "nothing to move"
        lines.append(
            f"  {model_id}: {human.count(receipt.files, 'file')}, {human.size(receipt.total_bytes)}; {moved} by {receipt.route}"
        )
        lines.append(f"    set {receipt.set_digest}")
        lines.append(f"    at  {receipt.claim}:{receipt.sub_path}")
        if report.files_repaired:
            lines.append(f"    repaired {', '.join(report.files_repaired)}")
        if report.mover_rss_bytes:
            lines.append(f"    mover's peak memory {human.size(report.mover_rss_bytes)}")
    failures = [failure.error for failure in applied.failures]
    lines += [f"  ✗ {error}".replace("\n", "\n    ") for error in failures]
    took = human.duration(applied.seconds)
    memory = f"peak memory of this process {human.size(orchestrator_rss)}"
    if failures:
        lines.append(
            f"Not finished after {took}; what succeeded stays. Run it again when the cause is mended: weighbridge apply {environment}"
        )
    elif applied.changed:
        lines.append(f"Applied in {took}; {memory}.")
    else:
        count = len(applied.results)
        lines.append(
            f"Unchanged: all {human.count(count, 'step')} hold already. Nothing was written, no pod was started. {took}; {memory}."
        )
    return "\n".join(lines)


def verified_screen(verified: Verified, environment: str) -> str:
    """What was read, and every file that is not what it should be."""
    lines: list[str] = []
    for model_id, report in verified.reports.items():
        receipt = report.receipt
        if model_id in verified.failures:
            lines.append(f"  ✗ {model_id}: {verified.failures[model_id]}".replace("\n", "\n    "))
        elif receipt is None:
            lines.append(f"  ✗ {model_id}: no receipt came back")
        elif receipt.verdict == "damaged":
            lines.append(f"  ✗ {model_id}: damaged on volume {receipt.claim}, below {receipt.sub_path}:")
            lines += [f"      {path}" for path in receipt.damaged]
        else:
            files = human.count(receipt.files, "file")
            lines.append(
                f"  ✓ {model_id}: {files}, {human.size(receipt.total_bytes)}, set {receipt.set_digest}"
            )
    took = human.duration(verified.seconds)
    if verified.damaged:
        lines.append(
            f"Stored bytes are not the source's bytes. Mend them: weighbridge apply {environment}  ({took})"
        )
    elif verified.failures:
        lines.append(f"Not everything could be verified ({took}).")
    else:
        lines.append(f"Every byte was read in the cluster and is the source's ({took}).")
    return "\n".join(lines)


def status_screen(status: Status) -> str:
    """What is in place, model by model, then the custom resource."""
    lines = [f"{status.where}, namespace {status.namespace}", ""]
    for model in status.models:
        lines += _model_status(model)
    lines += ["", f"{status.custom_resource}: {status.operator}"]
    if status.unreconciled:
        lines.append(f"  not reconciled: {status.unreconciled}")
    owners = {model.model_id: model.entry.owner for model in status.models if model.entry is not None}
    words = {"ours": "ours", "edited": "ours, edited since by somebody", "foreign": "not ours"}
    for entry in status.entries:
        lines.append(f"  {entry.model_id}  ({words[owners.get(entry.model_id, 'foreign')]})")
    lines += [f"! {warning}" for warning in status.warnings]
    return "\n".join(lines)


def destroyed_screen(destroyed: Destroyed, environment: str) -> str:
    """What is gone and what stays."""
    lines = [f"  - {change.type} {change.name}" for change in destroyed.registration.changes]
    lines.append(
        f"Registrations of ours are gone; other teams' entries were not touched. Operator: {destroyed.operator}."
    )
    if destroyed.storage is not None:
        lines += [f"  - {change.type} {change.name}" for change in destroyed.storage.changes]
        lines.append("The volumes named are gone, with their weights.")
    if destroyed.kept:
        lines.append(f"Kept, with their weights: {', '.join(destroyed.kept)}.")
        typed = " ".join(f"--weights {name}" for name in destroyed.kept)
        lines.append(f"To delete them too: weighbridge destroy {environment} {typed}")
    return "\n".join(lines)


def diagnosed_screen(diagnosis: Diagnosis, request: Path | None) -> str:
    """Line by line, grouped by area, each that is not ok with what to do; then the counts."""
    marks = {Level.OK: "✓", Level.WARN: "!", Level.FAIL: "✗"}
    lines = [f"Doctor for {diagnosis.environment} on {diagnosis.where or 'no cluster'}"]
    for area in dict.fromkeys(finding.area for finding in diagnosis.findings):
        lines += ["", area]
        for finding in diagnosis.findings:
            if finding.area != area:
                continue
            lines.append(f"  {marks[finding.level]} {finding.name}: {finding.said}")
            if finding.remedy is not None and finding.level is not Level.OK:
                lines.append(f"      → {finding.remedy}")
    counts = ", ".join(f"{diagnosis.count(level)} {level.value}" for level in Level)
    lines += ["", f"{counts}."]
    if request is not None:
        lines.append(f"To be sent to the cluster's administrators: {request}")
    return "\n".join(lines)


def _planned(planned: PlannedStep, plan: Plan) -> Iterable[str]:
    step = planned.step
    mark = "•" if planned.pending else "="
    yield f"{mark} {step.title}: {planned.reason}"
    if isinstance(step, SyncWeights):
        routes = " or ".join(route.value for route in step.routes)
        what = f"{human.count(step.files, 'file')}, {human.size(step.total_bytes)}"
        yield f"    {what} by {routes} → {step.claim}:{step.sub_path}"
        if planned.pending:
            yield f"    {human.size(planned.bytes_to_move)} to move"
    elif isinstance(step, DeclareStack) and planned.pending:
        objects: tuple[Mapping[str, Any], ...] = plan.facts.claims
        claims = {claim["metadata"]["name"]: _claim(claim) for claim in objects}
        for preview in (plan.facts.storage, plan.facts.registration):
            if preview is not None and preview.stack == step.stack:
                for change in preview.changes:
                    yield from _change(change, claims.get(change.name, ""))


def _claim(claim: Mapping[str, Any]) -> str:
    spec = claim["spec"]
    wanted = [spec["resources"]["requests"]["storage"], spec.get("storageClassName"), *spec["accessModes"]]
    return "  " + ", ".join(str(part) for part in wanted if part)


def _change(change: ResourceChange, about: str) -> Iterable[str]:
    note = "  (edited from outside)" if change.drifted else ""
    if change.op is Op.IMPORT:
        note = "  (in the cluster, not in the state: will be taken into the state)"
    yield f"    {_OPS[change.op.value]} {change.type} {change.name}{about}{note}"
    for diff in change.diffs:
        yield f"        {diff.path}: {diff.before!r} → {diff.after!r}"


def _entries(entries: Iterable[PlannedEntry]) -> Iterable[str]:
    words = {
        "foreign": "not ours, stays as it is",
        "add": "new",
        "update": "changes",
        "keep": "ours, unchanged",
        "remove": "goes",
    }
    for entry in entries:
        yield f"{_FATES[entry.fate]} {entry.model_id}  ({words[entry.fate]})"
        for change in entry.changes:
            yield f"    {change}"


def _model_status(model: ModelStatus) -> Iterable[str]:
    receipt, claim = model.receipt, model.claim
    owner = model.entry.owner if model.entry is not None else None
    registered = _REGISTERED[owner]
    if receipt is None:
        yield f"  {model.model_id}: no weights published, {registered}"
    else:
        mark = "✓" if receipt.verdict == "verified" and owner == "ours" else "!"
        files = human.count(receipt.files, "file")
        yield f"{mark} {model.model_id}: {receipt.verdict} {receipt.verified_at}, {registered}"
        yield f"    {files}, {human.size(receipt.total_bytes)}, set {receipt.set_digest}, by {receipt.route}"
        yield f"    at {receipt.claim}:{receipt.sub_path}"
        if receipt.damaged:
            yield f"    damaged: {', '.join(receipt.damaged)}"
    if claim is None:
        yield "    its volume does not exist"
    elif claim.phase != "Bound":
        yield f"    volume {claim.name} is {claim.phase}"


def rbac_screen(grants: Grants, written: tuple[Path, ...]) -> str:
    """Which file is for whom, what is in each Role, and how to apply them."""
    lines = [f"For {grants.subject}, namespace {grants.environment.cluster.namespace}:"]
    lines += [f"  {path}  {PURPOSE[path.name]}" for path in written]
    for role in Role:
        rules = of_role(grants.rules, role, namespaced=True)
        needed = [rule for rule in rules if not rule.optional]
        lines.append(
            f"  Role {role.value:<8} {_ROLES[role]}: {human.count(len(rules), 'rule')}, {len(needed)} of them indispensable"
        )
    lines += [f"! {warning}" for warning in grants.warnings]
    lines += [
        "",
        "Who administers the cluster and the namespace applies them, and again whenever models, routes,",
    ]
    lines += ["credentials or pods of the file change:", f"  kubectl apply -f {written[0].parent}"]
    if grants.subject.made and grants.subject.account is not None:
        namespace, name = grants.subject.account
        lines += [
            "A login for whoever runs weighbridge, for an hour:",
            f"  kubectl create token -n {namespace} {name}",
        ]
    return "\n".join(lines)


_ROLES: Mapping[Role, str] = {
    Role.PLAN: "looks: plan, status",
    Role.WEIGHTS: "looks, volumes, weights: apply, verify",
    Role.SWITCH: "looks, registers: apply, destroy",
}
