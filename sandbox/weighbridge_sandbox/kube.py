"""One way to reach the sandbox's API server, and the one custom resource it is here for."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
from lightkube import ApiError, Client, ConfigError, KubeConfig
from lightkube.generic_resource import create_namespaced_resource

from weighbridge_sandbox.errors import CommandError
from weighbridge_sandbox.layout import Layout

GROUP = "watsonxaiifm.cpd.ibm.com"
VERSION = "v1beta1"
PLURAL = "watsonxaiifm"

Watsonxaiifm = create_namespaced_resource(GROUP, VERSION, "Watsonxaiifm", PLURAL)
"""The custom resource as a lightkube class; ``Watsonxaiifm.Status`` is its status subresource."""

HTTP_NOT_FOUND = 404
HTTP_CONFLICT = 409


def layout_of(home: Path | None) -> Layout:
    """The layout of ``home``, or of the sandbox that the environment chooses."""
    return Layout(home) if home else Layout.from_environment()


def connect(home: Path | None = None, *, field_manager: str) -> Client:
    """A client of the sandbox that writes as ``field_manager``.

    It is always the sandbox's own kubeconfig, never $KUBECONFIG, which may name a cluster that matters; and proxies of
    the environment do not apply to an API server on this machine. Raises CommandError if there is no kubeconfig.
    """
    path = layout_of(home).kubeconfig
    try:
        return Client(KubeConfig.from_file(path), field_manager=field_manager, trust_env=False)
    except ConfigError as error:
        raise CommandError(f"{path} cannot be used: {error}", "Run `weighbridge-sandbox up`.") from error


@contextmanager
def answering(what: str) -> Iterator[None]:
    """Turn what the API server or the way to it answers into a CommandError that says what was being done."""
    try:
        yield
    except ApiError as error:
        raise CommandError(
            f"{what}: the API server answered {error.response.status_code}: {error}"
        ) from error
    except httpx2.HTTPError as error:
        raise CommandError(
            f"{what}: the API server does not answer: {error}", "See `weighbridge-sandbox status`."
        ) from error
