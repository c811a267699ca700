"""Results as text for people. Pure. The texts about a step come from the step. Each line stays one, whatever it quotes."""

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final

from weighbridge.core.finding import Diagnosis, Level
from weighbridge.core.plan import Plan
from weighbridge.core.results import Applied, DestroyedAll, Status, Verified
from weighbridge.core.step import PlannedStep
from weighbridge.domain import human
from weighbridge.domain.access import Role, of_role
from weighbridge.domain.visible import as_text, error_lines, json_text
from weighbridge.grants import PURPOSE, Grants

if TYPE_CHECKING:
    from weighbridge.sized import Sized

_BAR: Final = 40
"""Characters."""


def plan_screen(plan: Plan, environment: str) -> str:
    """Return the plan step by step, further lines of the steps, the totals, and the digest for the reviewer."""
    lines = [f"Plan for {plan.environment} on {plan.where}, namespace {plan.cluster.namespace}", ""]
    for planned in plan.steps:
        lines += _planned(planned)
    if plan.epilogue:
        lines += ["", *plan.epilogue]
    lines += [f"! {warning}" for warning in plan.warnings]
    lines.append("")
    pending = sum(planned.pending for planned in plan.steps)
    if not pending:
        lines.append("No changes: everything is as the environment file says.")
    else:
        steps = human.count(pending, "step")
        lines += [
            f"{steps} to do, {human.size(plan.bytes_to_move)} to move. Make it so: weighbridge apply {environment}",
            f"To allow this and no more: --plan-digest {plan.digest}",
        ]
    return as_text(lines)


def applied_screen(applied: Applied, environment: str, orchestrator_rss: int) -> str:
    """Return what an apply did, what it verified, and what is left to do."""
    lines = [f"  {line}" for line in applied.lines]
    failures = [failure.error for failure in applied.failures]
    for error in failures:
        head, *rest = error_lines(error)
        lines += [f"  ✗ {head}", *(f"    {line}" for line in rest)]
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
    return as_text(lines)


def verified_screen(verified: Verified, environment: str) -> str:
    """Return what was read, and everything that is wrong."""
    lines = [f"  {line}" for item in verified.items for line in item.lines]
    took = human.duration(verified.seconds)
    if verified.damaged:
        lines.append(
            f"Stored bytes are not the source's bytes. Mend them: weighbridge apply {environment}  ({took})"
        )
    elif verified.failures:
        lines.append(f"Not everything could be verified ({took}).")
    else:
        lines.append(f"Every byte was read in the cluster and is the source's ({took}).")
    return as_text(lines)


def status_screen(status: Status) -> str:
    """Return what is in place, item by item, then what belongs to no item."""
    lines = [f"{status.where}, namespace {status.namespace}", ""]
    for item in status.items:
        lines += _item_status(item, status)
    lines += ["", *(line for part in status.parts.values() for line in part.lines)]
    lines += [f"! {warning}" for warning in status.warnings]
    return as_text(lines)


def destroyed_screen(destroyed: DestroyedAll) -> str:
    """Return what was deleted and what stays."""
    return as_text(line for part in destroyed.parts for line in part.lines)


def diagnosed_screen(diagnosis: Diagnosis, request: Path | None) -> str:
    """Return the lines grouped by area, each that is not ok with what to do; then the counts."""
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
    return as_text(lines)


def sized_screen(found: "tuple[Sized, ...]") -> str:
    """Return the sum for each model, line by line, what follows from it, and the body for the REST call."""
    lines: list[str] = []
    for one in found:
        lines += [*_size_of(one), ""]
    lines.append('GB are 10^9 bytes. Formulas: IBM watsonx, "Creating customized hardware specifications".')
    return as_text(lines)


def _size_of(one: "Sized") -> Iterable[str]:
    needs = one.hardware
    yield f"{one.model_id}: {one.parameters:,} parameters ({one.parameters_from}), {one.precision} ({one.precision_from})"
    for term in needs.terms:
        yield f"    {term.what:<11}{term.gb:>12.3f} GB   {term.how}"
    yield f"    {'GPU memory':<11}{needs.gpu_memory_gb:>12.3f} GB   {human.count(needs.gpus, 'GPU')} of {one.gpu_gb} GB"
    yield f"    {_bar(needs.gpu_memory_gb, needs.gpus * one.gpu_gb)}"
    yield f"    {human.count(needs.cpus, 'CPU')}, {needs.memory_gb} GB of memory; volume {human.size(one.claim_bytes)} for two sets of {human.size(one.files_bytes)}"
    if one.cache_bytes is not None:
        yield f"    keys and values, an estimate beside the formula: {human.size(one.cache_bytes)} for {one.cache_for}"
    if one.mig_gb is not None:
        yield f"    where MIG is allowed: a partition of {one.mig_gb} GB or more (3 GB for each billion parameters)"
    yield from (f"    ! {warning}" for warning in one.warnings)
    yield f"    POST /v2/hardware_specifications {json_text(dict(one.specification))}"


def _bar(held: Decimal, room: int) -> str:
    filled = min(_BAR, round(_BAR * held / room))
    return f"[{'█' * filled}{'░' * (_BAR - filled)}] {round(100 * held / room)} % of {room} GB"


def _planned(planned: PlannedStep) -> Iterable[str]:
    mark = "•" if planned.pending else "="
    yield f"{mark} {planned.value.title}: {planned.reason}"
    yield from (f"    {line}" for line in planned.lines)


def _item_status(item: str, status: Status) -> Iterable[str]:
    found = [part.items[item] for part in status.parts.values() if item in part.items]
    judged = {one.well for one in found}
    mark = " " if None in judged else "!" if False in judged else "✓"
    words = ", ".join(one.words for one in found if one.words is not None)
    yield f"{mark} {item}: {words}"
    yield from (f"    {line}" for one in found for line in one.lines)


def rbac_screen(grants: Grants, written: tuple[Path, ...]) -> str:
    """Return which file is for whom, what is in each Role, and how to apply them."""
    lines = [f"For {grants.subject}, namespace {grants.environment.cluster.namespace}:"]
    lines += [f"  {path}  {PURPOSE[path.name]}" for path in written]
    for role in Role:
        rules = of_role(grants.rules, role, namespaced=True)
        needed = [rule for rule in rules if not rule.optional]
        lines.append(
            f"  Role {role.value:<8} {role.allows}: {human.count(len(rules), 'rule')}, {len(needed)} of them indispensable"
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
            "A login for whoever runs weighbridge; it has to outlive the transfer:",
            f"  kubectl create token -n {namespace} {name} --duration=12h",
        ]
    return as_text(lines)
