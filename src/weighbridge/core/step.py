"""A step: one capability of an environment, from looking to destroying. ``steps/__init__.py`` lists the steps in
order.

The orchestrator knows only this class. A method that a step does not define keeps the default here, which does
nothing. The order of looking is ``survey``, ``observe``, ``declare``, previews, ``plan``.
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
    """Models whose entries weighbridge may take over from another author."""
    only: str | None = None
    """The only group of steps to run (``--only``); ``None``: every step."""
    typed: frozenset[str] = frozenset()
    """Typed names of what holds weights and may be deleted (``destroy --weights``)."""
    named: str | None = None
    """The environment's name on the command line; suggested commands repeat it."""


class World(Protocol):
    """What a step may use, for one run of one verb."""

    @property
    def environment(self) -> Environment: ...

    @property
    def request(self) -> Request: ...

    @property
    def observer(self) -> Observer: ...

    def port(self, port: Port[T]) -> T:
        """Return that part of the world. Make it at its first use: ``status`` needs no passphrase, ``render`` no cluster."""
        ...

    def selected(self, step: str) -> bool:
        """Return whether the step with that name takes part in this run (``--only``)."""
        ...

    def require(self) -> None:
        """Raise ``StepFailedError`` if the lock of the environment was lost. Do nothing in a run without a lock."""
        ...


class StepValue(Protocol):
    """What to do, as a frozen value. Two values for the same work are equal."""

    kind: ClassVar[str]

    @property
    def title(self) -> str: ...

    def as_json(self) -> Json:
        """Return canonical JSON of what is known at plan time. The key is made from it."""
        ...


def step_key(value: StepValue) -> str:
    """Return ``<kind>:<12 hex digits>``. The same planned step always has the same key."""
    return f"{value.kind}:{digest(value.as_json()).removeprefix('sha256:')[:_SHORT]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """One thing to do, and whether it is pending."""

    value: StepValue
    step: str
    """Name of the step that planned it."""
    item: str | None = None
    """The item that it is for: a model's id."""
    needs: frozenset[str] = frozenset()
    """Keys of what has to succeed first. If one of them fails, this is skipped."""
    pending: bool
    reason: str
    """Why it must run, or why nothing needs to be done."""
    bytes_to_move: int = 0
    lines: tuple[str, ...] = ()
    """What is printed below its title."""
    shows: tuple[Json, ...] = ()
    """What a reviewer approves (``core/review.py``), one row for each change; empty if nothing is pending."""

    @property
    def key(self) -> str:
        return step_key(self.value)


PLANNED: Key[tuple[PlannedStep, ...]] = Key("planned")
"""By step name: what the step planned."""
WARNINGS: Key[tuple[str, ...]] = Key("warnings")
"""By step name: what stops nothing, but the user should know."""


def keys_of(facts: Facts, step: str, item: str | None = None) -> frozenset[str]:
    """Return the keys of what ``step`` has planned, only for ``item`` if it is given. Used for ``PlannedStep.needs``."""
    planned = facts.one(PLANNED, step) or ()
    return frozenset(one.key for one in planned if item is None or one.item == item)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The result of one planned step."""

    outcome: Outcome
    row: Mapping[str, Json] = field(default_factory=dict)
    """Further keys of its row in the journal and in ``--json``."""
    lines: tuple[str, ...] = ()
    """What is printed at the end."""
    adds: Mapping[str, Json] = field(default_factory=dict)
    """By key of the ``applied`` message (such as ``receipts``): one element for its list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The result of reading one item again. ``Failed`` with a ``VerificationError`` means that the item is damaged."""

    item: str
    outcome: Outcome
    row: Mapping[str, Json]
    """Keys of the item's row in the ``verified`` message."""
    lines: tuple[str, ...]


