"""What a room needs of the cluster's API: rules, with the names they are limited to, and names that its pods may mount.

How a rule limits names (Kubernetes, "Using RBAC Authorization", "Referring to resources"): ``list``, and ``create`` by
POST, know no name when they are authorized. ``create`` by server-side apply does, because the name stands in the
path; so whatever we create that way is limited by name as well.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from weighbridge.domain.access import Access, Rule
from weighbridge.environment.types import Environment

Names: TypeAlias = Callable[[Environment], Iterable[str]]
ANY: Final = ("*",)
"""The rule applies, and no name can be given."""
MADE: Final = ("get", "create", "patch", "delete")
"""What an object takes that we make by server-side apply and remove again."""


@dataclass(frozen=True, slots=True)
class Need:
    rule: Rule
    names: Names
    """None of them: this environment does not need the rule. ``ANY``: it needs it for whatever name."""
    pattern: re.Pattern[str] = re.compile("")
    """What such a name looks like in any environment."""
    named: bool = True
    """Whether the rule is limited by name, in every environment."""

    def allows(self, access: Access) -> bool:
        """Whether the rule would, in some environment."""
        rule = self.rule
        same = (rule.group, rule.path, rule.namespaced) == (
            access.group,
            access.path,
            access.namespace is not None,
        )
        known = access.name is None or self.pattern.search(access.name) is not None
        return same and access.verb in rule.verbs and known


def unnamed(rule: Rule, where: Callable[[Environment], object] = lambda _: True) -> Need:
    """A rule that no name can limit, for environments ``where`` says so; by default for every one."""
    return Need(rule, lambda environment: ANY if where(environment) else (), named=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mounted:
    """Names of what pods mount: the policy that ``weighbridge rbac`` writes allows them these and no others."""

    claims: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    config_maps: tuple[str, ...] = ()
