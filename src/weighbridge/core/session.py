"""One opened environment: the verbs of the command line, with values as results. Other modules print them."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from weighbridge.core import review, run
from weighbridge.core.events import Observer, Warned
from weighbridge.core.plan import Plan, identify, make_plan
from weighbridge.core.port import Port
from weighbridge.core.ports import CLUSTER, LOCK, STACKS, Journal, Tenure
from weighbridge.core.results import Applied, DestroyedAll, Status, Verified
from weighbridge.core.step import Rendered, Request, Step, StepStatus
from weighbridge.domain.facts import Facts
from weighbridge.domain.lease import LockRequest
from weighbridge.environment.types import Environment
from weighbridge.errors import InputError

T = TypeVar("T")
_AT_ONCE = LockRequest()
"""Refuse if another run holds the environment."""
_WHOLE = Request()


class Ports(Protocol):
    """The parts of the world, each made at its first use."""

    def __call__(self, port: Port[T]) -> T: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _World:
    """See ``core.step.World``."""

    environment: Environment
    request: Request
    observer: Observer
    ports: Ports
    steps: frozenset[str]
    tenure: Tenure | None = None

    def port(self, port: Port[T]) -> T:
        return self.ports(port)

    def selected(self, step: str) -> bool:
        return step in self.steps

    def require(self) -> None:
        if self.tenure is not None:
            self.tenure.require()


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """An environment, its steps in order, and the world that they use."""

    environment: Environment
    steps: Sequence[Step]
    ports: Ports
    observer: Observer
    open_journal: Callable[[str], Journal]

    # -- looking -----------------------------------------------------------------------------------------------------

    def render(self, out: Path) -> Rendered:
        """Return manifests and playbook variables as texts. Read only the sources, because their listings name the sets."""
        world, facts = self._world(_WHOLE), Facts()
        for step in self.steps:
            step.survey(world, facts)
        parts = [step.render(world, facts, out) for step in self.steps]
        return Rendered(
            files={path: text for part in parts for path, text in part.files.items()},
            usage=tuple(line for part in parts for line in part.usage),
        )

    def plan(self, request: Request = _WHOLE) -> Plan:
        """Return what an apply would do. Read only: start no pod, write nothing, not even to Pulumi's state."""
        self._require_known(request)
        found = make_plan(self._selected(request), self._world(request))
        return found.with_warnings(self._others_under_way())

    def status(self) -> Status:
        """Return what is in place. Send only GET requests."""
        world, facts = self._world(_WHOLE), Facts()
        cluster = world.port(CLUSTER)
        cluster.uid()
        cluster.require_namespace()
        parts: Mapping[str, StepStatus] = {step.name: step.status(world, facts) for step in self.steps}
        return Status(
            where=cluster.where,
            namespace=self.environment.cluster.namespace,
            items=tuple(model.id for model in self.environment.models),
            parts=parts,
            warnings=(
                *(text for part in parts.values() for text in part.warnings),
                *self._others_under_way(),
            ),
        )

    # -- doing -------------------------------------------------------------------------------------------------------

    def apply(
        self, request: Request = _WHOLE, lock_request: LockRequest = _AT_ONCE, reviewed: str | None = None
    ) -> Applied:
        """Plan, then run the pending steps, with the environment locked. The result holds every failure of a step.
        Raise refusals before the first step, and the loss of the lock. ``reviewed``: the digest of a plan; do nothing
        beyond that plan.
        """
        self._require_known(request)
        if reviewed is not None:
            review.parse(reviewed)
        with self._alone("apply", request, lock_request) as world:
            world.port(STACKS).settle(self.observer)
            return self._apply(world, reviewed)

    def _apply(self, world: _World, reviewed: str | None) -> Applied:
        started = time.monotonic()
        steps = self._selected(world.request)
        plan = make_plan(steps, world)
        journal = self.open_journal("apply")
        journal.record("planned", plan=plan.digest, pending=plan.pending, bytes_to_move=plan.bytes_to_move)
        if reviewed is not None:
            review.require_reviewed(reviewed, plan.about, plan.shows)
        for warning in plan.warnings:
            self.observer(Warned(warning))
        self._tidy(world, plan)
        results = run.execute(plan, steps, world, journal)
        applied = Applied(plan=plan, results=results, seconds=time.monotonic() - started)
        journal.record("run-ended", complete=applied.complete, steps=run.journal_facts(results))
        world.require()  # the last step may have failed because the lock was lost
        return applied

    def verify(self, request: Request = _WHOLE, lock_request: LockRequest = _AT_ONCE) -> Verified:
        """Read again, in the cluster, what every step has stored."""
        steps = self._selected(request)
        if not any(step.verifies for step in steps):
            raise InputError(
                f"nothing of `--only {request.only}` can be verified",
                remedy="leave --only out",
                code="nothing-to-verify",
            )
        with self._alone("verify", request, lock_request) as world:
            started = time.monotonic()
            journal = self.open_journal("verify")
            items = run.verify(steps, world, journal)
            world.require()
            return Verified(items=items, seconds=time.monotonic() - started)

    def destroy(self, request: Request = _WHOLE, lock_request: LockRequest = _AT_ONCE) -> DestroyedAll:
        """Delete what the steps made, last step first. Keep weights unless all their claims are typed (``request.typed``)."""
        with self._alone("destroy", request, lock_request) as world:
            world.port(STACKS).settle(self.observer)
            facts = Facts()
            identify(self.steps, world, facts)
            for step in self.steps:
                step.consent(world, facts)
            journal = self.open_journal("destroy")
            journal.record("destroying", weights=[*sorted(request.typed)])
            world.require()
            self._tidy(world)
            parts = []
            for step in reversed(self.steps):
                world.require()
                if (found := step.destroy(world, facts)) is not None:
                    parts.append(found)
            destroyed = DestroyedAll(parts=tuple(parts))
            journal.record("run-ended", **destroyed.message)
            return destroyed

    @contextmanager
    def _alone(self, verb: str, request: Request, lock_request: LockRequest) -> Iterator[_World]:
        """Hold the environment's lock for one run. Stop all running operations if the lock is lost."""
        world = self._world(request)
        world.port(CLUSTER).uid()
        world.port(CLUSTER).require_namespace()

        def stop() -> None:
            if verb != "verify":  # verify does not use Pulumi, and may be unable to open its state
                world.port(STACKS).cancel()

        with world.port(LOCK).hold(verb, lock_request, self.observer, stop) as tenure:
            yield self._world(request, tenure)

    def _tidy(self, world: _World, plan: Plan | None = None) -> None:
        """Remove what earlier runs left of items. Leave the items that this run continues."""
        unfinished = world.tenure.unfinished if world.tenure is not None else frozenset()
        for step in self.steps:
            ahead = {
                planned.item
                for planned in (plan.steps if plan is not None else ())
                if planned.step == step.name and planned.pending
            }
            for item in sorted(unfinished - ahead):
                world.require()
                step.tidy(item, world)

    # -- helpers -----------------------------------------------------------------------------------------------------

    def _world(self, request: Request, tenure: Tenure | None = None) -> _World:
        return _World(
            environment=self.environment,
            request=request,
            observer=self.observer,
            ports=self.ports,
            steps=frozenset(step.name for step in self._selected(request)),
            tenure=tenure,
        )

    def _selected(self, request: Request) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if request.only in (None, step.only))

    def _others_under_way(self) -> tuple[str, ...]:
        found = self.ports(LOCK).under_way()
        return () if found is None else (found,)

    def _require_known(self, request: Request) -> None:
        unknown = request.adopt - {model.id for model in self.environment.models}
        if unknown:
            raise InputError(
                f"--adopt names {', '.join(sorted(unknown))}, which this environment does not declare",
                remedy=f"its models are {', '.join(model.id for model in self.environment.models)}",
                code="unknown-model",
            )
