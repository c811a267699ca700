"""Read a permission that the API server denied, in any wrapping of its sentence. Only this module translates it.

The sentence is Kubernetes' own (``k8s.io/apiserver`` ``responsewriters/errors.go``, ``forbiddenMessage``, and
``apierrors.NewForbidden``). Pulumi's provider, Ansible's modules and kubectl pass it on, some with escaped quotes.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from weighbridge.domain.access import Access, Rule, least_role
from weighbridge.errors import ForbiddenError

_Q: Final = r'\\*"'
_WORD: Final = r'[^"\\]*'
_DENIED: Final = re.compile(
    rf"(?:{_Q}(?P<name>{_WORD}){_Q} )?is forbidden: User {_Q}(?P<user>{_WORD}){_Q} cannot (?P<verb>\w+) "
    rf"resource {_Q}(?P<path>{_WORD}){_Q} in API group {_Q}(?P<group>{_WORD}){_Q}"
    rf"(?: in the namespace {_Q}(?P<namespace>{_WORD}){_Q})?"
)


RuleOf: TypeAlias = Callable[[Access], Rule | None]


@dataclass(slots=True)
class _Rules:
    """Holds the function that finds the rule for an access."""

    of: RuleOf = field(default=lambda _: None)


_RULES: Final = _Rules()


def rules_are(rule_of: RuleOf) -> None:
    """Set the function that finds rules. ``weighbridge.denied`` calls this at import. The rules come from the steps,
    and the steps import this module indirectly, so this module cannot import them.
    """
    _RULES.of = rule_of


def missing_rule(access: Access) -> Rule | None:
    """Return the rule that would have allowed ``access``; ``None`` if weighbridge never needs such an access."""
    return _RULES.of(access)


@dataclass(frozen=True, slots=True)
class Denial:
    """A user, and what the user may not do."""

    user: str
    access: Access


def parse_denial(text: str) -> Denial | None:
    """Return the last denial in ``text``, or ``None``. A refusal by a quota or a policy does not count."""
    found = next(reversed(list(_DENIED.finditer(text))), None)
    if found is None:
        return None
    resource, _, subresource = found["path"].partition("/")
    return Denial(
        found["user"],
        Access(
            verb=found["verb"],
            group=found["group"],
            resource=resource,
            subresource=subresource or None,
            name=found["name"] or None,
            # In a request about a Namespace, Kubernetes reports its name as the namespace too.
            namespace=None if resource == "namespaces" else found["namespace"] or None,
        ),
    )


def forbidden(text: str) -> ForbiddenError | None:
    """Return the error for a denial in ``text``: the missing permission, the rule to ask for, and the Role of
    ``weighbridge rbac`` that has it. Return ``None`` if ``text`` has no denial.
    """
    denial = parse_denial(text)
    if denial is None:
        return None
    access = denial.access
    rule = missing_rule(access)
    purpose = f" ({rule.why})" if rule is not None else ""
    return ForbiddenError(
        f"`{denial.user}` may not {access}{purpose}", remedy=_remedy(access, rule), code="cluster-forbidden"
    )


def _remedy(access: Access, rule: Rule | None) -> str:
    if rule is None:
        asked = Rule(
            group=access.group,
            resource=access.resource,
            subresource=access.subresource,
            verbs=(access.verb,),
            names=(access.name,) if access.name else (),
            namespaced=access.namespace is not None,
            needed_by=frozenset(),
            why="",
        )
        return f"ask the cluster's administrators for the rule {asked.as_yaml()}"
    holder = f"Role `{least_role(rule)}`" if rule.namespaced else "the ClusterRole"
    return (
        f"ask the cluster's administrators for the rule {rule.as_yaml()}; "
        f"it is in {holder} of what `weighbridge rbac` writes for this environment"
    )
