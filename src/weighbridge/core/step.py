"""A step: one capability of an environment, from looking to destroying. ``steps/__init__.py`` lists them in their order.

The orchestrator knows this class alone. A method that a step does not need keeps its answer here, which is: nothing.
The order of looking is ``survey``, ``observe``, ``declare``, previews, ``plan``.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol, TypeAlias, TypeVar

from weighbridge.core.events import Observer
from weighbridge.core.examination import Area, Look, Phase
from weighbridge.core.finding import Finding
from weighbridge.core.outcome import Outcome
from weighbridge.core.port import Port
from weighbridge.domain.access import Rule
from weighbridge.domain.digest import Json, digest
from weighbridge.domain.facts import Facts, Key
from weighbridge.domain.needs import Mounted, Need
from weighbridge.domain.stacks import ResourceChange, Stack, StackPreview, StackSpec
from weighbridge.environment.sections import Sections
from weighbridge.environment.types import Environment

T = TypeVar("T")
_SHORT = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for on the command line."""

    adopt: frozenset[str] = frozenset()
    """Models whose entry may be taken over from whoever wrote it."""
    only: str | None = None
    """The group of steps that alone is meant (``--only``); ``None``: every step."""
    typed: frozenset[str] = frozenset()
    """Names that were typed to give up what holds weights (``destroy --weights``)."""
    named: str | None = None
    """The environment as it was named on the command line: what a suggested command has to say."""


class World(Protocol):
    """What a step may reach, for one run of one verb."""

    @property
    def environment(self) -> Environment: ...

    @property
    def request(self) -> Request: ...

    @property
    def observer(self) -> Observer: ...

    def port(self, port: Port[T]) -> T:
        """The part of the world of that name, made when first asked for: ``status`` needs no passphrase, ``render`` no cluster."""
        ...

    def selected(self, step: str) -> bool:
        """Whether the step of that name takes part in this run (``--only``)."""
        ...

    def require(self) -> None:
        """``StepFailedError`` where the right to change the environment was lost. Without one, nothing."""
        ...


class StepValue(Protocol):
    """What is to be done, as a frozen value: the same thing planned twice is equal."""

    kind: ClassVar[str]

    @property
    def title(self) -> str: ...

    def as_json(self) -> Json:
        """Canonical: only what is known at plan time. The key is made of it."""
        ...


def step_key(value: StepValue) -> str:
    """``<kind>:<12 hex digits>``: the same step planned twice has the same key."""
    return f"{value.kind}:{digest(value.as_json()).removeprefix('sha256:')[:_SHORT]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """One thing to be done, and whether it is to be done now."""

    value: StepValue
    step: str
    """Name of the step that planned it."""
    item: str | None = None
    """What of several it is about: a model's id."""
    needs: frozenset[str] = frozenset()
    """Keys of what has to hold first; where one of them fails, this is skipped."""
    pending: bool
    reason: str
    """Why it must run, or why nothing needs to be done."""
    bytes_to_move: int = 0
    lines: tuple[str, ...] = ()
    """What a person is shown below its title."""
    shows: tuple[Json, ...] = ()
    """What a reviewer approves (``core/review.py``), a row each; none where nothing is pending."""

    @property
    def key(self) -> str:
        return step_key(self.value)


PLANNED: Key[tuple[PlannedStep, ...]] = Key("planned")
"""By step's name: what it planned."""
WARNINGS: Key[tuple[str, ...]] = Key("warnings")
"""By step's name: what hinders nothing, but should be known."""


def keys_of(facts: Facts, step: str, item: str | None = None) -> frozenset[str]:
    """Keys of what ``step`` has planned, for ``item`` alone where it is given; for ``PlannedStep.needs``."""
    planned = facts.one(PLANNED, step) or ()
    return frozenset(one.key for one in planned if item is None or one.item == item)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What running one planned step came to."""

    outcome: Outcome
    row: Mapping[str, Json] = field(default_factory=dict)
    """What else its row in the journal and in ``--json`` says."""
    lines: tuple[str, ...] = ()
    """What a person is shown at the end."""
    adds: Mapping[str, Json] = field(default_factory=dict)
    """Per key of the ``applied`` message, one item for its list: ``receipts``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """One item, read again. A ``Failed`` outcome with a ``VerificationError`` says that it is damaged."""

    item: str
    outcome: Outcome
    row: Mapping[str, Json]
    """Of the ``verified`` message."""
    lines: tuple[str, ...]


