"""The orchestrator: every pending step of a plan, in order. A model that fails does not stop the others."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from weighbridge.core.events import Event, ResourceChanged, StepEnded, StepStarted
from weighbridge.core.outcome import Declined, Done, Failed, Outcome, Unchanged
from weighbridge.core.plan import Plan, PlannedStep
from weighbridge.domain.digest import Json
from weighbridge.domain.stacks import Op, ResourceChange, StackSpec, imported
from weighbridge.domain.steps import DeclareStack, SyncWeights
from weighbridge.domain.weights import Receipt
from weighbridge.environment.types import Environment, Model
from weighbridge.errors import StepFailedError, WeighbridgeError
from weighbridge.ports import Journal, Observer, Playbooks, Registry, Stacks, TransferReport

SpecOf = Callable[[str, Mapping[str, Receipt]], StackSpec]
"""The stack to declare, given the receipts that hold now: only verified models are registered anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    stacks: Stacks
    playbooks: Playbooks
    registry: Registry
    journal: Journal
    observer: Observer
    require: Callable[[], None]
    """Raises where another run has taken this one's place: then no further step begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    planned: PlannedStep
    outcome: Outcome
    seconds: float
    report: TransferReport | None = None


@dataclass(slots=True)
class _Run:
    environment: Environment
    plan: Plan
    ports: Ports
    spec_of: SpecOf
    receipts: dict[str, Receipt] = field(default_factory=dict)
    wrote_registration: bool = False


def execute(environment: Environment, plan: Plan, ports: Ports, spec_of: SpecOf) -> tuple[StepResult, ...]:
    """Run the plan. Failures are values of the result; a storage stack that failed ends the run there."""
    run = _Run(environment, plan, ports, spec_of)
    results: list[StepResult] = []
    for planned in plan.steps:
        ports.require()
        ports.observer(StepStarted(planned.key, planned.step.title))
        ports.journal.record("step-started", step=planned.key, title=planned.step.title)
        started = time.monotonic()
        outcome, report = _attempt(run, planned)
        result = StepResult(
            planned=planned, outcome=outcome, seconds=time.monotonic() - started, report=report
        )
        results.append(result)
        ports.journal.record("step-ended", step=planned.key, outcome=outcome.word, detail=outcome.detail)
        ports.observer(
            StepEnded(planned.key, planned.step.title, outcome.word, outcome.detail, result.seconds)
        )
        if isinstance(outcome, Failed) and isinstance(planned.step, DeclareStack):
            break
    return tuple(results)


def _attempt(run: _Run, planned: PlannedStep) -> tuple[Outcome, TransferReport | None]:
    try:
        step = planned.step
        if isinstance(step, SyncWeights):
            return _sync(run, planned, step)
        if isinstance(step, DeclareStack):
            return _declare(run, planned, step), None
        return _await(run, planned), None
    except WeighbridgeError as error:
        return Failed(error), None


def _declare(run: _Run, planned: PlannedStep, step: DeclareStack) -> Outcome:
    registering = step.stack == run.plan.facts.registration.stack
    if not planned.pending and not (registering and _set_back(run)):
        return Unchanged(planned.reason)
    spec = run.spec_of(step.stack, run.receipts)
    if registering and not spec.manifests and not run.plan.facts.registration.exists:
        return Unchanged("no model is verified yet: there is nothing to register")
    preview = run.plan.facts.registration if registering else run.plan.facts.storage
    taken = preview.taken_back if preview is not None else ()
    result = run.ports.stacks.up(spec, _naming_imports(run.ports.observer, taken))
    changes = imported(result.changes, taken)
    kept = all(entry.fate in {"keep", "foreign"} for entry in run.plan.facts.entries)
    state_only = kept and all(change.op is Op.IMPORT for change in changes)
    run.wrote_registration |= registering and result.changed and not state_only
    if not result.changed:
        return Unchanged("nothing differed any more")
    return Done(", ".join(_done(change) for change in changes))


def _done(change: ResourceChange) -> str:
    if change.op is Op.IMPORT:
        return f"{change.name} taken into the state as it stands"
    return f"{change.op.value} {change.name}"


def _naming_imports(observer: Observer, taken: tuple[str, ...]) -> Observer:
    """To Pulumi everything that its state does not hold is created; what stood there before was only taken in."""

    def observe(event: Event) -> None:
        if isinstance(event, ResourceChanged) and event.op == Op.CREATE.value and event.name in taken:
            event = replace(event, op=Op.IMPORT.value)
        observer(event)

    return observe


def _set_back(run: _Run) -> bool:
    """Whether a model that the plan counted on did not arrive, so that the planned entries are not the right ones."""
    return any(model.id not in run.receipts for model in run.environment.models)


def _sync(run: _Run, planned: PlannedStep, step: SyncWeights) -> tuple[Outcome, TransferReport | None]:
    model = next(model for model in run.environment.models if model.id == step.model_id)
    facts = run.plan.facts.models[model.id]
    if not planned.pending and facts.receipt is not None:
        run.receipts[model.id] = facts.receipt
        return Unchanged(planned.reason), None
    declined: list[str] = []
    for route in step.routes:
        report = run.ports.playbooks.sync(model, facts.listing, route, run.ports.observer)
        if isinstance(report.outcome, Declined):
            declined.append(f"{route.value}: {report.outcome.reason}")
            continue
        if report.receipt is not None and isinstance(report.outcome, Done | Unchanged):
            run.receipts[model.id] = report.receipt
        return report.outcome, report
    return Failed(_no_route(model, declined)), None


def _no_route(model: Model, declined: list[str]) -> StepFailedError:
    return StepFailedError(
        f"no route can bring in {model.id}: {'; '.join(declined)}",
        remedy=f"allow one of them, or add another to routes of model {model.id}",
        code="no-route",
    )


def _await(run: _Run, planned: PlannedStep) -> Outcome:
    if not run.wrote_registration and run.plan.facts.unreconciled is None:
        return Unchanged("the registration was not changed" if planned.pending else planned.reason)
    seen = run.ports.registry.await_reconciled(run.ports.observer)
    return Done(
        seen
    )  # where we wrote nothing, an earlier write was waited for, or the operator asked to look again


def journal_facts(results: tuple[StepResult, ...]) -> list[Json]:
    """Results as JSON for the journal and ``--json``."""
    rows: list[Json] = []
    for result in results:
        row: dict[str, Json] = {
            "step": result.planned.key,
            "title": result.planned.step.title,
            "outcome": result.outcome.word,
            "detail": result.outcome.detail,
            "seconds": round(result.seconds, 3),
        }
        if result.report is not None:
            row |= {
                "bytes_moved": result.report.bytes_moved,
                "files_repaired": list(result.report.files_repaired),
                "mover_rss_bytes": result.report.mover_rss_bytes,
            }
        rows.append(row)
    return rows
