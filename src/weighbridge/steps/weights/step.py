"""Step ``weights``: bring every model's files from its source into its volume, and verify them."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import ClassVar, Final

from weighbridge.core.events import StepEnded, StepStarted
from weighbridge.core.examination import Look, Phase
from weighbridge.core.finding import Finding
from weighbridge.core.outcome import Declined, Done, Failed, Unchanged
from weighbridge.core.step import (
    Finished,
    ItemStatus,
    PlannedStep,
    Reading,
    Rendered,
    Request,
    Step,
    StepStatus,
    Verification,
    World,
    keys_of,
)
from weighbridge.domain import human
from weighbridge.domain.access import Rule
from weighbridge.domain.digest import Json
from weighbridge.domain.facts import Facts
from weighbridge.domain.needs import Mounted
from weighbridge.domain.visible import error_lines
from weighbridge.domain.weights import ARRIVED, LISTING, RECEIPT, Receipt
from weighbridge.environment.sections import Sections
from weighbridge.environment.types import Environment, Model
from weighbridge.errors import PreconditionError, StepFailedError, VerificationError, WeighbridgeError
from weighbridge.holdings import HOLDINGS, look_at_holdings
from weighbridge.manifests.surroundings import SURROUNDINGS
from weighbridge.processes.at_once import AT_ONCE, at_once
from weighbridge.steps.weights import SECTIONS, areas
from weighbridge.steps.weights.bundle import refused_routes, require_a_route
from weighbridge.steps.weights.judged import judge_models, look_at_models
from weighbridge.steps.weights.made import PLAYBOOKS, WEIGHTS
from weighbridge.steps.weights.needs import NEEDS, mounted
from weighbridge.steps.weights.ports import TransferReport
from weighbridge.steps.weights.sync import planned_weights
from weighbridge.steps.weights.ways_to_push import ways_to_push
from weighbridge.transfers import QUOTAS, models_at_once


class WeightsStep(Step):
    """Bring in the weights, one planned step for each model."""

    name: ClassVar = "weights"
    only: ClassVar = "weights"
    verifies: ClassVar = True
    permissions: ClassVar = NEEDS
    areas: ClassVar = (areas.SOURCE, areas.ADMISSION, areas.NETWORK, areas.PODS)
    sections: ClassVar[Sections] = SECTIONS
    crowded: ClassVar = frozenset({"unschedulable", "quota-exceeded", "volume-not-mounted"})

    def width(self, world: World) -> int:
        return models_at_once(world.environment, world.port(QUOTAS))

    def mounted(self, environment: Environment) -> Mounted:
        return mounted(environment)

    def examine(self, look: Look, phase: Phase) -> None:
        from weighbridge.steps.weights.examine import examine  # noqa: PLC0415  only doctor needs it

        examine(look, phase)

    def judge_permissions(
        self, environment: Environment, rules: tuple[Rule, ...], missing: tuple[Rule, ...]
    ) -> Iterable[Finding]:
        return ways_to_push(environment, rules, missing)

    def survey(self, world: World, facts: Facts) -> None:
        models = world.environment.models
        listings = at_once(world.port(WEIGHTS).list, models, AT_ONCE)  # reading may take minutes
        around = world.port(SURROUNDINGS)
        for model, listing in zip(models, listings, strict=True):
            require_a_route(world.environment, model, listing, around)
            facts.put(LISTING, listing, model.id)

    def observe(self, world: World, facts: Facts) -> None:
        look_at_holdings(world, facts)
        look_at_models(world, facts)
        judge_models(world.environment, facts, self.name)

    def plan(self, environment: Environment, request: Request, facts: Facts) -> tuple[PlannedStep, ...]:
        del request
        needs = keys_of(facts, "storage")
        return tuple(
            planned_weights(self.name, environment, model, facts, needs) for model in environment.models
        )

    def run(self, planned: PlannedStep, world: World, facts: Facts) -> Finished:
        model = _model(world.environment, planned.item)
        receipt = facts.one(RECEIPT, model.id)
        if not planned.pending and receipt is not None:
            facts.put(ARRIVED, receipt, model.id)
            return Finished(outcome=Unchanged(planned.reason))
        declined: list[str] = []
        listing = facts.known(LISTING, model.id)
        refused = refused_routes(world.environment, model, listing, world.port(SURROUNDINGS))
        for route in model.routes:
            if route in refused:
                declined.append(f"{route.value}: {refused[route]}")
                continue
            report = world.port(PLAYBOOKS).sync(model, listing, route, world.observer)
            if isinstance(report.outcome, Declined):
                declined.append(f"{route.value}: {report.outcome.reason}")
                continue
            if report.receipt is not None and isinstance(report.outcome, Done | Unchanged):
                facts.put(ARRIVED, report.receipt, model.id)
            return _finished(report)
        return Finished(outcome=Failed(_no_route(model, declined)))

    def interrupt(self, world: World) -> None:
        world.port(PLAYBOOKS).cancel()

    def tidy(self, item: str, world: World) -> None:
        world.port(PLAYBOOKS).tidy(item, world.observer)

    def verify(self, world: World, facts: Facts) -> Sequence[Reading]:
        """Return a reading for each set: it compares every byte in the cluster with the receipt on the volume."""
        del facts
        environment = world.environment
        receipts = world.port(HOLDINGS).receipts(environment.name)
        absent = [model.id for model in environment.models if model.id not in receipts]
        if absent:
            raise PreconditionError(
                f"there is nothing to verify of {', '.join(absent)}: no weights were ever published here",
                remedy=f"weighbridge apply {world.request.named or environment.name}",
                code="never-published",
            )
        return [partial(self._verified, world, model, receipts[model.id]) for model in environment.models]

    def status(self, world: World, facts: Facts) -> StepStatus:
        del facts
        receipts = world.port(HOLDINGS).receipts(world.environment.name)
        return StepStatus(
            items={model.id: _status(receipts.get(model.id)) for model in world.environment.models}
        )

    def render(self, world: World, facts: Facts, out: Path) -> Rendered:
        from weighbridge.steps.weights.rendered import rendered_weights  # noqa: PLC0415  packs the mover

        return rendered_weights(world, facts, out)

    @staticmethod
    def _verified(world: World, model: Model, receipt: Receipt) -> Verification:
        title = f"verify {model.id}"
        world.observer(StepStarted(title, title, model.id))
        started = time.monotonic()
        try:
            report = world.port(PLAYBOOKS).verify(model, receipt, world.observer)
        except WeighbridgeError as error:
            report = TransferReport(outcome=Failed(error))  # an earlier receipt's verdict is not this run's
        outcome = report.outcome
        seconds = time.monotonic() - started
        world.observer(StepEnded(title, title, outcome.word, outcome.detail, seconds, model.id))
        return _verification(model.id, report)


STEP: Final = WeightsStep()


def _model(environment: Environment, model_id: str | None) -> Model:
    return next(model for model in environment.models if model.id == model_id)


def _no_route(model: Model, declined: list[str]) -> StepFailedError:
    return StepFailedError(
        f"no route can bring in {model.id}: {'; '.join(declined)}",
        remedy=f"allow one of them, or add another to routes of model {model.id}",
        code="no-route",
    )


def _finished(report: TransferReport) -> Finished:
    row: dict[str, Json] = {
        "bytes_moved": report.bytes_moved,
        "files_repaired": list(report.files_repaired),
        "mover_rss_bytes": report.mover_rss_bytes,
    }
    receipt = report.receipt
    if receipt is None:
        return Finished(outcome=report.outcome, row=row)
    moved = f"{human.size(report.bytes_moved)} moved" if report.bytes_moved else "nothing to move"
    files, size = human.count(receipt.files, "file"), human.size(receipt.total_bytes)
    lines = [
        f"{receipt.model_id}: {files}, {size}; {moved} by {receipt.route}",
        f"  set {receipt.set_digest}",
        f"  at  {receipt.claim}:{receipt.sub_path}",
    ]
    if report.files_repaired:
        lines.append(f"  repaired {', '.join(report.files_repaired)}")
    if report.mover_rss_bytes:
        lines.append(f"  mover's peak memory {human.size(report.mover_rss_bytes)}")
    return Finished(
        outcome=report.outcome, row=row, lines=tuple(lines), adds={"receipts": receipt_row(receipt)}
    )


def receipt_row(receipt: Receipt) -> Json:
    """Return the receipt as messages show it."""
    return {**asdict(receipt), "damaged": list(receipt.damaged)}


def _verification(model_id: str, report: TransferReport) -> Verification:
    """Return the result. If a receipt came back, it decides whether the set is damaged, whatever else failed."""
    receipt, outcome = report.receipt, report.outcome
    damaged = receipt is not None and receipt.verdict == "damaged"
    failure = outcome.error if isinstance(outcome, Failed) else None
    if damaged and not isinstance(failure, VerificationError):
        failure = VerificationError(f"{model_id} is damaged")
        outcome = Failed(failure)
    failed = failure if failure is not None and not isinstance(failure, VerificationError) else None
    row: dict[str, Json] = {
        "model": model_id,
        "verdict": None if failed or receipt is None else receipt.verdict,
        "damaged": list(receipt.damaged) if receipt else [],
        "set_digest": receipt.set_digest if receipt else None,
        "mover_rss_bytes": report.mover_rss_bytes,
    }
    return Verification(
        item=model_id, outcome=outcome, row=row, lines=tuple(_told(model_id, receipt, failed))
    )


def _told(model_id: str, receipt: Receipt | None, failed: WeighbridgeError | None) -> Iterable[str]:
    if failed is not None:
        head, *rest = error_lines(failed)
        yield f"✗ {model_id}: {head}"
        yield from (f"  {line}" for line in rest)
    elif receipt is None:
        yield f"✗ {model_id}: no receipt came back"
    elif receipt.verdict == "damaged":
        yield f"✗ {model_id}: damaged on volume {receipt.claim}, below {receipt.sub_path}:"
        yield from (f"    {path}" for path in receipt.damaged)
    else:
        files, size = human.count(receipt.files, "file"), human.size(receipt.total_bytes)
        yield f"✓ {model_id}: {files}, {size}, set {receipt.set_digest}"


def _status(receipt: Receipt | None) -> ItemStatus:
    if receipt is None:
        return ItemStatus(row={"receipt": None}, well=None, words="no weights published")
    files, size = human.count(receipt.files, "file"), human.size(receipt.total_bytes)
    lines = [
        f"{files}, {size}, set {receipt.set_digest}, by {receipt.route}",
        f"at {receipt.claim}:{receipt.sub_path}",
    ]
    if receipt.damaged:
        lines.append(f"damaged: {', '.join(receipt.damaged)}")
    return ItemStatus(
        row={"receipt": receipt_row(receipt)},
        well=receipt.verdict == "verified",
        words=f"{receipt.verdict} {receipt.verified_at}",
        lines=tuple(lines),
    )
