"""A step that nobody needs, with a stack, a port, two items and everything else that a step may have."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar

from weighbridge.core.declared import IDENTITY, PREVIEW, SPEC, make_so, planned_stack
from weighbridge.core.outcome import Done, Failed, Unchanged
from weighbridge.core.port import Port
from weighbridge.core.ports import STACKS
from weighbridge.core.step import (
    Destroyed,
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
from weighbridge.domain.digest import Json
from weighbridge.domain.facts import Facts, Key
from weighbridge.domain.stacks import Stack, StackSpec
from weighbridge.environment.types import Environment
from weighbridge.errors import StepFailedError, VerificationError

BELLS = Stack(name="bells", plugin="kubernetes", declare="support.made_up:declare")


def declare(spec: StackSpec) -> None:
    """Never run: the engine is a fake here."""
    raise AssertionError(spec)


@dataclass
class Tower:
    """What the step works on."""

    hung: set[str] = field(default_factory=set)
    cracked: frozenset[str] = frozenset()
    rung: list[str] = field(default_factory=list)
    """Which bell, in order."""


TOWER: Port[Tower] = Port("tower", lambda _: Tower())
HUNG: Key[frozenset[str]] = Key("hung")


@dataclass(frozen=True, slots=True)
class Ring:
    kind: ClassVar[str] = "ring"
    bell: str

    @property
    def title(self) -> str:
        return f"bell {self.bell}"

    def as_json(self) -> Json:
        return {"kind": self.kind, "bell": self.bell}


class BellsStep(Step):
    """A stack, then a bell for each model."""

    name: ClassVar = "bells"
    only: ClassVar = "tower"
    after: ClassVar = frozenset({"registration"})
    stack: ClassVar = BELLS
    verifies: ClassVar = True

    def width(self, world: World) -> int:
        return len(world.environment.models)

    def observe(self, world: World, facts: Facts) -> None:
        hung: frozenset[str] = frozenset(world.port(TOWER).hung)
        facts.put(HUNG, hung)

    def declare(self, environment: Environment, request: Request, facts: Facts) -> StackSpec | None:
        del request
        return StackSpec(
            environment=environment.name,
            cluster=facts.known(IDENTITY, BELLS.name),
            stack=BELLS,
            manifests=({"kind": "Tower", "metadata": {"name": "tower"}},),
            settings={"custom_resource": "tower"},
        )

    def plan(self, environment: Environment, request: Request, facts: Facts) -> tuple[PlannedStep, ...]:
        del request
        declared = planned_stack(self.name, facts, BELLS)
        hung: frozenset[str] = facts.known(HUNG)
        return (
            declared,
            *(
                PlannedStep(
                    value=Ring(model.id),
                    step=self.name,
                    item=model.id,
                    needs=frozenset({declared.key}) | keys_of(facts, "weights", model.id),
                    pending=model.id not in hung,
                    reason="it hangs" if model.id in hung else "it does not hang yet",
                    lines=("made of bronze",),
                    shows=() if model.id in hung else ({"bell": model.id},),
                )
                for model in environment.models
            ),
        )

    def epilogue(self, facts: Facts) -> Iterable[str]:
        hung: frozenset[str] = facts.known(HUNG)
        yield f"bells that hang: {len(hung)}"

    def message(self, facts: Facts) -> Mapping[str, Json]:
        hung: frozenset[str] = facts.known(HUNG)
        return {"bells": [*sorted(hung)]}

    def run(self, planned: PlannedStep, world: World, facts: Facts) -> Finished:
        if not planned.pending:
            return Finished(outcome=Unchanged(planned.reason))
        if planned.item is None:
            _, outcome = make_so(world, facts.known(SPEC, BELLS.name), facts.known(PREVIEW, BELLS.name))
            return Finished(outcome=outcome)
        tower = world.port(TOWER)
        if planned.item in tower.cracked:
            return Finished(outcome=Failed(StepFailedError(f"{planned.item} is cracked")))
        tower.hung.add(planned.item)
        return Finished(
            outcome=Done("it hangs"),
            row={"tone": "c"},
            lines=(f"{planned.item} sounds",),
            adds={"tones": planned.item},
        )

    def tidy(self, item: str, world: World) -> None:
        world.port(TOWER).rung.append(f"tidied {item}")

    def verify(self, world: World, facts: Facts) -> Sequence[Reading]:
        del facts
        return [partial(self._heard, world, model.id) for model in world.environment.models]

    @staticmethod
    def _heard(world: World, bell: str) -> Verification:
        outcome = Failed(VerificationError("cracked")) if bell in world.port(TOWER).cracked else Done("whole")
        return Verification(
            item=bell,
            outcome=outcome,
            row={"model": bell, "bell": outcome.word},
            lines=(f"{bell} is {outcome.detail}",),
        )

    def status(self, world: World, facts: Facts) -> StepStatus:
        del facts
        hung = world.port(TOWER).hung
        return StepStatus(
            message={"tower": "stands"},
            items={
                model.id: ItemStatus(
                    row={"hangs": model.id in hung}, well=model.id in hung, words="hangs" if hung else "lies"
                )
                for model in world.environment.models
            },
            lines=("the tower stands",),
        )

    def render(self, world: World, facts: Facts, out: Path) -> Rendered:
        del world, facts
        return Rendered(files={"tower/tower.yaml": "kind: Tower\n"}, usage=(f"ring {out}",))

    def would_destroy(self, environment: Environment, request: Request) -> str | None:
        del environment, request
        return "take the bells down"

    def destroy(self, world: World, facts: Facts) -> Destroyed | None:
        spec = self.declare(world.environment, world.request, facts)
        assert spec is not None
        result = world.port(STACKS).destroy(spec, world.observer)
        world.port(TOWER).hung.clear()
        return Destroyed(removed=result.changes, message={"silent": True}, lines=("It is silent.",))
