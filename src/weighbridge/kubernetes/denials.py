"""A permission that the API server denied, in whatever wrapping its sentence arrives: the one place that translates it.

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
    """Who knows which rule would have allowed an access."""

    of: RuleOf = field(default=lambda _: None)


_RULES: Final = _Rules()


def rules_are(rule_of: RuleOf) -> None:
    """Say who knows the rules. ``weighbridge.denied`` does so when it is imported: rules are those of every step, and steps, by
    what they are made of, come here; so it is told, and not asked for.
    """
    _RULES.of = rule_of


def missing_rule(access: Access) -> Rule | None:
    """The rule that would have allowed ``access``; ``None`` where Weighbridge never asks for such a thing."""
    return _RULES.of(access)


@dataclass(frozen=True, slots=True)
class Denial:
    """Who may not do what."""

    user: str
    access: Access


def parse_denial(text: str) -> Denial | None:
    """The last denial in ``text``, or ``None``. A refusal by a quota or a policy is none."""
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
            # Kubernetes takes a Namespace's own name for the namespace of a request about it.
            namespace=None if resource == "namespaces" else found["namespace"] or None,
        ),
    )


def forbidden(text: str) -> ForbiddenError | None:
    """The failure that a denial in ``text`` is: the permission that is missing, the rule to ask for, and which Role of
    ``weighbridge rbac`` holds it. ``None`` where ``text`` holds no denial.
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
