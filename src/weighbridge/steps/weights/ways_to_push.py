"""Which connection to the rsync pod the permissions allow, if some model is pushed."""

from weighbridge.core.finding import PERMISSIONS, Finding, fail, ok, warn
from weighbridge.domain.access import Rule
from weighbridge.environment.types import Environment, Route


def ways_to_push(
    environment: Environment, rules: tuple[Rule, ...], missing: tuple[Rule, ...]
) -> list[Finding]:
    """Judge the permissions of the route push: one of the two connections is enough."""
    pushing = [model for model in environment.models if Route.PUSH in model.routes]
    if not pushing:
        return []
    lacks = {rule.subresource or rule.resource for rule in missing if rule.optional}
    passwords = any(rule.resource == "secrets" and rule.optional for rule in rules)
    forward = "portforward" not in lacks and not (passwords and "secrets" in lacks)
    if forward:
        return [ok(PERMISSIONS, "route push", "by pods/portforward")]
    if "exec" not in lacks:
        return [ok(PERMISSIONS, "route push", "by pods/exec; pods/portforward with a Secret would be faster")]
    only = [model.id for model in pushing if model.routes == (Route.PUSH,)]
    said = "neither pods/portforward with its Secret nor pods/exec is allowed"
    remedy = "either of the two does: see the rules below"
    if only:
        return [
            fail(
                PERMISSIONS,
                "route push",
                f"{said}, and {', '.join(only)} has no other route",
                remedy,
                theirs=True,
            )
        ]
    return [warn(PERMISSIONS, "route push", f"{said}; the route fetch is left", remedy, theirs=True)]
