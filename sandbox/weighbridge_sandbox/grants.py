"""The platform administrator's part: apply what ``weighbridge rbac`` writes for an environment, and hand out a login.

Tests and the demonstration act as that login, and not as the cluster's administrator: whatever they do was allowed by the
generated Roles and passed the generated policy.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightkube import ApiError, Client, codecs
from lightkube.models.authentication_v1 import TokenRequestSpec
from lightkube.models.authorization_v1 import ResourceAttributes, SubjectAccessReviewSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.admissionregistration_v1 import (
    ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding,
)
from lightkube.resources.authorization_v1 import SubjectAccessReview
from lightkube.resources.core_v1 import ServiceAccountToken
from lightkube.resources.rbac_authorization_v1 import ClusterRole, ClusterRoleBinding

from weighbridge.domain.access import Access
from weighbridge.domain.naming import NAMESPACE_LABEL
from weighbridge.environment.file import load
from weighbridge.environment.types import Environment
from weighbridge.errors import WeighbridgeError
from weighbridge.grants import Grants, render_grants
from weighbridge_sandbox.commands import wait_until
from weighbridge_sandbox.errors import CommandError
from weighbridge_sandbox.kube import HTTP_NOT_FOUND, answering, connect, layout_of
from weighbridge_sandbox.layout import CONTEXT, Layout

FIELD_MANAGER = "weighbridge-sandbox"
CHECKOUT = Path(__file__).resolve().parents[2]
DEFAULT = CHECKOUT / "environments" / "sandbox.yaml"
TOKEN_SECONDS = 30 * 24 * 3600
WIDE = (ClusterRoleBinding, ClusterRole, ValidatingAdmissionPolicyBinding, ValidatingAdmissionPolicy)
"""Kinds that are written and belong to no namespace."""


def grant_file(path: Path, *, home: Path | None = None) -> Grants:
    """As ``grant``, for an environment file. Raises CommandError where it has mistakes."""
    try:
        environment = load(str(path), path.parent).environment
    except WeighbridgeError as error:
        raise CommandError(f"{path} cannot be used.", str(error)) from error
    return grant(environment, home=home)


def grant(environment: Environment, *, home: Path | None = None, timeout_s: float = 30) -> Grants:
    """Apply the environment's Roles and policy, and write a login under them into the sandbox's kubeconfig, as the context that
    the environment names. May be repeated, and has to be when models, routes or credentials change. Returns once the Roles are
    in force. Raises CommandError, NotReadyError.
    """
    context = environment.cluster.context
    if context is None or context == CONTEXT:
        raise CommandError(
            f"Environment {environment.name} has no context of its own to log in with.",
            f"Name one in cluster.context, other than {CONTEXT}.",
        )
    grants = render_grants(environment)
    with (
        answering(f"Granting {environment.name} its rights"),
        connect(home, field_manager=FIELD_MANAGER) as client,
    ):
        for document in grants.documents:
            client.apply(codecs.from_dict(dict(document)), field_manager=FIELD_MANAGER, force=True)
        namespace, account = grants.subject.account or ("", "")
        request = ServiceAccountToken(
            metadata=ObjectMeta(), spec=TokenRequestSpec(audiences=[], expirationSeconds=TOKEN_SECONDS)
        )
        issued = client.create(request, account, namespace=namespace)
        if issued.status is None or not issued.status.token:
            raise CommandError(f"No token was issued for service account {namespace}:{account}.")
        log_in(layout_of(home), context, namespace, issued.status.token)
        user = f"system:serviceaccount:{namespace}:{account}"
        asked = [access for rule in grants.rules for access in rule.accesses(namespace)[-1:]]
        wait_until(
            f"The Roles of {environment.name}",
            lambda: all(allowed(client, user, access) for access in asked),
            timeout_s=timeout_s,
            advice=f"kubectl -n {namespace} get roles,rolebindings",
        )
    return grants


def allowed(client: Client, user: str, access: Access) -> bool:
    """Whether the API server would let ``user`` do that."""
    attributes = ResourceAttributes(
        verb=access.verb,
        group=access.group,
        resource=access.resource,
        subresource=access.subresource,
        name=access.name,
        namespace=access.namespace,
    )
    groups = ["system:authenticated", "system:serviceaccounts"]
    spec = SubjectAccessReviewSpec(user=user, groups=groups, resourceAttributes=attributes)
    answer = client.create(SubjectAccessReview(spec=spec))
    return answer.status is not None and answer.status.allowed


def withdraw(client: Client, layout: Layout, namespace: str) -> None:
    """Remove what ``grant`` made outside the namespace, for every environment of it, and their logins."""
    for kind in map(_untyped, WIDE):
        for found in client.list(kind, labels={NAMESPACE_LABEL: namespace}):
            if found.metadata and found.metadata.name:
                _delete(client, kind, found.metadata.name)
    with _edited(layout) as config:
        gone = {row["name"] for row in config["contexts"] if row["context"].get("namespace") == namespace}
        for key in ("contexts", "users"):
            config[key] = [row for row in config[key] if row["name"] not in gone]


def _untyped(kind: Any) -> Any:
    """Lightkube's base class of kinds does not say that its objects have metadata."""
    return kind


def _delete(client: Client, kind: Any, name: str) -> None:
    try:
        client.delete(kind, name)
    except ApiError as error:
        if error.response.status_code != HTTP_NOT_FOUND:
            raise


def log_in(layout: Layout, context: str, namespace: str, token: str) -> None:
    """Put a context with this token beside the others of the sandbox's kubeconfig; an older one of its name goes."""
    rows: Mapping[str, Any] = {
        "users": {"name": context, "user": {"token": token}},
        "contexts": {
            "name": context,
            "context": {"cluster": CONTEXT, "user": context, "namespace": namespace},
        },
    }
    with _edited(layout) as config:
        for key, row in rows.items():
            config[key] = [*(found for found in config[key] if found["name"] != context), row]


@contextmanager
def _edited(layout: Layout) -> Iterator[dict[str, Any]]:
    """The sandbox's kubeconfig, to be changed by one process at a time; readers see it before or after, never between."""
    path = layout.kubeconfig
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = path.read_text()
        config = json.loads(before)  # we write it as JSON, which is YAML
        yield config
        text = json.dumps(config, indent=2) + "\n"
        if text != before:
            new = path.with_suffix(f".{os.getpid()}")
            new.touch(mode=0o600)
            new.write_text(text)
            new.replace(path)
