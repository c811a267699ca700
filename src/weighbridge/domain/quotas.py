"""ResourceQuota: what one model in transfer takes of it, and for how many more there is room (Kubernetes, "Resource
Quotas"). Without side effects.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeAlias

from weighbridge.domain.quantity import parse_bytes

Object: TypeAlias = Mapping[str, Any]

_OBJECTS: Final = ("configmaps", "secrets", "count/configmaps", "count/secrets", "count/jobs.batch")
"""Its order, its keys, its Job. What one model left is removed before the next one starts."""


@dataclass(frozen=True, slots=True)
class PodNeed:
    """Our pods' only container. Quantities as Kubernetes writes them."""

    requests: Mapping[str, str]
    limits: Mapping[str, str]
    terminating: frozenset[bool]
    """Whether pods have a deadline of their own (activeDeadlineSeconds). Rsync pods do; a Job's pods do not."""


def milli(quantity: object) -> int:
    """Return a quantity in thousandths, so that ``250m`` of a CPU and ``1.5`` can be compared."""
    text = str(quantity)
    if text.endswith("m"):
        return parse_bytes(text.removesuffix("m"))
    try:
        return int(1000 * Decimal(text))
    except InvalidOperation:
        return 1000 * parse_bytes(text)


def limits(quota: Object) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return (what it allows, what is used of it), by name of the resource."""
    status, spec = quota.get("status") or {}, quota.get("spec") or {}
    return status.get("hard") or spec.get("hard") or {}, status.get("used") or {}


def is_scoped(quota: Object) -> bool:
    """Return whether it counts only some pods, and no other objects."""
    spec = quota.get("spec") or {}
    return bool(spec.get("scopes") or spec.get("scopeSelector"))


def needs_of_a_model(quota: Object, pod: PodNeed) -> dict[str, int]:
    """Return what a model in transfer takes of this quota, in thousandths."""
    needs = _needs_of_pod(pod) if counts_our_pods(quota, pod.terminating) else {}
    return needs if is_scoped(quota) else {**needs, **dict.fromkeys(_OBJECTS, 1000)}


def room(quotas: Sequence[Object], pod: PodNeed) -> int | None:
    """Return how many models may be in transfer at once under all the quotas, at least none; ``None`` if no quota limits it."""
    found = []
    for quota in quotas:
        needs, (hard, used) = needs_of_a_model(quota, pod), limits(quota)
        found += [
            max(0, milli(limit) - milli(used.get(key, "0"))) // needs[key]
            for key, limit in hard.items()
            if needs.get(key)
        ]
    return min(found, default=None)


def _needs_of_pod(pod: PodNeed) -> dict[str, int]:
    needs = {"pods": 1000, "count/pods": 1000}
    for name in ("cpu", "memory"):
        needs[name] = needs[f"requests.{name}"] = milli(pod.requests[name])
        needs[f"limits.{name}"] = milli(pod.limits[name])
    return needs


def counts_our_pods(quota: Object, terminating: frozenset[bool]) -> bool:
    """Return whether a quota with its scopes counts a pod of ours. Ours have no priority class, and are never BestEffort."""
    spec = quota.get("spec") or {}
    rows = [(str(scope), "Exists", ()) for scope in spec.get("scopes") or ()]
    rows += [
        (str(row.get("scopeName")), str(row.get("operator", "Exists")), tuple(row.get("values") or ()))
        for row in (spec.get("scopeSelector") or {}).get("matchExpressions") or ()
    ]
    answers = {
        "Terminating": True in terminating,
        "NotTerminating": False in terminating,
        "BestEffort": False,
        "NotBestEffort": True,
        "CrossNamespacePodAffinity": False,
    }
    return all(
        operator in {"DoesNotExist", "NotIn"} if scope == "PriorityClass" else answers.get(scope, True)
        for scope, operator, _ in rows
    )
