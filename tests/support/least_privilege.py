"""The administrator's view of what a login of an estate may do, and how to take one rule away from it for a while."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from lightkube import Client
from lightkube.models.rbac_v1 import PolicyRule
from lightkube.resources.rbac_authorization_v1 import ClusterRole, Role

from support.estate import Estate
from weighbridge.domain.access import Access
from weighbridge_sandbox.grants import allowed

Document = dict[str, Any]


def user(estate: Estate) -> str:
    """The login's name, as the API server writes it."""
    return f"system:serviceaccount:{estate.name}:weighbridge-{estate.name}"


def soon(condition: Callable[[], bool], what: str, seconds: float = 20) -> None:
    """Wait for ``condition``; AssertionError after ``seconds``."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"not within {seconds} s: {what}"
        time.sleep(0.1)


def less(rule: PolicyRule, access: Access) -> Iterator[PolicyRule]:
    """The rule without that verb on that name: one rule, none, or two."""
    meant = access.group in (rule.apiGroups or []) and access.path in (rule.resources or [])
    names = rule.resourceNames or []
    if not meant or access.verb not in rule.verbs or (names and access.name not in names):
        yield rule
        return
    if verbs := [verb for verb in rule.verbs if verb != access.verb]:
        yield PolicyRule(
            apiGroups=rule.apiGroups, resources=rule.resources, resourceNames=rule.resourceNames, verbs=verbs
        )
    if others := [name for name in names if name != access.name]:
        yield PolicyRule(
            apiGroups=rule.apiGroups, resources=rule.resources, resourceNames=others, verbs=[access.verb]
        )


@contextmanager
def without(estate: Estate, admin: Client, *denied: Access) -> Iterator[None]:
    """The login's Roles less these accesses, while the context lasts."""
    label = {"weighbridge.dev/environment": estate.name}
    roles = cast("Any", admin)  # its overloads know no common kind
    estate.held = True
    try:
        for role in (
            *roles.list(Role, namespace=estate.name, labels=label),
            *roles.list(ClusterRole, labels=label),
        ):
            rules = list(role.rules or [])
            for access in denied:
                rules = [left for rule in rules for left in less(rule, access)]
            if rules != role.rules:
                role.rules = rules
                roles.replace(role)
        for access in denied:
            soon(lambda access=access: not allowed(admin, user(estate), access), f"{access} denied")  # type: ignore[misc]
        yield
    finally:
        estate.held = False
        estate.regranted()


def access(estate: Estate, verb: str, resource: str, name: str | None = None, *, group: str = "") -> Access:
    kind, _, subresource = resource.partition("/")
    wide = kind in {"namespaces", "storageclasses"}
    return Access(
        verb=verb,
        group=group,
        resource=kind,
        subresource=subresource or None,
        name=name,
        namespace=None if wide else estate.name,
    )
