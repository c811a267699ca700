"""The plan: what there is to do, what of it is pending, and why. First look (read only), then plan without side effects."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Final, Self

from weighbridge.core import review
from weighbridge.core.declared import IDENTITY, PREVIEW, SPEC
from weighbridge.core.ports import CLUSTER, STACKS
from weighbridge.core.step import PLANNED, WARNINGS, PlannedStep, Step, World
from weighbridge.domain.digest import Json
from weighbridge.domain.facts import Facts
from weighbridge.domain.stacks import ClusterIdentity, StackPreview, StackSpec
from weighbridge.errors import DefectError, PreconditionError

_NAMESPACE: Final = "namespace"
"""The part of ``WARNINGS`` for what could not be checked about the namespace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    environment: str
    where: str
    """The cluster in words: context and address."""
    cluster: ClusterIdentity
    steps: tuple[PlannedStep, ...]
    epilogue: tuple[str, ...] = ()
    """What is printed below the steps."""
    message: Mapping[str, Json] = field(default_factory=dict)
    """What the steps add to the ``plan`` message."""
    warnings: tuple[str, ...] = ()
    """What stops nothing, but the user should know."""
    facts: Facts

    def with_warnings(self, more: tuple[str, ...]) -> Self:
        return replace(self, warnings=(*self.warnings, *more))

    @property
    def pending(self) -> bool:
        return any(step.pending for step in self.steps)

    @property
    def bytes_to_move(self) -> int:
        return sum(step.bytes_to_move for step in self.steps)

    @property
    def previews(self) -> Mapping[str, StackPreview]:
        """By stack name."""
        return self.facts.all(PREVIEW)

    @property
    def digest(self) -> str:
        """The digest that a reviewer approves (``core/review.py``). The same plan has the same digest on every machine."""
        return review.digest_of(self.about, self.shows)

    @property
    def about(self) -> Json:
        """The environment and the cluster that the plan is for."""
        return [self.environment, self.cluster.uid, self.cluster.namespace]

    @property
    def shows(self) -> tuple[Json, ...]:
        """What a reviewer approves, one row for each change."""
        return tuple(row for step in self.steps for row in step.shows)


def make_plan(steps: Sequence[Step], world: World) -> Plan:
    """Look at everything that the plan depends on, then plan. Raise ``PreconditionError`` (exit 3) if an apply would stop."""
    facts = Facts()
    look(steps, world, facts)
    return build_plan(steps, world, facts)


def look(steps: Sequence[Step], world: World, facts: Facts) -> None:
    """Gather the facts, previews included. Read only: start no pod, write nothing, not even to Pulumi's state."""
    identify(steps, world, facts)
    unseen = world.port(CLUSTER).require_namespace()
    facts.put(WARNINGS, () if unseen is None else (unseen,), _NAMESPACE)
    for step in steps:
        step.survey(world, facts)
    for step in in_order(steps):
        step.observe(world, facts)
        if step.stack is not None:
            spec = step.declare(world.environment, world.request, facts)
            if spec is not None:
                facts.put(SPEC, spec, step.stack.name)
    for name, preview in _previews(world, facts.all(SPEC)).items():
        facts.put(PREVIEW, preview, name)


def identify(steps: Sequence[Step], world: World, facts: Facts) -> None:
    """Record the cluster of the stacks and the context that reaches it for each stack. Refuse a stack whose own
    context leads to another cluster.
    """
    cluster, seen = world.environment.cluster, world.port(CLUSTER)
    uid = seen.uid()
    whole = ClusterIdentity(
        uid=uid, namespace=cluster.namespace, context=cluster.context, in_cluster=cluster.in_cluster
    )
    facts.put(IDENTITY, whole)
    for stack in (step.stack for step in steps if step.stack is not None):
        context, in_cluster = cluster.reach(stack.name)
        own = cluster.contexts.get(stack.name)
        if own is not None and (other := seen.uid(own)) != uid:
            raise PreconditionError(
                f"context {own} leads to the cluster with kube-system UID {other}, the environment is for {uid}",
                remedy=f"correct cluster.contexts.{stack.name}",
                code="other-cluster",
            )
        identity = replace(whole, context=context, in_cluster=in_cluster)
        facts.put(IDENTITY, identity, stack.name)


def build_plan(steps: Sequence[Step], world: World, facts: Facts) -> Plan:
    """Return what the steps plan from ``facts``, in the order of the steps."""
    environment, request = world.environment, world.request
    planned: list[PlannedStep] = []
    for step in steps:
        if step.stack is not None and (preview := facts.one(PREVIEW, step.stack.name)) is not None:
            facts.put(PREVIEW, step.judge(environment, preview, facts), step.stack.name)
        mine = step.plan(environment, request, facts)
        facts.put(PLANNED, mine, step.name)
        planned += mine
    _require_known_needs(planned)
    return Plan(
        environment=environment.name,
        where=world.port(CLUSTER).where,
        cluster=facts.known(IDENTITY),
        steps=tuple(planned),
        epilogue=tuple(line for step in steps for line in step.epilogue(facts)),
        message={key: value for step in steps for key, value in step.message(facts).items()},
        warnings=tuple(dict.fromkeys(text for found in facts.all(WARNINGS).values() for text in found)),
        facts=facts,
    )


def in_order(steps: Sequence[Step]) -> Iterable[Step]:
    """Sort each step after the steps whose facts it reads; else keep the order. Raise ``DefectError`` for a circle."""
    waiting, names = list(steps), {step.name for step in steps}
    while waiting:
        left = {step.name for step in waiting}
        ready = next((step for step in waiting if not (step.after & names & left)), None)
        if ready is None:
            raise DefectError(f"steps wait for each other: {', '.join(sorted(left))}")
        waiting.remove(ready)
        yield ready


def _require_known_needs(planned: Sequence[PlannedStep]) -> None:
    seen: set[str] = set()
    for one in planned:
        if unknown := one.needs - seen:
            raise DefectError(f"{one.value.title} needs what does not come before it: {', '.join(unknown)}")
        seen.add(one.key)


def _previews(world: World, specs: Mapping[str, StackSpec]) -> dict[str, StackPreview]:
    """Preview all stacks side by side: each preview mostly waits for an engine to start."""
    if not specs:
        return {}
    stacks = world.port(STACKS)
    with ThreadPoolExecutor(max_workers=len(specs)) as pool:
        asked = {name: pool.submit(stacks.preview, spec) for name, spec in specs.items()}
        try:
            wait(asked.values())
        except BaseException:  # an interruption reaches only the main thread, not the pool
            stacks.cancel()
            raise
    return {name: found.result() for name, found in asked.items()}
