"""ResourceQuota and LimitRange: would our claims and pods fit (Kubernetes, "Resource Quotas" and "Limit Ranges").

Models are brought in one after the other, and what one of them left is removed before the next thing starts: so one pod, one
Job, one ConfigMap with an order and one Secret at a time, beside what lasts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, TypeAlias

from weighbridge.core.finding import Finding, fail, not_looked_at, ok
from weighbridge.domain.quantity import parse_bytes
from weighbridge.environment.types import Environment, Route
from weighbridge.manifests.pods import pod_settings
from weighbridge.steps.storage.areas import QUOTA

AREA = QUOTA.name

Object: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ClaimNeed:
    """A claim that an apply would make."""

    name: str
    storage_class: str | None
    bytes: int | None
    """``None`` where the source could not be listed."""


@dataclass(frozen=True, slots=True)
class PodNeed:
    """Our pods' only container. Quantities as Kubernetes writes them."""

    requests: Mapping[str, str]
    limits: Mapping[str, str]
    terminating: frozenset[bool]
    """Whether pods have a deadline of their own (activeDeadlineSeconds): rsync pods do, a Job's pods do not."""


def pod_need(environment: Environment) -> PodNeed:
    """What each pod of the environment takes."""
    settings = pod_settings(environment)
    routes = {route for model in environment.models for route in model.routes}
    return PodNeed(
        settings.requests, settings.limits, frozenset({False, *([True] if Route.PUSH in routes else [])})
    )


def milli(quantity: object) -> int:
    """A quantity in thousandths, so that ``250m`` of a CPU and ``1.5`` compare."""
    text = str(quantity)
    if text.endswith("m"):
        return parse_bytes(text.removesuffix("m"))
    try:
        return int(1000 * Decimal(text))
    except InvalidOperation:
        return 1000 * parse_bytes(text)


def judge_quotas(quotas: Sequence[Object], claims: Sequence[ClaimNeed], pod: PodNeed) -> list[Finding]:
    """A line a quota."""
    if not quotas:
        return [ok(AREA, "ResourceQuota", "none in the namespace")]
    return [_of_quota(quota, claims, pod) for quota in quotas]


def _of_quota(quota: Object, claims: Sequence[ClaimNeed], pod: PodNeed) -> Finding:
    name = f"ResourceQuota {quota['metadata']['name']}"
    status = quota.get("status") or {}
    hard: Mapping[str, Any] = status.get("hard") or (quota.get("spec") or {}).get("hard") or {}
    used: Mapping[str, Any] = status.get("used") or {}
    pods = _counts_our_pods(quota.get("spec") or {}, pod.terminating)
    scoped = bool((quota.get("spec") or {}).get("scopes") or (quota.get("spec") or {}).get("scopeSelector"))
    needs = _needs_of_pod(pod) if pods else {}
    if not scoped:
        needs |= _needs_of_claims(claims) | _needs_of_objects(claims)
    lacking, unknown = [], [claim.name for claim in claims if claim.bytes is None and not scoped]
    for key, limit in hard.items():
        need = needs.get(key, 0)
        if need and need + milli(used.get(key, "0")) > milli(limit):
            lacking.append(f"{key}: {used.get(key, '0')} of {limit} used, {_shown(key, need)} more needed")
        elif pods and key.endswith("ephemeral-storage"):
            lacking.append(f"{key}: every pod must then say how much it takes, and ours do not")
    if lacking:
        return fail(
            AREA, name, "; ".join(lacking), "have it raised, free some of it, or lower pods.resources and storage.keep", theirs=True,
        )  # fmt: skip
    if unknown and any("storage" in key for key in hard):
        return not_looked_at(
            AREA, name, f"the size of {', '.join(unknown)} is not known without its source's listing"
        )
    return ok(AREA, name, "our claims and pods fit" if pods or not scoped else "does not count what we make")


def _needs_of_pod(pod: PodNeed) -> dict[str, int]:
    needs = {"pods": 1000, "count/pods": 1000}
    for name in ("cpu", "memory"):
        needs[name] = needs[f"requests.{name}"] = milli(pod.requests[name])
        needs[f"limits.{name}"] = milli(pod.limits[name])
    return needs


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


def _needs_of_objects(claims: Sequence[ClaimNeed]) -> dict[str, int]:
    """One order and one Secret at a time, one Job, one Lease; on the first run also two ConfigMaps that stay."""
    maps = 3 if claims else 1
    counted = {"configmaps": maps, "secrets": 1}
    needs = {key: 1000 * number for key, number in counted.items()}
    needs |= {f"count/{key}": 1000 * number for key, number in counted.items()}
    return needs | {"count/jobs.batch": 1000, "count/leases.coordination.k8s.io": 1000}


def _counts_our_pods(spec: Mapping[str, Any], terminating: frozenset[bool]) -> bool:
    """Whether a quota with these scopes counts some pod of ours: no priority class, and never BestEffort."""
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


def _shown(key: str, need: int) -> str:
    if key.endswith(("storage", "memory")):
        mib = -(-need // (1000 * 1024**2))
        return f"{mib}Mi"
    return f"{need}m" if key.endswith("cpu") else str(need // 1000)


def judge_limit_ranges(ranges: Sequence[Object], claims: Sequence[ClaimNeed], pod: PodNeed) -> list[Finding]:
    """A line a LimitRange."""
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