Reading: TypeAlias = Callable[[], Verification]
"""Reads one item again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destroyed:
    """What a step took down."""

    removed: tuple[ResourceChange, ...] = ()
    message: Mapping[str, Json] = field(default_factory=dict)
    """Keys of the ``destroyed`` message."""
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemStatus:
    """What one step says of one item."""

    row: Mapping[str, Json] = field(default_factory=dict)
    """Keys of the item's row in the ``status`` message."""
    well: bool | None = True
    """``None``: neither good nor bad, there is nothing yet."""
    words: str | None = None
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStatus:
    """What is in place of one step, read with GET alone."""

    message: Mapping[str, Json] = field(default_factory=dict)
    """Keys of the ``status`` message."""
    items: Mapping[str, ItemStatus] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    """What a person is shown below the items."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """What ``render`` writes of one step."""

    files: Mapping[str, str] = field(default_factory=dict)
    """Path below the folder → text."""
    usage: tuple[str, ...] = ()
    """Commands that use them."""


class Step:
    """One capability. Frozen by use: a step holds no state, so one value serves every environment."""

    name: ClassVar[str]
    only: ClassVar[str]
    """Its group for ``--only``."""
    after: ClassVar[frozenset[str]] = frozenset()
    """Names of steps whose facts ``observe`` and ``declare`` read."""
    stack: ClassVar[Stack | None] = None
    """The Pulumi stack that it declares."""
    verifies: ClassVar[bool] = False
    """Whether ``verify`` has something to read."""
    sections: ClassVar[Sections] = ()
    """Keys of the environment file that it brings: of the top level, or of each model."""
    permissions: ClassVar[tuple[Need, ...]] = ()
    """What it needs of the cluster's API, beside what every run needs (``core/permissions.py``)."""
    areas: ClassVar[tuple[Area, ...]] = ()
    """Where ``examine`` looks; in a phase without an area of its own it is not called."""

    crowded: ClassVar[frozenset[str]] = frozenset()
    """Codes of failures that another at work beside it may be to blame for: whoever failed so is tried once more, alone."""

    def width(self, world: World) -> int:
        """How many of its planned steps, or of its readings, may run side by side, where nothing else lies between them. Asked before
        they run.
        """
        del world
        return 1

    def mounted(self, environment: Environment) -> Mounted:
        """What its pods mount, by name."""
        del environment
        return Mounted()

    # -- doctor ------------------------------------------------------------------------------------------------------

    def examine(self, look: Look, phase: Phase) -> None:
        """Look at what an apply would need; add a line for everything to ``look.found``. Goes on after what fails."""

    def judge_permissions(
        self, environment: Environment, rules: tuple[Rule, ...], missing: tuple[Rule, ...]
    ) -> Iterable[Finding]:
        """What a missing permission means where another one does as well. Each missing one is told in any case."""
        del environment, rules, missing
        return ()

    # -- looking -----------------------------------------------------------------------------------------------------

    def survey(self, world: World, facts: Facts) -> None:
        """Look at what is outside the cluster, and nowhere else: the sources."""

    def observe(self, world: World, facts: Facts) -> None:
        """Read what the plan depends on. ``PreconditionError`` (exit 3) for whatever would stop an apply. Writes nothing."""

    def declare(self, environment: Environment, request: Request, facts: Facts) -> StackSpec | None:
        """The stack as it should be, or ``None`` where this environment has nothing of it. Pure."""

    def judge(self, environment: Environment, preview: StackPreview, facts: Facts) -> StackPreview:
        """The preview of its stack, corrected by what else is known; may refuse. Pure."""
        del environment, facts
        return preview

    def plan(self, environment: Environment, request: Request, facts: Facts) -> tuple[PlannedStep, ...]:
        """What is to be done, the preview known (``PREVIEW`` of its stack). Pure; may refuse."""
        raise NotImplementedError

    def epilogue(self, facts: Facts) -> Iterable[str]:
        """What a person is shown below the planned steps."""
        del facts
        return ()

    def message(self, facts: Facts) -> Mapping[str, Json]:
        """Keys of the ``plan`` message."""
        del facts
        return {}

    # -- doing -------------------------------------------------------------------------------------------------------

    def run(self, planned: PlannedStep, world: World, facts: Facts) -> Finished:
        """Make ``planned`` so; called also where nothing is pending. A ``WeighbridgeError`` is a failed step."""
        raise NotImplementedError

    def interrupt(self, world: World) -> None:
        """From another thread, where several run side by side: what is under way ends soon, by an error in its thread, as an
        interruption would end it. Called again, it also gives up what tidies up after that.
        """

    def tidy(self, item: str, world: World) -> None:
        """Remove what earlier runs left of ``item`` in the cluster, and say so."""

    def verify(self, world: World, facts: Facts) -> Sequence[Reading]:
        """What reads again what is stored, an item each. ``PreconditionError`` where there is nothing yet."""
        del world, facts
        return ()

    # -- showing -----------------------------------------------------------------------------------------------------

    def status(self, world: World, facts: Facts) -> StepStatus:
        """What is in place."""
        del world, facts
        return StepStatus()

    def render(self, world: World, facts: Facts, out: Path) -> Rendered:
        """Manifests and variables as texts; ``out`` is where they will lie. Looks nowhere: ``survey`` has."""
        del world, facts, out
        return Rendered()

    # -- taking down -------------------------------------------------------------------------------------------------

    def would_destroy(self, environment: Environment, request: Request) -> str | None:
        """What ``destroy`` would do, after "This will"; ``None``: nothing."""
        del environment, request
        return None

    def consent(self, world: World, facts: Facts) -> None:
        """Refuse what was not asked for by name, before anything is taken down."""

    def destroy(self, world: World, facts: Facts) -> Destroyed | None:
        """Take down what the step has made; called in reverse order. ``None``: nothing to say."""