Reading: TypeAlias = Callable[[], Verification]
"""Read one item again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destroyed:
    """What a step deleted."""

    removed: tuple[ResourceChange, ...] = ()
    message: Mapping[str, Json] = field(default_factory=dict)
    """Keys of the ``destroyed`` message."""
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemStatus:
    """What one step reports about one item."""

    row: Mapping[str, Json] = field(default_factory=dict)
    """Keys of the item's row in the ``status`` message."""
    well: bool | None = True
    """``None``: neither good nor bad, because nothing is there yet."""
    words: str | None = None
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStatus:
    """What one step has in place, read with GET requests only."""

    message: Mapping[str, Json] = field(default_factory=dict)
    """Keys of the ``status`` message."""
    items: Mapping[str, ItemStatus] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    """What is printed below the items."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """What ``render`` writes for one step."""

    files: Mapping[str, str] = field(default_factory=dict)
    """Path below the folder → text."""
    usage: tuple[str, ...] = ()
    """Commands that use them."""


class Step:
    """One capability. A step holds no state, so one object serves every environment."""

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
    """What it needs from the cluster's API, besides what every run needs (``core/permissions.py``)."""
    areas: ClassVar[tuple[Area, ...]] = ()
    """The areas that ``examine`` fills. It is called only in the phases of these areas."""

    crowded: ClassVar[frozenset[str]] = frozenset()
    """Codes of failures that items running side by side may cause in each other. Such an item is tried once more, alone."""

    def width(self, world: World) -> int:
        """Return how many of its planned steps or readings may run side by side, if none lies between. Asked before
        they run.
        """
        del world
        return 1

    def mounted(self, environment: Environment) -> Mounted:
        """Return what its pods mount, by name."""
        del environment
        return Mounted()

    # -- doctor ------------------------------------------------------------------------------------------------------

    def examine(self, look: Look, phase: Phase) -> None:
        """Check what an apply would need; add a line for everything to ``look.found``. Go on after a failed check."""

    def judge_permissions(
        self, environment: Environment, rules: tuple[Rule, ...], missing: tuple[Rule, ...]
    ) -> Iterable[Finding]:
        """Return what a missing permission means if another permission can replace it. Each missing one is listed anyway."""
        del environment, rules, missing
        return ()

    # -- looking -----------------------------------------------------------------------------------------------------

    def survey(self, world: World, facts: Facts) -> None:
        """Read what is outside the cluster, and nothing else: the sources."""

    def observe(self, world: World, facts: Facts) -> None:
        """Read what the plan depends on. Raise ``PreconditionError`` (exit 3) if an apply would stop. Write nothing."""

    def declare(self, environment: Environment, request: Request, facts: Facts) -> StackSpec | None:
        """Return the stack as it should be, or ``None`` if this environment has nothing for it. Without side effects."""

    def judge(self, environment: Environment, preview: StackPreview, facts: Facts) -> StackPreview:
        """Return the preview of its stack, corrected by what else is known. May refuse. Without side effects."""
        del environment, facts
        return preview

    def plan(self, environment: Environment, request: Request, facts: Facts) -> tuple[PlannedStep, ...]:
        """Return what to do. The stack's preview is known (``PREVIEW``). May refuse. Without side effects."""
        raise NotImplementedError

    def epilogue(self, facts: Facts) -> Iterable[str]:
        """Return what is printed below the planned steps."""
        del facts
        return ()

    def message(self, facts: Facts) -> Mapping[str, Json]:
        """Keys of the ``plan`` message."""
        del facts
        return {}

    # -- doing -------------------------------------------------------------------------------------------------------

    def run(self, planned: PlannedStep, world: World, facts: Facts) -> Finished:
        """Do ``planned``; called even if nothing is pending. A ``WeighbridgeError`` means that the step failed."""
        raise NotImplementedError

    def interrupt(self, world: World) -> None:
        """Stop the running steps soon, as an interruption would. Called from another thread if several run side by
        side; each of their threads gets an error. A second call also stops the cleanup after that.
        """

    def tidy(self, item: str, world: World) -> None:
        """Remove what earlier runs left of ``item`` in the cluster, and report it."""

    def verify(self, world: World, facts: Facts) -> Sequence[Reading]:
        """Return a function for each item that reads it again. Raise ``PreconditionError`` if nothing is there yet."""
        del world, facts
        return ()

    # -- showing -----------------------------------------------------------------------------------------------------

    def status(self, world: World, facts: Facts) -> StepStatus:
        """Return what is in place."""
        del world, facts
        return StepStatus()

    def render(self, world: World, facts: Facts, out: Path) -> Rendered:
        """Return manifests and variables as texts; ``out`` is the folder for them. Read nothing: ``survey`` has done so."""
        del world, facts, out
        return Rendered()

    # -- taking down -------------------------------------------------------------------------------------------------

    def would_destroy(self, environment: Environment, request: Request) -> str | None:
        """Return what ``destroy`` would do, as the text after "This will"; ``None``: nothing."""
        del environment, request
        return None

    def consent(self, world: World, facts: Facts) -> None:
        """Refuse, before anything is deleted, what was not asked for by name."""

    def destroy(self, world: World, facts: Facts) -> Destroyed | None:
        """Delete what the step has made; called in reverse order. Return ``None`` if there is nothing to report."""
