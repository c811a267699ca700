"""Ask admission about our objects with server-side dry runs, and show what webhooks, policies and quotas answer."""

import re
from collections.abc import Sequence

from weighbridge.core.finding import Finding, fail, not_looked_at, ok, warn
from weighbridge.errors import ForbiddenError
from weighbridge.probing.probes import Rehearsal
from weighbridge.steps.weights.areas import ADMISSION

AREA = ADMISSION.name
_WARNING = re.compile(r'^\d{3} \S+ "(.*)"$')
"""A ``Warning`` header (RFC 7234, 5.5)."""


def judge_rehearsals(rehearsals: Sequence[Rehearsal]) -> list[Finding]:
    return [_of(rehearsal) for rehearsal in rehearsals]


def _of(rehearsal: Rehearsal) -> Finding:
    name = f"{rehearsal.kind} {rehearsal.name}"
    error = rehearsal.error
    if rehearsal.exists:
        return ok(AREA, name, "there already")
    if isinstance(error, ForbiddenError):
        return not_looked_at(AREA, name, "a permission is missing (see permissions)")
    if error is not None:
        return fail(AREA, name, _words(error.what), _remedy(error.what), theirs=True)
    if rehearsal.warnings:
        said = "; ".join(_plain(text) for text in rehearsal.warnings)
        return warn(AREA, name, f"would be admitted, with a warning: {said}")
    return ok(AREA, name, "would be admitted")


def _plain(header: str) -> str:
    found = _WARNING.match(header.strip())
    return found.group(1) if found else header.strip()


def _words(what: str) -> str:
    return "would be refused: " + " ".join(what.split())


def _remedy(what: str) -> str:
    if "exceeded quota" in what or "failed quota" in what:
        return "have the quota raised, free some of it, or lower pods.resources and storage.keep"
    if "PodSecurity" in what:
        return "our pods fit the level `restricted`; what else the namespace asks for is named above"
    if "ValidatingAdmissionPolicy" in what:
        return "this policy of the cluster decides: have it allow our objects, or have `weighbridge rbac` written anew for this file"
    if "admission webhook" in what:
        return "whoever runs this webhook decides: its words say what it wants (pods.labels, pods.image, pods.resources …)"
    if "maximum" in what or "minimum" in what:
        return "a LimitRange decides: set pods.resources or storage.size within it"
    return "the API server's words say which rule this is"
