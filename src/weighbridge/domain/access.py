"""A rule of Kubernetes' RBAC as a value, who needs it, and one question of access that it answers."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """Who needs a rule. Each is complete in itself: every verb looks first, so ``weights`` and ``switch`` hold what
    ``plan`` holds.
    """

    PLAN = "plan"
    """``plan`` and ``status``: get, and nothing that writes."""
    WEIGHTS = "weights"
    """The storage stack, the playbooks, ``verify``, ``destroy --weights``."""
    SWITCH = "switch"
    """The registration stack, and the wait for the operator."""


EVERYBODY: Final = frozenset(Role)
WRITERS: Final = frozenset({Role.WEIGHTS, Role.SWITCH})


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One question to the API server, as a SelfSubjectAccessReview puts it and as a refusal answers it."""

    verb: str
    group: str
    resource: str
    subresource: str | None = None
    name: str | None = None
    """``None``: any, or one that the API server does not know when it decides (``list``, ``create`` by POST)."""
    namespace: str | None = None
    """``None`` for what belongs to no namespace."""

    @property
    def path(self) -> str:
        """``pods/log``, as a rule spells it."""
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
    """One rule of a Role, and what it is for."""

    group: str
    """API group; empty for the core group."""
    resource: str
    """Plural."""
    subresource: str | None = None
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()
    """``resourceNames``; empty: any."""
    namespaced: bool = True
    """False for what only a ClusterRole can allow."""
    needed_by: frozenset[Role]
    why: str
    optional: bool = False
    """A run goes on without it, and says what it could not do."""

    @property
    def path(self) -> str:
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource

    def accesses(self, namespace: str) -> tuple[Access, ...]:
        """Every verb on every name, asked of ``namespace`` where the rule is namespaced."""
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
        """The rule on one line, to be pasted into a Role."""
        parts = [
            f'apiGroups: ["{self.group}"]',
            f"resources: [{self.path}]",
            f"verbs: [{', '.join(self.verbs)}]",
        ]
        if self.names:
            parts.append(f"resourceNames: [{', '.join(self.names)}]")
        return f"{{{', '.join(parts)}}}"
