"""ResourceQuota and LimitRange: would our claims and pods fit (Kubernetes, "Resource Quotas" and "Limit Ranges").

Each model in transfer takes one pod, one Job, one ConfigMap with an order and one Secret (``domain/quotas.py``),
besides the lasting objects. ``transfers.models`` says how many models are in transfer at once. If it is not set, one
is assumed here: weighbridge then fits the number to what the quotas leave.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from weighbridge.core.finding import Finding, fail, not_looked_at, ok
from weighbridge.domain.quantity import parse_bytes
from weighbridge.domain.quotas import (
    Object,
    PodNeed,
    counts_our_pods,
    is_scoped,
    limits,
    milli,
    needs_of_a_model,
)
from weighbridge.steps.storage.areas import QUOTA

AREA = QUOTA.name


@dataclass(frozen=True, slots=True)
class ClaimNeed:
    """A claim that an apply would make."""

    name: str
    storage_class: str | None
    bytes: int | None
    """``None`` if the source could not be listed."""


def judge_quotas(
    quotas: Sequence[Object], claims: Sequence[ClaimNeed], pod: PodNeed, models_at_once: int = 1
) -> list[Finding]:
    """Return one line for each quota."""
    if not quotas:
        return [ok(AREA, "ResourceQuota", "none in the namespace")]
    return [_of_quota(quota, claims, pod, models_at_once) for quota in quotas]


def _of_quota(quota: Object, claims: Sequence[ClaimNeed], pod: PodNeed, models_at_once: int) -> Finding:
    name = f"ResourceQuota {quota['metadata']['name']}"
    hard, used = limits(quota)
    pods, scoped = counts_our_pods(quota, pod.terminating), is_scoped(quota)
    needs = {key: models_at_once * need for key, need in needs_of_a_model(quota, pod).items()}
    if not scoped:
        for key, need in (_needs_of_claims(claims) | _needs_of_lasting(claims)).items():
            needs[key] = needs.get(key, 0) + need
    lacking, unknown = [], [claim.name for claim in claims if claim.bytes is None and not scoped]
    for key, limit in hard.items():
        need = needs.get(key, 0)
        if need and need + milli(used.get(key, "0")) > milli(limit):
            lacking.append(f"{key}: {used.get(key, '0')} of {limit} used, {_shown(key, need)} more needed")
        elif pods and key.endswith("ephemeral-storage"):
            lacking.append(f"{key}: every pod must then say how much it takes, and ours do not")
    if lacking:
        return fail(
            AREA, name, "; ".join(lacking), "have it raised, free some of it, or lower pods.resources, storage.keep and transfers.models", theirs=True,
        )  # fmt: skip
    if unknown and any("storage" in key for key in hard):
        return not_looked_at(
            AREA, name, f"the size of {', '.join(unknown)} is not known without its source's listing"
        )
    return ok(AREA, name, "our claims and pods fit" if pods or not scoped else "does not count what we make")


def _needs_of_claims(claims: Iterable[ClaimNeed]) -> dict[str, int]:
    needs: dict[str, int] = {}

    def add(key: str, amount: int) -> None:
        needs[key] = needs.get(key, 0) + 1000 * amount

    for claim in claims:
        prefixes = [""] + (
            [f"{claim.storage_class}.storageclass.storage.k8s.io/"] if claim.storage_class else []
        )
        for prefix in prefixes:
            add(f"{prefix}persistentvolumeclaims", 1)
            add(f"{prefix}requests.storage", claim.bytes or 0)
        add("count/persistentvolumeclaims", 1)
    return needs


def _needs_of_lasting(claims: Sequence[ClaimNeed]) -> dict[str, int]:
    """Return the needs of the lasting objects: one Lease, and on the first run also two ConfigMaps."""
    maps = 2 if claims else 0
    needs = {"configmaps": maps, "count/configmaps": maps, "count/leases.coordination.k8s.io": 1}
    return {key: 1000 * number for key, number in needs.items()}


def _shown(key: str, need: int) -> str:
    if key.endswith(("storage", "memory")):
        mib = -(-need // (1000 * 1024**2))
        return f"{mib}Mi"
    return f"{need}m" if key.endswith("cpu") else str(need // 1000)


def judge_limit_ranges(ranges: Sequence[Object], claims: Sequence[ClaimNeed], pod: PodNeed) -> list[Finding]:
    """Return one line for each LimitRange."""
    if not ranges:
        return [ok(AREA, "LimitRange", "none in the namespace")]
    lines = []
    for item in ranges:
        name = f"LimitRange {item['metadata']['name']}"
        refused = [
            said
            for limit in (item.get("spec") or {}).get("limits") or ()
            for said in _outside(limit, claims, pod)
        ]
        lines.append(
            fail(
                AREA,
                name,
                "; ".join(refused),
                "set pods.resources (or storage.size) within it, or have it widened",
                theirs=True,
            )
            if refused
            else ok(AREA, name, "our claims and pods are within it")
        )
    return lines


def _outside(limit: Mapping[str, Any], claims: Sequence[ClaimNeed], pod: PodNeed) -> list[str]:
    kind = str(limit.get("type"))
    if kind in {"Container", "Pod"}:
        return _container_outside(kind.lower(), limit, pod)
    return _claims_outside(limit, claims) if kind == "PersistentVolumeClaim" else []


def _container_outside(kind: str, limit: Mapping[str, Any], pod: PodNeed) -> list[str]:
    low, high = limit.get("min") or {}, limit.get("max") or {}
    said = []
    for name in ("cpu", "memory"):
        requested, allowed = pod.requests[name], pod.limits[name]
        if name in low and milli(requested) < milli(low[name]):
            said.append(f"a {kind} must request at least {low[name]} of {name}, ours requests {requested}")
        if name in high and milli(allowed) > milli(high[name]):
            said.append(f"a {kind} may have at most {high[name]} of {name}, ours has a limit of {allowed}")
        ratio = (limit.get("maxLimitRequestRatio") or {}).get(name)
        if ratio is not None and 1000 * milli(allowed) > milli(ratio) * milli(requested):
            said.append(
                f"limit over request of {name} may be at most {ratio}, ours are {allowed} over {requested}"
            )
    return said


def _claims_outside(limit: Mapping[str, Any], claims: Sequence[ClaimNeed]) -> list[str]:
    low, high = (limit.get("min") or {}).get("storage"), (limit.get("max") or {}).get("storage")
    said = []
    for claim in claims:
        if claim.bytes is None:
            continue
        size = _shown("storage", 1000 * claim.bytes)
        if low is not None and claim.bytes < parse_bytes(str(low)):
            said.append(f"a claim must be at least {low}, {claim.name} is {size}")
        if high is not None and claim.bytes > parse_bytes(str(high)):
            said.append(f"a claim may be at most {high}, {claim.name} is {size}")
    return said
