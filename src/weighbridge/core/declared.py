"""Steps that declare a Pulumi stack: plan them from a preview, show the changes, and apply them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from weighbridge.core.events import Event, Observer, ResourceChanged
from weighbridge.core.outcome import Done, Outcome, Unchanged
from weighbridge.core.ports import STACKS
from weighbridge.core.step import PlannedStep, World
from weighbridge.domain.digest import Json, digest
from weighbridge.domain.facts import Facts, Key
from weighbridge.domain.stacks import (
    ClusterIdentity,
    Op,
    PropertyChange,
    ResourceChange,
    Stack,
    StackPreview,
    StackResult,
    StackSpec,
    imported,
    manifest_name,
)

IDENTITY: Final[Key[ClusterIdentity]] = Key("identity")
"""By stack name: the stack's cluster and how to reach it. Without a name: the same for what belongs to no stack."""
SPEC: Final[Key[StackSpec]] = Key("spec")
"""By stack name: the stack as it should be, as far as the plan knows."""
PREVIEW: Final[Key[StackPreview]] = Key("preview")
"""By stack name: what an update would do."""

_MARKS: Final = {"create": "+", "update": "~", "replace": "!", "delete": "-", "import": "<"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclareStack:
    """Make one Pulumi stack what its manifests say."""

    kind: ClassVar[str] = "declare-stack"
    stack: str
    inputs_digest: str
    """Digest of the stack's manifests."""

    @property
    def title(self) -> str:
        return f"stack {self.stack}"

    def as_json(self) -> Json:
        return {"kind": self.kind, "stack": self.stack, "inputs": self.inputs_digest}


def planned_stack(  # noqa: PLR0913  what a step may say of its stack
    step: str,
    facts: Facts,
    stack: Stack,
    *,
    about: Callable[[ResourceChange], str] = lambda _: "",
    needs: frozenset[str] = frozenset(),
    shows: Iterable[Json] = (),
) -> PlannedStep:
    """Return the step of a stack that was declared and previewed. ``about`` returns further text about one change.
    ``shows``: what the reviewer approves besides the changes of resources.
    """
    spec, preview = facts.known(SPEC, stack.name), facts.known(PREVIEW, stack.name)
    inputs = digest([dict(manifest) for manifest in spec.manifests])
    lines = [line for change in preview.changes for line in _change(change, about(change))]
    return PlannedStep(
        value=DeclareStack(stack=stack.name, inputs_digest=inputs),
        step=step,
        needs=needs,
        pending=preview.pending,
        reason=_reason(preview),
        lines=tuple(lines),
        shows=(*_rows(spec, preview), *(shows if preview.pending else ())),
    )


def make_so(world: World, spec: StackSpec, preview: StackPreview) -> tuple[StackResult, Outcome]:
    """Update the stack and return what changed. Report resources that the preview found missing in the state as imported."""
    taken = preview.taken_back
    result = world.port(STACKS).up(spec, _naming_imports(world.observer, taken))
    result = replace(result, changes=imported(result.changes, taken))
    if not result.changed:
        return result, Unchanged("nothing differed any more")
    return result, Done(", ".join(_done(change) for change in result.changes))


def _reason(preview: StackPreview) -> str:
    if not preview.changes:
        return f"preview empty, {preview.unchanged} as declared"
    drifted = [change.name for change in preview.changes if change.drifted]
    return f"edited from outside: {', '.join(drifted)}" if drifted else _counted(preview)


def _counted(preview: StackPreview) -> str:
    counts: dict[Op, int] = {}
    for change in preview.changes:
        counts[change.op] = counts.get(change.op, 0) + 1
    taken = counts.pop(Op.IMPORT, 0)
    words = [f"{number} to {op.value}" for op, number in counts.items()]
    if taken:
        words.insert(0, f"{taken} in the cluster, not in the state: will be taken into the state")
    return ", ".join(words)


def _change(change: ResourceChange, about: str) -> Iterable[str]:
    note = "  (edited from outside)" if change.drifted else ""
    if change.op is Op.IMPORT:
        note = "  (in the cluster, not in the state: will be taken into the state)"
    yield f"{_MARKS[change.op.value]} {change.type} {change.name}{about}{note}"
    for diff in change.diffs:
        yield f"    {diff.path}: {diff.before!r} → {diff.after!r}"


def _rows(spec: StackSpec, preview: StackPreview) -> Iterable[Json]:
    manifests = {manifest_name(manifest): dict(manifest) for manifest in spec.manifests}
    for change in preview.changes:
        row: dict[str, Json] = {
            "stack": preview.stack,
            "type": change.type,
            "name": change.name,
            "operation": change.op.value,
            "differences": [_difference(diff) for diff in change.diffs],
        }
        if not change.diffs and change.name in manifests:  # new resources are shown whole
            row["declared"] = manifests[change.name]
        yield row
    for name in preview.kept:
        yield {"stack": preview.stack, "kept": name}


def _difference(diff: PropertyChange) -> Json:
    return {"path": diff.path, "kind": diff.kind, "before": diff.before, "after": diff.after}


def _done(change: ResourceChange) -> str:
    if change.op is Op.IMPORT:
        return f"{change.name} taken into the state as it stands"
    return f"{change.op.value} {change.name}"


def _naming_imports(observer: Observer, taken: tuple[str, ...]) -> Observer:
    """Report as imported what Pulumi reports as created: Pulumi calls everything created that its state does not hold."""

    def observe(event: Event) -> None:
        if isinstance(event, ResourceChanged) and event.op == Op.CREATE.value and event.name in taken:
            event = replace(event, op=Op.IMPORT.value)
        observer(event)

    return observe
