"""What an environment needs of a cluster's API. The Roles that ``weighbridge rbac`` writes, what ``doctor`` asks the API
server, and the words of a command that was refused all come from the one table in ``permission_table.py``.
"""

from collections.abc import Iterable
from dataclasses import replace

from weighbridge.domain.access import Access, Role, Rule
from weighbridge.domain.permission_table import ANY, NEEDS, Need
from weighbridge.environment.types import Environment

__all__ = ["Access", "Role", "Rule", "least_role", "missing_rule", "of_role", "permissions"]


def permissions(environment: Environment) -> tuple[Rule, ...]:
    """Every rule that this environment needs, in the order in which a run meets them; each stands once.

    It depends on the models, their routes, where their keys come from and whose the claims are.
    """
    found: list[Rule] = []
    for need in NEEDS:
        names = tuple(dict.fromkeys(need.names(environment)))
        if names:
            found.append(replace(need.rule, names=() if names == ANY else names))
    return tuple(found)


def of_role(rules: Iterable[Rule], role: Role, *, namespaced: bool) -> tuple[Rule, ...]:
    """Those that one role needs, of one scope."""
    return tuple(rule for rule in rules if role in rule.needed_by and rule.namespaced == namespaced)


def missing_rule(access: Access) -> Rule | None:
    """The rule that would have allowed ``access``, narrowed to its verb and name; ``None`` where Weighbridge never
    asks for such a thing. No environment is needed: our objects' names say what they are for.
    """
    fitting = [need for need in NEEDS if _fits(need, access)]
    for need in sorted(fitting, key=lambda need: need.named == (access.name is None)):
        named = (access.name,) if access.name is not None and need.named else ()
        return replace(need.rule, verbs=(access.verb,), names=named)
    return None


def _fits(need: Need, access: Access) -> bool:
    rule = need.rule
    same = (rule.group, rule.path, rule.namespaced) == (
        access.group,
        access.path,
        access.namespace is not None,
    )
    known = access.name is None or need.pattern.search(access.name) is not None
    return same and access.verb in rule.verbs and known


def least_role(rule: Rule) -> Role:
    """The Role that holds the rule and the least beside it."""
    return next(role for role in Role if role in rule.needed_by)
