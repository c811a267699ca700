"""What the API server denies names the rule that was lacking: every entry point imports this for it.

The rules are those of all steps. So they are looked up once something is denied, and cost nothing before.
"""

from weighbridge.domain.access import Access, Rule
from weighbridge.kubernetes.denials import rules_are


def _rule_of(access: Access) -> Rule | None:
    from weighbridge.permissions import missing_rule  # noqa: PLC0415 - with every step

    return missing_rule(access)


rules_are(_rule_of)
