"""What ``doctor`` checks before weights are brought in: their source, admission of our objects, the connection from pods."""

from weighbridge.core.examination import Look, Phase
from weighbridge.core.finding import not_looked_at, of_error
from weighbridge.domain.claims import BOUND
from weighbridge.domain.weights import LISTING
from weighbridge.errors import WeighbridgeError
from weighbridge.manifests.surroundings import SURROUNDINGS
from weighbridge.probing.probes import PROBES, Document
from weighbridge.steps.weights import admission
from weighbridge.steps.weights.areas import NETWORK
from weighbridge.steps.weights.examine_source import WAYS, SourceLook
from weighbridge.steps.weights.from_pods import FromPods
from weighbridge.steps.weights.rehearsal import documents


def examine(look: Look, phase: Phase) -> None:
    if phase is Phase.OUTSIDE:
        SourceLook(look).look_at_it()
    elif phase is Phase.MADE:
        _admission(look)
    elif phase is Phase.PODS:
        _from_pods(look)


def _admission(look: Look) -> None:
    look.say("admission")
    environment = look.environment
    rehearsed: list[Document] = []
    for model in environment.models:
        name, listing = f"objects of {model.id}", look.facts.one(LISTING, model.id)
        if listing is None:
            look.found.append(not_looked_at(admission.AREA, name, "its source could not be listed"))
            continue
        try:
            rehearsed += documents(environment, model, listing, look.port(SURROUNDINGS))
        except WeighbridgeError as error:
            look.found.append(of_error(admission.AREA, name, error))
    if rehearsed:
        answers = look.ask(admission.AREA, "dry run", lambda: look.port(PROBES).rehearse(rehearsed))
        if answers:
            look.found.extend(admission.judge_rehearsals(answers[0]))


def _from_pods(look: Look) -> None:
    probes = look.port(PROBES)
    policies = look.ask(NETWORK.name, "NetworkPolicy", probes.network_policies)
    part = FromPods(
        look.environment,
        probes,
        look.say,
        ways=look.facts.all(WAYS),
        bound=look.facts.all(BOUND),
        policies=policies[0] if policies else None,
        unread=look.unread,
    )
    look.found.extend(part.look(asked=look.pods))
