"""What ``doctor`` checks before registration: the definition, the resource and its operator."""

from weighbridge.core.examination import Look
from weighbridge.core.finding import Level, not_looked_at
from weighbridge.probing.probes import PROBES
from weighbridge.steps.registration import judged
from weighbridge.steps.registration.judged import AREA


def examine(look: Look) -> None:
    """Check them. If the definition is missing, skip the resource: the API server would only report the same again."""
    look.say("registration")
    probes = look.port(PROBES)
    served = look.ask(AREA, "resource definition", probes.served_versions)
    if served:
        look.found.append(judged.judge_served(served[0]))
    if served and judged.VERSION not in served[0]:
        look.found.append(not_looked_at(AREA, "custom resource", "its definition is not served"))
        return
    name = look.environment.cluster.custom_resource
    live = look.ask(AREA, f"custom resource {name}", probes.custom_resource)
    if live:
        look.found.extend(judged.judge_custom_resource(name, live[0], look.now))
    operators = look.ask(AREA, "operator's Deployment", probes.operators, level=Level.WARN)
    if operators:
        look.found.append(judged.judge_operators(operators[0]))
