"""How a client of botocore is made.

Only here is botocore imported, and only when a client is made (0.1 s). No ambient setting counts: no profile, no
``~/.aws``, no ``AWS_*``. Endpoint, region, keys and proxy come from the environment file. Without ``proxy``, the
process's ``HTTPS_PROXY`` and ``NO_PROXY`` count. The system's authorities are trusted besides ``trust.ca_bundle``, as
everywhere.
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
"""Open connections of one client: this many threads can use it without waiting for each other."""

ATTEMPTS = 4
"""Tries of one short request inside botocore, with botocore's own backoff."""

_ONE_AT_A_TIME = Lock()
"""A session creates its parts when a client first needs them; two threads must not do so at once."""


class S3Client(Protocol):
    """The methods of botocore's generated client that are used."""

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
    """Return a client. Several threads may use it (boto3, "Multithreading or multiprocessing with clients"), as long
    as none closes it.

    ``addressing``: ``path`` or ``virtual`` is the place of the bucket's name; by default the path, except for
    Amazon's servers.
    """
    import botocore.config  # noqa: PLC0415 - lazy, see the module's docstring

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
    """Return the session of all clients: a new one reads S3's description again (0.1 s; a client takes 0.01 s)."""
    import boto3.session  # noqa: PLC0415 - lazy, see the module's docstring
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
    """Return one PEM file with the system's authorities and those of ``ca_bundle``: botocore would replace one by the
    other, and has a list of its own. Raise ``PreconditionError`` if ``ca_bundle`` is missing.
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
    """Return the proxies for ``endpoint`` by scheme, as botocore takes them: from the environment file, else from the
    process's variables. Return none if it is reached directly.
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
