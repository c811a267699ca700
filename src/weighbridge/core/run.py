"""The orchestrator: every planned step, in order. One that fails stops only what needs it."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby

from weighbridge.core.events import StepEnded, StepStarted
from weighbridge.core.outcome import Failed, Outcome, Skipped
from weighbridge.core.plan import Plan
from weighbridge.core.ports import Journal
from weighbridge.core.step import Finished, PlannedStep, Step, World
from weighbridge.domain.digest import Json
from weighbridge.errors import WeighbridgeError


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    planned: PlannedStep
    finished: Finished
    seconds: float

    @property
    def outcome(self) -> Outcome:
        return self.finished.outcome


def execute(plan: Plan, steps: Sequence[Step], world: World, journal: Journal) -> tuple[StepResult, ...]:
    """Run the plan. Failures are values of the result; what needs something that failed is skipped."""
    by_name = {step.name: step for step in steps}
    titles = {planned.key: planned.value.title for planned in plan.steps}
    lost: set[str] = set()
    results: list[StepResult] = []

    def attempt(planned: PlannedStep) -> StepResult:
        world.require()
        world.observer(StepStarted(planned.key, planned.value.title))
        journal.record("step-started", step=planned.key, title=planned.value.title)
        started = time.monotonic()
        missing = sorted(titles[key] for key in planned.needs & lost)
        finished = _skipped(missing) if missing else _run(by_name[planned.step], planned, world, plan)
        seconds, outcome = time.monotonic() - started, finished.outcome
        journal.record("step-ended", step=planned.key, outcome=outcome.word, detail=outcome.detail)
        world.observer(StepEnded(planned.key, planned.value.title, outcome.word, outcome.detail, seconds))
        return StepResult(planned=planned, finished=finished, seconds=seconds)

    for step, group in _groups(plan.steps):
        found = _side_by_side(attempt, group, by_name[step].width(world.environment))
        results += found
        lost |= {result.planned.key for result in found if isinstance(result.outcome, Failed | Skipped)}
    return tuple(results)


def _groups(planned: Sequence[PlannedStep]) -> Iterator[tuple[str, list[PlannedStep]]]:
    """Neighbours of one step, none of which needs another of them: what may run side by side."""
    for (step, _), group in groupby(planned, key=lambda one: (one.step, one.needs)):
        yield step, list(group)


def _side_by_side(
    attempt: Callable[[PlannedStep], StepResult], group: Sequence[PlannedStep], width: int
) -> list[StepResult]:
    """At most ``width`` at a time; one alone stays in this thread, which an interruption reaches. Of several, those that
    have not begun are dropped by an interruption, and those under way are waited for.
    """
    if width == 1 or len(group) == 1:
        return [attempt(planned) for planned in group]
    with ThreadPoolExecutor(max_workers=width) as pool:
        under_way = [pool.submit(attempt, planned) for planned in group]
        try:
            return [one.result() for one in under_way]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _run(step: Step, planned: PlannedStep, world: World, plan: Plan) -> Finished:
    try:
        return step.run(planned, world, plan.facts)
    except WeighbridgeError as error:
        return Finished(outcome=Failed(error))


def _skipped(missing: Sequence[str]) -> Finished:
    return Finished(outcome=Skipped(f"it needs {', '.join(missing)}"))


def journal_facts(results: Sequence[StepResult]) -> list[Json]:
    """Results as JSON for the journal and ``--json``."""
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
