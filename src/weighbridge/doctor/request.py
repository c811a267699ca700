"""The file for the cluster's administrators: what is missing, in words and as YAML that can be applied."""

from datetime import datetime

from weighbridge.core.finding import Diagnosis
from weighbridge.doctor.access import AREA as PERMISSIONS
from weighbridge.domain.access import Rule
from weighbridge.domain.naming import NAMESPACE_LABEL, account_name, object_labels
from weighbridge.domain.visible import visible
from weighbridge.environment.types import Environment
from weighbridge.manifests.contexts import RoleContext
from weighbridge.manifests.render import render, to_yaml


def request_text(environment: Environment, diagnosis: Diagnosis, now: datetime) -> str:
    """Return Markdown. Say so if nothing is missing. Texts from the cluster cannot become lines or commands of their own."""
    namespace, user = environment.cluster.namespace, visible(diagnosis.user or "")
    lines = [
        f"# Weighbridge, environment {environment.name}: what we ask of the cluster's administrators",
        "",
        f"Found by `weighbridge doctor` on {now:%Y-%m-%d %H:%M} UTC at {visible(diagnosis.where or 'an unknown cluster')}, namespace `{namespace}`"
        + (f", as `{user}`." if user else "."),
        "",
    ]
    if not diagnosis.asked:
        return "\n".join([*lines, "Nothing is missing.", ""])
    lines += _permissions(environment, diagnosis)
    others = [finding for finding in diagnosis.asked if finding.area != PERMISSIONS]
    if others:
        lines += ["## What else stands in the way", ""]
    for finding in others:
        lines.append(
            visible(f"- **{finding.area}, {finding.name}** ({finding.level.value}): {finding.said}.")
        )
        if finding.remedy:
            lines.append(visible(f"  What would help: {finding.remedy}."))
    return "\n".join([*lines, ""])


def _permissions(environment: Environment, diagnosis: Diagnosis) -> list[str]:
    if not diagnosis.missing:
        return []
    lines = [
        "## Permissions",
        "",
        "These are missing. Work goes on without those marked optional, and says less.",
        "",
    ]
    lines += [
        f"- `{rule.as_yaml()}`{' (optional)' if rule.optional else ''}: {rule.why}."
        for rule in diagnosis.missing
    ]
    lines += [
        "",
        "The same to be applied (`weighbridge rbac` writes everything that this environment needs, with its bindings,",
        "if you would rather have the whole):",
        "",
        "```yaml",
        _roles(environment, diagnosis.missing).rstrip(),
        "```",
        "",
        *_bindings(environment, diagnosis),
    ]
    return lines


def _names(environment: Environment) -> tuple[str, str]:
    stem = f"{account_name(environment.name)}-missing"
    return stem, f"weighbridge-{environment.cluster.namespace}-{environment.name}-missing"


def _roles(environment: Environment, missing: tuple[Rule, ...]) -> str:
    namespace, labels = environment.cluster.namespace, object_labels(environment.name)
    inside, outside = _names(environment)
    near = tuple(rule for rule in missing if rule.namespaced)
    wide = tuple(rule for rule in missing if not rule.namespaced)
    found = []
    if near:
        found.append(RoleContext(name=inside, namespace=namespace, labels=labels, rules=near))
    if wide:
        found.append(
            RoleContext(
                name=outside, namespace=None, labels=labels | {NAMESPACE_LABEL: namespace}, rules=wide
            )
        )
    return "".join(to_yaml(render(context)) for context in found)


def _bindings(environment: Environment, diagnosis: Diagnosis) -> list[str]:
    inside, outside = _names(environment)
    user = visible(diagnosis.user or "OUR-USER")
    kind, _, account = user.rpartition("system:serviceaccount:")
    subject = (
        f"--serviceaccount={account}"
        if account and not kind and account.count(":") == 1
        else f"--user={user}"
    ).replace("'", "'\"'\"'")  # inside single quotes
    lines = ["and bound to us:", "", "```sh"]
    if any(rule.namespaced for rule in diagnosis.missing):
        lines.append(
            f"kubectl create rolebinding {inside} --role={inside} '{subject}' --namespace={environment.cluster.namespace}"
        )
    if any(not rule.namespaced for rule in diagnosis.missing):
        lines.append(f"kubectl create clusterrolebinding {outside} --clusterrole={outside} '{subject}'")
    return [*lines, "```", ""]
