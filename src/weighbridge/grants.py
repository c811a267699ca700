"""What ``weighbridge rbac`` writes: the permissions for one environment, and limits for what their holder creates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from weighbridge.core.step import Step
from weighbridge.domain.access import Role, Rule, of_role
from weighbridge.domain.naming import ENVIRONMENT_LABEL, NAMESPACE_LABEL, account_name, object_labels
from weighbridge.domain.needs import Mounted
from weighbridge.environment.types import Environment
from weighbridge.manifests.contexts import (
    Account,
    AccountContext,
    Labels,
    PolicyBindingContext,
    PolicyContext,
    RoleBindingContext,
    RoleContext,
)
from weighbridge.manifests.render import Object, render, to_yaml
from weighbridge.permissions import mounted, permissions
from weighbridge.steps import STEPS

NAMESPACE_FILE, CLUSTER_FILE, POLICY_FILE = "namespace.yaml", "cluster.yaml", "policy.yaml"
PURPOSE: Mapping[str, str] = {
    NAMESPACE_FILE: "for an administrator of the namespace",
    CLUSTER_FILE: "for an administrator of the cluster: reads of what belongs to no namespace",
    POLICY_FILE: "for an administrator of the cluster: what the account's pods may be (Kubernetes 1.30 or newer)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The subject of the rules: a service account or a group."""

    account: Account | None = None
    group: str | None = None
    made: bool = False
    """Whether the account is created together with the rules."""

    @classmethod
    def own(cls, environment: Environment) -> "Subject":
        """Return the environment's own account, in its namespace."""
        account = (environment.cluster.namespace, account_name(environment.name))
        return cls(account=account, made=True)

    def __str__(self) -> str:
        return f"service account {':'.join(self.account)}" if self.account else f"group {self.group}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grants:
    """Rules of one environment, as values and as objects."""

    environment: Environment
    subject: Subject
    rules: tuple[Rule, ...]
    files: Mapping[str, tuple[Object, ...]]
    """File name → its documents, in the order in which they are applied."""
    warnings: tuple[str, ...]

    @property
    def documents(self) -> tuple[Object, ...]:
        return tuple(document for documents in self.files.values() for document in documents)


def render_grants(
    environment: Environment, subject: Subject | None = None, steps: Sequence[Step] = STEPS
) -> Grants:
    """Return a Role for each ``access.Role``, a ClusterRole for what has no namespace, their bindings, and the
    policy.

    All Roles are bound to ``subject``, by default to an account of the environment. To split the work among several
    accounts, bind each Role to its own. The names of the policy and the ClusterRole include the namespace, because
    both stand beside those of other namespaces.
    """
    chosen = subject or Subject.own(environment)
    rules = permissions(environment, steps)
    stem, namespace = account_name(environment.name), environment.cluster.namespace
    wide = f"weighbridge.{namespace}.{environment.name}"  # the dot occurs in neither name
    labels = object_labels(environment.name)
    wide_labels = labels | {NAMESPACE_LABEL: namespace}
    inside: list[Object] = []
    if chosen.made:
        inside.append(render(AccountContext(name=stem, namespace=namespace, labels=labels)))
    for role in Role:
        inside += _bound(
            f"{stem}-{role.value}", namespace, labels, of_role(rules, role, namespaced=True), chosen
        )
    outside = tuple(rule for rule in rules if not rule.namespaced)
    return Grants(
        environment=environment,
        subject=chosen,
        rules=rules,
        files={
            NAMESPACE_FILE: tuple(inside),
            CLUSTER_FILE: tuple(_bound(wide, None, wide_labels, outside, chosen)),
            POLICY_FILE: _policy(environment, wide, wide_labels, chosen, mounted(environment, steps)),
        },
        warnings=_warnings(environment),
    )


def write_grants(out: Path, grants: Grants) -> tuple[Path, ...]:
    """Write the files below ``out``, created if missing, with each rule's purpose in comments. Return the files."""
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for name, documents in grants.files.items():
        head = f"Environment {grants.environment.name}: {PURPOSE[name]}."
        texts = [to_yaml(document, comment=_purposes(document, grants.rules)) for document in documents]
        (out / name).write_text(f"# {head}\n{''.join(texts)}", encoding="utf-8")
        written.append(out / name)
    return tuple(written)


def _purposes(document: Object, rules: tuple[Rule, ...]) -> str:
    """Return the purpose of each rule of a Role, in order; nothing for other objects."""
    if document["kind"] == "ClusterRole":
        shown = [rule for rule in rules if not rule.namespaced]
    elif document["kind"] == "Role":
        name = str(cast("Object", document["metadata"])["name"])
        role = next(role for role in Role if name.endswith(f"-{role.value}"))
        shown = [*of_role(rules, role, namespaced=True)]
    else:
        return ""
    return "\n".join(
        f"{number}. {'/'.join(rule.verbs)} {rule.path}: {rule.why}{' (optional)' if rule.optional else ''}"
        for number, rule in enumerate(shown, start=1)
    )


def _bound(
    name: str, namespace: str | None, labels: Labels, rules: tuple[Rule, ...], subject: Subject
) -> list[Object]:
    role = RoleContext(name=name, namespace=namespace, labels=labels, rules=rules)
    binding = RoleBindingContext(
        name=name, namespace=namespace, labels=labels, account=subject.account, group=subject.group
    )
    return [render(role), render(binding)]


def _policy(
    environment: Environment, name: str, labels: Labels, subject: Subject, allowed: Mounted
) -> tuple[Object, ...]:
    policy = PolicyContext(
        name=name,
        labels=labels,
        account=subject.account,
        group=subject.group,
        environment=environment.name,
        environment_label=ENVIRONMENT_LABEL,
        images=(environment.pods.image,),
        service_account=environment.pods.service_account or "default",
        claims=allowed.claims,
        secrets=allowed.secrets,
        config_maps=allowed.config_maps,
        pull_secrets=(environment.pods.pull_secret,) if environment.pods.pull_secret is not None else (),
        storage_classes=_storage_classes(environment),
    )
    return render(policy), render(PolicyBindingContext(name=name, labels=labels))


def _storage_classes(environment: Environment) -> tuple[str, ...]:
    """Return the classes of the claims to be made; none if one of these claims takes the cluster's default."""
    found = [
        model.storage.storage_class for model in environment.models if model.storage.existing_pvc is None
    ]
    return tuple(dict.fromkeys(name for name in found if name is not None)) if None not in found else ()


def _warnings(environment: Environment) -> tuple[str, ...]:
    if "@sha256:" in environment.pods.image:
        return ()
    unpinned = (
        f"pods.image {environment.pods.image} is not pinned by a digest: the policy allows it by this name, "
        "whatever its registry serves under it"
    )
    return (unpinned,)
