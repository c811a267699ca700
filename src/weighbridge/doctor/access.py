"""Permissions: one line for each role, the steps' judgement of permissions that can replace each other, and one line
for each missing rule.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from weighbridge.core.finding import PERMISSIONS, Finding, Level, fail, ok, warn
from weighbridge.core.step import Step
from weighbridge.domain.access import Access, Role, Rule, least_role
from weighbridge.domain.human import count
from weighbridge.environment.types import Environment
from weighbridge.steps import STEPS

AREA = PERMISSIONS


def missing_rules(
    rules: tuple[Rule, ...], answers: Mapping[Access, bool], namespace: str
) -> tuple[Rule, ...]:
    """Return each rule of which something is denied, narrowed to the denied verbs and names."""
    found = []
    for rule in rules:
        denied = [access for access in rule.accesses(namespace) if not answers[access]]
        if denied:
            verbs = tuple(verb for verb in rule.verbs if any(access.verb == verb for access in denied))
            names = tuple(name for name in rule.names if any(access.name == name for access in denied))
            found.append(replace(rule, verbs=verbs, names=names))
    return tuple(found)


def judge_access(
    environment: Environment,
    rules: tuple[Rule, ...],
    missing: tuple[Rule, ...],
    steps: Sequence[Step] = STEPS,
) -> list[Finding]:
    """``missing``: the result of ``missing_rules`` for the same ``rules``."""
    found = [_of_role(role, rules, missing) for role in Role]
    for step in steps:
        found += step.judge_permissions(environment, rules, missing)
    return found + [_of_rule(rule, environment.cluster.namespace) for rule in missing]


def _of_role(role: Role, rules: tuple[Rule, ...], missing: tuple[Rule, ...]) -> Finding:
    name = f"role {role.value}"
    needs = [rule for rule in rules if role in rule.needed_by]
    lacks = [rule for rule in missing if role in rule.needed_by]
    if not lacks:
        return ok(AREA, name, f"{role.purpose}: may do all of {count(len(needs), 'rule')}")
    said = f"{role.purpose}: lacks {len(lacks)} of {count(len(needs), 'rule')}, see below"
    if all(rule.optional for rule in lacks):
        return warn(AREA, name, f"{said}; it goes on without")
    return fail(AREA, name, said, "ask for the rules below, or have what `weighbridge rbac` writes applied")


def _of_rule(rule: Rule, namespace: str) -> Finding:
    kind = f"{rule.resource}.{rule.group}" if rule.group else rule.resource
    kind = f"{kind}/{rule.subresource}" if rule.subresource else kind
    names = f" {', '.join(rule.names)}" if rule.names else ""
    where = f" in namespace {namespace}" if rule.namespaced else ""
    holder = f"Role `{least_role(rule).value}`" if rule.namespaced else "the ClusterRole"
    return Finding(
        area=AREA,
        name=f"{'/'.join(rule.verbs)} {kind}",
        level=Level.WARN if rule.optional else Level.FAIL,
        said=f"may not {', '.join(rule.verbs)} {kind}{names}{where} ({rule.why})",
        remedy=f"ask the cluster's administrators for the rule {rule.as_yaml()}; it is in {holder} of what `weighbridge rbac` writes",
        theirs=True,
    )
