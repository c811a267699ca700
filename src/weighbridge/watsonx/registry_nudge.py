"""After ``Failed``: make the operator look again, and explain what its failure means for us."""

from http import HTTPStatus
from typing import Final

from weighbridge.core.events import Event, Note, Observer, Warned
from weighbridge.domain.naming import MANAGER
from weighbridge.errors import PreconditionError, StepFailedError, is_transient
from weighbridge.kubernetes.client import WATSONX_IFM, ApiRefusedError
from weighbridge.watsonx.custom_resource import LiveCustomResource, parse_custom_resource
from weighbridge.watsonx.merge import PatchOperation
from weighbridge.watsonx.nudge import Nudge, find_nudge, named_models
from weighbridge.watsonx.ownership import resolved
from weighbridge.watsonx.reconciled import OPERATOR_FAILED, Baseline, Mark
from weighbridge.watsonx.registry import WatsonxRegistry

_CONFLICTS: Final = frozenset({HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY})


def nudge(registry: WatsonxRegistry, failure: StepFailedError, mark: Mark, observer: Observer) -> Mark:
    """Make the operator look again, and return the write to wait for.

    Wait a moment first: a cause outside the resource may need it to pass. Write nothing if somebody else has made the
    operator run meanwhile. Raise ``failure`` again, with what it means for our models, if the list holds no entry of
    ours or the owner forbids changes.
    """
    clock = registry.clock
    clock.sleep(registry.limits.nudge_after)
    deadline = clock.monotonic() + registry.limits.write
    while True:
        try:
            live = registry.read()
            if live.status.failure is None or live.status.running:
                observer(Note("somebody else's change makes the operator look again"))
                return mark
            chosen = _chosen(registry, live)
            if chosen is None or live.obstacle() is not None:
                raise explained(registry, failure)
            if (written := _written(registry, live, chosen, observer, mark)) is not None:
                return written
        except (PreconditionError, StepFailedError) as error:
            if not is_transient(error) or clock.monotonic() >= deadline:
                raise
        clock.sleep(0.2)


def explained(registry: WatsonxRegistry, failure: StepFailedError) -> StepFailedError:
    """Return ``failure`` with those of our models that the operator's message names. Return any other failure unchanged."""
    if failure.code != OPERATOR_FAILED:
        return failure
    ours = registry.intents().ours
    named = named_models(failure.what, ours)
    if named:
        about = f"it names {', '.join(named)} of environment {registry.environment}"
    elif ours:
        about = f"it names no model of environment {registry.environment}: ask whoever registered the one it does name"
    else:
        about = f"environment {registry.environment} has no entry there"
    return StepFailedError(f"{failure.what} ({about})", remedy=failure.remedy, code=failure.code)


def _chosen(registry: WatsonxRegistry, live: LiveCustomResource) -> Nudge | None:
    ours = {model_id: intent.entry for model_id, intent in resolved(registry.intents(), live).ours.items()}
    return find_nudge(live.models, ours, live.status.failure or "")


def _written(
    registry: WatsonxRegistry, live: LiveCustomResource, chosen: Nudge, observer: Observer, mark: Mark
) -> Mark | None:
    """Return the mark of the edit; ``None`` if somebody else wrote first."""
    after = live
    for number in range(len(chosen.patches)):
        guard: PatchOperation = {
            "op": "test",
            "path": "/metadata/resourceVersion",
            "value": after.resource_version,
        }
        try:
            after = parse_custom_resource(
                registry.kube.json_patch(
                    WATSONX_IFM, registry.name, registry.namespace, [guard, *chosen.operations(number)]
                )
            )
        except ApiRefusedError as error:
            if error.status not in _CONFLICTS:
                raise
            return _put_back(registry, chosen, mark, observer) if number else None
        if number == 0:
            observer(_announcement(live, chosen))
    return _recorded(registry, after, mark)


def _put_back(registry: WatsonxRegistry, chosen: Nudge, mark: Mark, observer: Observer) -> Mark:
    """Put the entry back after somebody wrote in between. Write it like any missing entry of ours."""
    entries = [intent.entry for intent in registry.intents().ours.values()]
    observer(Note(f"{chosen.model_id} is put back beside what somebody else has written meanwhile"))
    return registry.write((), entries, observer=observer).mark or mark


def _recorded(registry: WatsonxRegistry, after: LiveCustomResource, mark: Mark) -> Mark:
    writer = after.spec_written(MANAGER)
    at = writer.time.isoformat() if writer is not None and writer.time else mark.written_at
    asked = Mark(after.uid, at, Baseline.of(after, exact=True), mark.entries)
    intents = registry.intents()
    registry.record(intents, intents.with_mark(asked))
    return asked


def _announcement(live: LiveCustomResource, chosen: Nudge) -> Event:
    return Warned(
        f"the operator failed on {live.where}: {live.status.failure}. It is asked once to look again, "
        f"by taking the entry of {chosen.model_id} out and putting it back {chosen.place}"
    )
