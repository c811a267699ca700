"""Run every planned step, in order. A step that fails stops only the steps that need it."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import TypeVar

from weighbridge.core.events import Note, StepEnded, StepStarted
from weighbridge.core.outcome import Failed, Outcome, Skipped
from weighbridge.core.plan import Plan
from weighbridge.core.ports import Journal
from weighbridge.core.side_by_side import alone, side_by_side
from weighbridge.core.step import Finished, PlannedStep, Reading, Step, Verification, World
from weighbridge.domain.digest import Json
from weighbridge.domain.facts import Facts
from weighbridge.errors import WeighbridgeError

A = TypeVar("A")
R = TypeVar("R", "StepResult", Verification)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    planned: PlannedStep
    finished: Finished
    seconds: float

    @property
    def outcome(self) -> Outcome:
        return self.finished.outcome


def execute(plan: Plan, steps: Sequence[Step], world: World, journal: Journal) -> tuple[StepResult, ...]:
    """Run the plan. Return failures as values; skip what needs a failed step."""
    by_name = {step.name: step for step in steps}
    titles = {planned.key: planned.value.title for planned in plan.steps}
    lost: set[str] = set()
    results: list[StepResult] = []

    def attempt(planned: PlannedStep) -> StepResult:
        world.require()
        world.observer(StepStarted(planned.key, planned.value.title, planned.item))
        journal.record("step-started", step=planned.key, title=planned.value.title)
        started = time.monotonic()
        missing = sorted(titles[key] for key in planned.needs & lost)
        finished = _skipped(missing) if missing else _run(by_name[planned.step], planned, world, plan)
        seconds, outcome = time.monotonic() - started, finished.outcome
        journal.record("step-ended", step=planned.key, outcome=outcome.word, detail=outcome.detail)
        world.observer(
            StepEnded(planned.key, planned.value.title, outcome.word, outcome.detail, seconds, planned.item)
        )
        return StepResult(planned=planned, finished=finished, seconds=seconds)

    for name, group in _groups(plan.steps):
        step = by_name[name]
        width = step.width(world) if sum(planned.pending for planned in group) > 1 else 1
        found = _with_room(attempt, group, width, step, world)
        results += found
        lost |= {result.planned.key for result in found if isinstance(result.outcome, Failed | Skipped)}
    return tuple(results)


def verify(steps: Sequence[Step], world: World, journal: Journal) -> tuple[Verification, ...]:
    """Read again what the steps have stored, side by side within a step. Return the results in the environment's order."""

    def read(reading: Reading) -> Verification:
        world.require()
        found = reading()
        journal.record("verified", model=found.item, outcome=found.outcome.word, detail=found.outcome.detail)
        return found

    items: list[Verification] = []
    for step in steps:
        readings = step.verify(world, Facts())
        width = step.width(world) if len(readings) > 1 else 1
        items += _with_room(read, readings, width, step, world)
    return tuple(items)


def _with_room(call: Callable[[A], R], items: Sequence[A], width: int, step: Step, world: World) -> list[R]:
    """Run all side by side. Then repeat alone those that may have failed because others ran beside them."""
    results = side_by_side(call, items, width, partial(step.interrupt, world))
    if alone(items, width):
        return results
    for index, result in enumerate(results):
        outcome = result.outcome
        if isinstance(outcome, Failed) and outcome.error.code in step.crowded:
            world.observer(Note(f"{outcome.error.what}: once more, with nothing beside it"))
            results[index] = call(items[index])
    return results


def _groups(planned: Sequence[PlannedStep]) -> Iterator[tuple[str, list[PlannedStep]]]:
    """Group neighbouring planned steps of one step with the same needs: they may run side by side."""
    for (step, _), group in groupby(planned, key=lambda one: (one.step, one.needs)):
        yield step, list(group)


def _run(step: Step, planned: PlannedStep, world: World, plan: Plan) -> Finished:
    try:
        return step.run(planned, world, plan.facts)
    except WeighbridgeError as error:
        return Finished(outcome=Failed(error))


def _skipped(missing: Sequence[str]) -> Finished:
    return Finished(outcome=Skipped(f"it needs {', '.join(missing)}"))


def journal_facts(results: Sequence[StepResult]) -> list[Json]:
    """Return the results as JSON for the journal and ``--json``."""
    return [_row(result) for result in results]


def _row(result: StepResult) -> Json:
    planned, outcome = result.planned, result.outcome
    row: Mapping[str, Json] = {
        "step": planned.key,
        "title": planned.value.title,
        "outcome": outcome.word,
        "detail": outcome.detail,
        "seconds": round(result.seconds, 3),
        **result.finished.row,
    }
    return dict(row)
