"""What a step needs from the cluster's API: rules, the names that limit them, and the names that its pods may mount.

How a rule limits names (Kubernetes, "Using RBAC Authorization", "Referring to resources"): ``list``, and ``create``
by POST, have no name at the time of authorization. ``create`` by server-side apply has one, because the name is in
the path. So what we create in that way is limited by name too.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from weighbridge.domain.access import Access, Rule
from weighbridge.environment.types import Environment

Names: TypeAlias = Callable[[Environment], Iterable[str]]
ANY: Final = ("*",)
"""The rule applies, but no name can be given."""
MADE: Final = ("get", "create", "patch", "delete")
"""Verbs for an object that we create by server-side apply and remove again."""


@dataclass(frozen=True, slots=True)
class Need:
    rule: Rule
    names: Names
    """Empty: this environment does not need the rule. ``ANY``: it needs the rule for every name."""
    pattern: re.Pattern[str] = re.compile("")
    """The form of such a name in any environment."""
    named: bool = True
    """Whether the rule is limited by name, in every environment."""

    def allows(self, access: Access) -> bool:
        """Return whether the rule would allow it in some environment."""
        rule = self.rule
        same = (rule.group, rule.path, rule.namespaced) == (
            access.group,
            access.path,
            access.namespace is not None,
        )
        known = access.name is None or self.pattern.search(access.name) is not None
        return same and access.verb in rule.verbs and known


def unnamed(rule: Rule, where: Callable[[Environment], object] = lambda _: True) -> Need:
    """Return the need for a rule that no name can limit, in the environments for which ``where`` is true; by default in all."""
    return Need(rule, lambda environment: ANY if where(environment) else (), named=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mounted:
    """Names that pods mount. The policy of ``weighbridge rbac`` allows them only these."""

    claims: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    config_maps: tuple[str, ...] = ()
