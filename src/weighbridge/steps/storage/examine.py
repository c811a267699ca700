"""What ``doctor`` checks before volumes are made: storage classes, existing claims, and what the namespace allows."""

from collections.abc import Mapping
from functools import partial

from weighbridge.core.examination import Look
from weighbridge.core.finding import Finding, Level, not_looked_at
from weighbridge.domain import sizing
from weighbridge.domain.claims import BOUND, claim_of
from weighbridge.domain.quantity import parse_bytes
from weighbridge.domain.weights import LISTING
from weighbridge.environment.types import AccessMode, Model
from weighbridge.probing.probes import PROBES, Object
from weighbridge.steps.storage import judged, quota
from weighbridge.steps.storage.judged import AREA
from weighbridge.transfers import TRANSFERS, pod_need


def examine(look: Look) -> None:
    """Classes and claims, then quotas and limits."""
    look.say("storage")
    lines, claims = _claims(look)
    wanted: dict[str, set[AccessMode]] = {}
    for model in look.environment.models:
        if model.storage.storage_class is not None:
            wanted.setdefault(model.storage.storage_class, set()).add(model.storage.access_mode)
    for name, modes in wanted.items():
        proven = any(judged.is_shared_and_bound(claim, name) for claim in claims.values())
        _storage_class(look, name, frozenset(modes), proven=proven)
    look.found.extend(lines)
    look.say("quota")
    _quota(look, claims)


def _claims(look: Look) -> tuple[list[Finding], dict[str, Object | None]]:
    """Return the claims' lines, which are printed after those of the classes, and by name the claims that could be
    read. The classes are judged with them.
    """
    before = len(look.found)
    claims: dict[str, Object | None] = {}
    for model in look.environment.models:
        name = claim_of(look.environment, model)
        claim = look.ask(AREA, f"claim {name}", partial(look.port(PROBES).claim, name))
        if claim:
            claims[name] = claim[0]
            look.facts.put(BOUND, judged.is_bound(claim[0]), name)
            total = _total(look, model)
            look.found.append(judged.judge_claim(look.environment.name, model, name, claim[0], total))
    lines = look.found[before:]
    del look.found[before:]
    return lines, claims


def _storage_class(look: Look, name: str, modes: frozenset[AccessMode], *, proven: bool) -> None:
    label, probes = f"class {name}", look.port(PROBES)
    found = look.ask(AREA, label, partial(probes.storage_class, name))
    if found is None:
        return
    look.found.extend(judged.judge_class(name, found[0], modes, proven=proven))
    if found[0] is None:
        look.found.append(not_looked_at(AREA, f"{label}: fsGroup", "the class is absent"))
        return
    provisioner = str(found[0].get("provisioner", ""))
    driver = look.ask(AREA, f"{label}: fsGroup", partial(probes.csi_driver, provisioner), level=Level.WARN)
    if driver:
        shared = AccessMode.READ_WRITE_MANY in modes
        look.found.append(judged.judge_driver(label, provisioner, driver[0], shared=shared))


def _quota(look: Look, claims: Mapping[str, Object | None]) -> None:
    environment, probes = look.environment, look.port(PROBES)
    needed = [
        quota.ClaimNeed(claim_of(environment, model), model.storage.storage_class, _size(look, model))
        for model in environment.models
        if model.storage.existing_pvc is None and claims.get(claim_of(environment, model)) is None
    ]
    pod, wanted = pod_need(environment), TRANSFERS.read(environment)
    quotas = look.ask(quota.AREA, "ResourceQuota", probes.quotas)
    if quotas:
        look.found.extend(quota.judge_quotas(quotas[0], needed, pod, wanted.models if wanted else 1))
    ranges = look.ask(quota.AREA, "LimitRange", probes.limit_ranges)
    if ranges:
        look.found.extend(quota.judge_limit_ranges(ranges[0], needed, pod))


def _size(look: Look, model: Model) -> int | None:
    return parse_bytes(model.storage.size) if model.storage.size != "auto" else _needed(look, model)


def _needed(look: Look, model: Model) -> int | None:
    """Return the bytes of the needed volume, or ``None`` if the source could not be listed."""
    total = _total(look, model)
    return None if total is None else sizing.needed_bytes(total, model.storage.keep)


def _total(look: Look, model: Model) -> int | None:
    """Return the bytes of the set at the source, or ``None`` if it could not be listed."""
    listing = look.facts.one(LISTING, model.id)
    return None if listing is None else listing.total_bytes
