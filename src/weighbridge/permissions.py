"""What an environment needs from a cluster's API: core's own needs, and those of each step. The Roles of
``weighbridge rbac``, the questions of ``doctor`` to the API server, and the text of a refused command come from here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain

from weighbridge.core.permissions import NEEDS
from weighbridge.core.step import Step
from weighbridge.domain.access import Access, Rule
from weighbridge.domain.needs import ANY, Mounted, Need
from weighbridge.environment.types import Environment
from weighbridge.steps import STEPS


def needs(steps: Sequence[Step] = STEPS) -> tuple[Need, ...]:
    """Return the needs of every run, then those of each step."""
    return (*NEEDS, *chain.from_iterable(step.permissions for step in steps))


def permissions(environment: Environment, steps: Sequence[Step] = STEPS) -> tuple[Rule, ...]:
    """Return every rule that this environment needs. Join rules of several steps that differ only in names and
    purpose.

    The rules depend on the models, their routes, where their keys come from, and whose the claims are.
    """
    found: dict[Rule, Rule] = {}
    for need in needs(steps):
        names = tuple(dict.fromkeys(need.names(environment)))
        if not names:
            continue
        rule = replace(need.rule, names=() if names == ANY else names)
        alike = replace(rule, names=ANY if rule.names else (), why="")
        found[alike] = _joined(found[alike], rule) if alike in found else rule
    return tuple(found.values())


def _joined(one: Rule, other: Rule) -> Rule:
    """Join two rules that differ only in names and purpose."""
    why = dict.fromkeys((one.why, other.why))
    return replace(one, names=tuple(dict.fromkeys((*one.names, *other.names))), why=", and ".join(why))


def missing_rule(access: Access, steps: Sequence[Step] = STEPS) -> Rule | None:
    """Return the rule that would have allowed ``access``, narrowed to its verb and name; ``None`` if weighbridge
    never needs such an access. No environment is needed: our objects' names show their purpose.
    """
    fitting = [need for need in needs(steps) if need.allows(access)]
    for need in sorted(fitting, key=lambda need: need.named == (access.name is None)):
        named = (access.name,) if access.name is not None and need.named else ()
        return replace(need.rule, verbs=(access.verb,), names=named)
    return None


def mounted(environment: Environment, steps: Sequence[Step] = STEPS) -> Mounted:
    """Return what the pods of all steps may mount, each name once."""
    parts = [step.mounted(environment) for step in steps]
    return Mounted(
        claims=_each(part.claims for part in parts),
        secrets=_each(part.secrets for part in parts),
        config_maps=_each(part.config_maps for part in parts),
    )


def _each(names: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(chain.from_iterable(names)))
