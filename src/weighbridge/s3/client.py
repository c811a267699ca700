"""The seam to botocore: how a client is made.

botocore is imported here alone, and only when a client is asked for (0.1 s). Nothing ambient decides: no profile, no
``~/.aws``, no ``AWS_*``; endpoint, region, keys and proxy are the environment file's. Without ``proxy`` the process's
``HTTPS_PROXY`` and ``NO_PROXY`` count, and the system's authorities are trusted beside ``trust.ca_bundle``, as everywhere.
"""

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, Protocol
from urllib.parse import urlsplit

from weighbridge import trust
from weighbridge.environment.base import Proxy
from weighbridge.errors import PreconditionError
from weighbridge.mover.proxies import ProxySettings, chosen_proxy
from weighbridge.s3.answers import refuse_strange_answers
from weighbridge.s3.failures import s3_errors
from weighbridge.s3.target import S3Target

CONNECT_SECONDS = 5
READ_SECONDS = 30
"""A server that sends nothing for this long counts as stalled."""

CONNECTIONS = 16
"""Kept open by one client: as many threads may use it without waiting for each other."""

ATTEMPTS = 4
"""Tries of one short request inside botocore, with its own backoff."""

_ONE_AT_A_TIME = Lock()
"""A session makes its parts when a client first needs them, and two threads must not do so at once."""


class S3Client(Protocol):
    """The calls used, as botocore's generated client has them."""

    def list_objects_v2(self, **request: Any) -> dict[str, Any]: ...

    def list_objects(self, **request: Any) -> dict[str, Any]: ...

    def head_object(self, **request: Any) -> dict[str, Any]: ...

    def get_object(self, **request: Any) -> dict[str, Any]: ...

    def delete_object(self, **request: Any) -> dict[str, Any]: ...

    def close(self) -> None: ...


def open_client(
    target: S3Target,
    *,
    attempts: int = ATTEMPTS,
    read_seconds: float = READ_SECONDS,
    addressing: str | None = None,
) -> S3Client:
    """A client. Several threads may use it (boto3, "Multithreading or multiprocessing with clients"), as long as none closes it.

    ``addressing``: ``path`` or ``virtual``, where the bucket's name stands; by default in the path, except at Amazon's.
    """
    import botocore.config  # noqa: PLC0415 - lazy, see the module's text

    trusted = trusted_file(target.ca_bundle)
    amazon = (urlsplit(target.source.endpoint).hostname or "").endswith(
        (".amazonaws.com", ".amazonaws.com.cn")
    )
    proxies = proxies_for(target.source.endpoint, target.proxy)
    config = botocore.config.Config(
        signature_version="s3v4",
        connect_timeout=CONNECT_SECONDS,
        read_timeout=read_seconds,
        max_pool_connections=CONNECTIONS,
        retries={"mode": "standard", "total_max_attempts": attempts},
        s3={"addressing_style": addressing or ("auto" if amazon else "path")},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_supported",
        user_agent_extra="weighbridge",
        proxies=dict(proxies),
    )
    with s3_errors(target, "open"), _ONE_AT_A_TIME:
        client: S3Client = _session().client(
            "s3",
            region_name=target.source.region,
            endpoint_url=target.source.endpoint,
            aws_access_key_id=target.keys.access_key,
            aws_secret_access_key=target.keys.secret_key,
            aws_session_token=target.keys.session_token,
            verify=trusted,
            config=config,
        )
    refuse_strange_answers(client)
    return client


@cache
def _session() -> Any:
    """The session of every client: a new one would read S3's description anew (0.1 s, a client 0.01 s)."""
    import boto3.session  # noqa: PLC0415 - lazy, see the module's text
    import botocore.session  # noqa: PLC0415

    nothing: tuple[object, ...] = (None, None, None, None)
    defaults = botocore.session.Session.SESSION_VARIABLES.items()
    unheard = {name: (None, None, default, convert) for name, (_, _, default, convert) in defaults}
    session = botocore.session.Session(
        session_vars={
            **unheard,
            "profile": nothing,
            "config_file": (None, None, os.devnull, None),
            "credentials_file": (None, None, os.devnull, None),
        }
    )
    return boto3.session.Session(botocore_session=session)


def trusted_file(ca_bundle: Path | None) -> str:
    """One PEM file of the system's authorities and those of ``ca_bundle``: botocore would replace the one by the other, and
    brings a list of its own. ``PreconditionError`` where ``ca_bundle`` is absent.
    """
    try:
        return trust.bundle_file(ca_bundle)
    except OSError as error:
        raise PreconditionError(
            f"the CA bundle {ca_bundle} does not exist"
            if isinstance(error, FileNotFoundError)
            else f"the CA bundle {ca_bundle} cannot be read: {error.strerror}",
            remedy="Correct `trust.ca_bundle`.",
            code="trust-missing",
        ) from error


def proxies_for(
    endpoint: str, proxy: Proxy | None, environ: Mapping[str, str] | None = None
) -> Mapping[str, str]:
    """Proxies for ``endpoint`` as botocore takes them, by scheme: of the environment file, else of the process's variables; empty
    where it is reached directly.
    """
    parts = urlsplit(endpoint)
    settings = (
        ProxySettings()
        if proxy is None
        else ProxySettings(proxy.http, proxy.https, proxy.no_proxy, alone=True)
    )
    variables = os.environ if environ is None else environ
    found = {
        scheme: chosen_proxy(scheme, parts.hostname or "", settings, variables, parts.port)
        for scheme in ("http", "https")
    }
    return {scheme: url if "://" in url else f"http://{url}" for scheme, url in found.items() if url}
