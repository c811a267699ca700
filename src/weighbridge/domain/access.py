"""A rule of Kubernetes' RBAC as a value, the roles that need it, and the single question of access that it answers."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self


class Role(StrEnum):
    """The roles that need a rule, from the smallest on. Each role is complete: every verb looks first, so ``weights``
    and ``switch`` include what ``plan`` has.
    """

    PLAN = "plan", "plan and status", "looks: plan, status"
    """``plan`` and ``status``: only get, no write."""
    WEIGHTS = "weights", "storage, weights, verify", "looks, volumes, weights: apply, verify"
    """The storage stack, the playbooks, ``verify``, ``destroy --weights``."""
    SWITCH = "switch", "registration", "looks, registers: apply, destroy"
    """The registration stack, and the wait for the operator."""

    purpose: str
    """Its purpose, in a few words."""
    allows: str
    """What its holder does, and with which verbs."""

    def __new__(cls, value: str, purpose: str, allows: str) -> Self:
        """Store the words beside the value; only the value is the role's name."""
        role = str.__new__(cls, value)
        role._value_ = value
        role.purpose, role.allows = purpose, allows
        return role


EVERYBODY: Final = frozenset(Role)
WRITERS: Final = EVERYBODY - {Role.PLAN}


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One question to the API server, in the terms of a SelfSubjectAccessReview and of a refusal."""

    verb: str
    group: str
    resource: str
    subresource: str | None = None
    name: str | None = None
    """``None``: any name, or one that the API server does not know when it decides (``list``, ``create`` by POST)."""
    namespace: str | None = None
    """``None`` for a resource without a namespace."""

    @property
    def path(self) -> str:
        """``pods/log``, as in a rule."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource

    def __str__(self) -> str:
        kind = f"{self.resource}.{self.group}" if self.group else self.resource
        return " ".join(
            part
            for part in (
                self.verb,
                f"{kind}/{self.subresource}" if self.subresource else kind,
                self.name,
                f"in namespace {self.namespace}" if self.namespace else None,
            )
            if part
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of a Role, and its purpose."""

    group: str
    """API group; empty for the core group."""
    resource: str
    """Plural."""
    subresource: str | None = None
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()
    """``resourceNames``; empty: any."""
    namespaced: bool = True
    """``False`` if only a ClusterRole can allow it."""
    needed_by: frozenset[Role]
    why: str
    optional: bool = False
    """A run works without it, and reports what it could not do."""

    @property
    def path(self) -> str:
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource

    def accesses(self, namespace: str) -> tuple[Access, ...]:
        """Return every verb on every name, in ``namespace`` if the rule is namespaced."""
        return tuple(
            Access(
                verb=verb,
                group=self.group,
                resource=self.resource,
                subresource=self.subresource,
                name=name,
                namespace=namespace if self.namespaced else None,
            )
            for verb in self.verbs
            for name in (self.names or (None,))
        )

    def as_yaml(self) -> str:
        """Return the rule on one line, to be pasted into a Role."""
        parts = [
            f'apiGroups: ["{self.group}"]',
            f"resources: [{self.path}]",
            f"verbs: [{', '.join(self.verbs)}]",
        ]
        if self.names:
            parts.append(f"resourceNames: [{', '.join(self.names)}]")
        return f"{{{', '.join(parts)}}}"


def of_role(rules: Iterable[Rule], role: Role, *, namespaced: bool) -> tuple[Rule, ...]:
    """Return the rules that one role needs, of one scope."""
    return tuple(rule for rule in rules if role in rule.needed_by and rule.namespaced == namespaced)


def least_role(rule: Rule) -> Role:
    """Return the smallest Role that has the rule."""
    return next(role for role in Role if role in rule.needed_by)
