"""Judge the ``Watsonxaiifm`` resource: is it served, present, ours, free to be written, and is its operator well."""

from collections.abc import Sequence
from datetime import datetime

from weighbridge.core.finding import Finding, fail, ok, warn
from weighbridge.domain.human import count, duration
from weighbridge.domain.visible import quoted
from weighbridge.probing.probes import Operator
from weighbridge.steps.registration.areas import REGISTRATION
from weighbridge.steps.registration.needs import IFM_GROUP
from weighbridge.watsonx.custom_resource import LiveCustomResource

AREA = REGISTRATION.name
VERSION = "v1beta1"
STUCK_SECONDS = 1800
"""A running operator without a report for half an hour counts as stuck; a whole reconciliation takes minutes."""


def judge_served(versions: Sequence[str]) -> Finding:
    if not versions:
        return fail(
            AREA,
            "resource definition",
            f"the cluster serves nothing of {IFM_GROUP}",
            "watsonx.ai's inference foundation models (IFM) operator is not installed here, or this is another cluster",
            theirs=True,
        )
    served = ", ".join(versions)
    if VERSION not in versions:
        return fail(
            AREA, "resource definition", f"{IFM_GROUP} serves {served}, not {VERSION}",
            f"this weighbridge writes {VERSION}: install a release of watsonx.ai that serves it", theirs=True,
        )  # fmt: skip
    return ok(AREA, "resource definition", f"{IFM_GROUP} serves {served}")


def judge_custom_resource(name: str, live: LiveCustomResource | None, now: datetime | None) -> list[Finding]:
    """``now`` is the time by the API server's clock."""
    label = f"custom resource {name}"
    if live is None:
        return [fail(
            AREA, label, "absent",
            "watsonx.ai's operator makes it; name it in cluster.custom_resource, or install the service first", theirs=True,
        )]  # fmt: skip
    if not live.has_spec:
        return [fail(AREA, label, "has no spec, which its owner has to set", theirs=True)]
    entries = live.models if isinstance(live.models, list) else []
    if live.models is not None and not isinstance(live.models, list):
        found = [fail(AREA, label, "spec.custom_foundation_models is no list", "its owner has to mend it")]
    else:
        found = [ok(AREA, label, f"version {live.version}, {count(len(entries), 'model')} registered")]
    return [*found, _owner(live), _obstacle(live), *_operator_status(live, now)]


def _owner(live: LiveCustomResource) -> Finding:
    if live.gitops:
        return warn(
            AREA,
            "owner",
            f"kept by {' and '.join(map(str, live.gitops))}: it may undo what is registered",
            "have spec.custom_foundation_models left out of what it compares (Argo CD: ignoreDifferences with"
            " RespectIgnoreDifferences=true; Flux: leave the field out of its source)",
            theirs=True,
        )
    writer = live.spec_written()
    if writer is None:
        return ok(AREA, "owner", "nobody is recorded as the writer of its spec")
    return ok(AREA, "owner", f"spec last written by {quoted(writer.manager)} at {writer.time}")


def _obstacle(live: LiveCustomResource) -> Finding:
    obstacle = live.obstacle()
    if obstacle is None:
        return ok(AREA, "free to write", "no maintenance, shutdown or unfinished upgrade")
    return fail(AREA, "free to write", obstacle, "wait until its owner has ended this", theirs=True)


def _operator_status(live: LiveCustomResource, now: datetime | None) -> list[Finding]:
    status, name = live.status, "operator's word"
    written = live.status_written_at
    age = (now - written).total_seconds() if now is not None and written is not None else None
    when = f", written {duration(max(0.0, age))} ago" if age is not None else ""
    said = status.describe() + when
    if status.failure is not None:
        return [fail(
            AREA, name, f"Failed: {status.failure}{when}",
            "read the operator's log for the cause; nothing counts as registered before it has reconciled", theirs=True,
        )]  # fmt: skip
    if status.state is None:
        return [
            warn(
                AREA,
                name,
                "no status yet: the operator has not looked at it",
                "is the operator running?",
                theirs=True,
            )
        ]
    if status.running and age is not None and age > STUCK_SECONDS:
        return [
            warn(
                AREA,
                name,
                said,
                "it is under way and says nothing new: is the operator running?",
                theirs=True,
            )
        ]
    if status.running:
        return [warn(AREA, name, said, "an apply waits until it has ended")]
    return (
        [ok(AREA, name, said)]
        if status.ready
        else [warn(AREA, name, said, "it is not simply Completed, 100 %")]
    )


def judge_operators(found: Sequence[Operator] | None) -> Finding:
    name = "operator's Deployment"
    if found is None:
        return ok(AREA, name, "may not be read from here; its word in the custom resource has to do")
    if not found:
        return ok(AREA, name, "none of the usual name; its word in the custom resource has to do")
    down = [
        f"{item.namespace}/{item.name} {item.ready} of {item.wanted} ready"
        for item in found
        if item.ready < max(1, item.wanted)
    ]
    if down:
        return fail(AREA, name, "; ".join(down), "nothing is reconciled while it is down", theirs=True)
    return ok(AREA, name, ", ".join(f"{item.namespace}/{item.name} ready" for item in found))
