"""Logins for tests of one adapter, which have no environment file: what ``weighbridge rbac`` writes, and nothing more."""

from collections.abc import Sequence
from itertools import cycle

from weighbridge.environment.types import Environment
from weighbridge.kubernetes.client import Kube, connect
from weighbridge_sandbox.grants import grant
from weighbridge_sandbox.layout import CONTEXT

ADMINISTRATOR = CONTEXT
"""The context of the cluster's administrator: to look, to clean up, and to play others."""


def context_of(environment: str, namespace: str) -> str:
    """The context that ``log_in`` makes."""
    return f"{namespace}-{environment}"


def log_in(
    environment: str,
    namespace: str,
    *models: str,
    custom_resource: str = "watsonxaiifm-cr",
    classes: Sequence[str] = ("sandbox-rwx",),
) -> str:
    """Grant an environment of this name its Roles and policy in ``namespace``; the kubeconfig's context to use them by.

    It has these models, on claims of its own, and any one where none is named; claims may be of these storage classes. The
    namespace takes everything along when it goes (``delete_operands``).
    """
    context = context_of(environment, namespace)
    keys = {"access_key": {"env": "NO_KEY"}, "secret_key": {"env": "NO_KEY"}}
    source = {"bucket": "models", "prefix": "llama/", "endpoint": "http://192.0.2.1", "credentials": keys}
    document = {
        "name": environment,
        "cluster": {"context": context, "namespace": namespace, "custom_resource": custom_resource},
        "platform": {"version": "5.2"},
        "state": {"backend": "file://state", "passphrase": {"env": "NO_PASSPHRASE"}},
        "pods": {"image": "weighbridge.local/mover:sandbox"},
        "models": [
            {"id": model, "source": {"s3": source}, "storage": {"storage_class": storage_class}}
            for model, storage_class in zip(models or ("any",), cycle(classes), strict=False)
        ],
    }
    grant(Environment.model_validate(document, strict=False))
    return context


def granted(environment: str, namespace: str, *, custom_resource: str = "watsonxaiifm-cr") -> Kube:
    """A client under such a login; to be closed."""
    return connect(context=log_in(environment, namespace, custom_resource=custom_resource))
