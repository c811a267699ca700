"""Let a denial of the API server name the missing rule. Every entry point imports this module for that.

The rules are those of all steps. They are looked up only when something is denied, so they cost nothing before.
"""

from weighbridge.domain.access import Access, Rule
from weighbridge.kubernetes.denials import rules_are


def _rule_of(access: Access) -> Rule | None:
    from weighbridge.permissions import missing_rule  # noqa: PLC0415 - with every step

    return missing_rule(access)


rules_are(_rule_of)
