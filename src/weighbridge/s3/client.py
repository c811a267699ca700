"""The seam to botocore: how a client is made.

botocore is imported here alone, and only when a client is asked for (0.1 s). Nothing ambient decides: no profile, no
``~/.aws``; endpoint, region, keys, CA and proxy are the environment file's. Without ``proxy`` the process's ``HTTPS_PROXY`` and
``NO_PROXY`` count, as everywhere.
"""

import ipaddress
import os
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined] # absent from typeshed

from weighbridge.environment.base import Proxy
from weighbridge.errors import PreconditionError
from weighbridge.s3.answers import refuse_strange_answers
from weighbridge.s3.failures import s3_errors
from weighbridge.s3.target import S3Target

CONNECT_SECONDS = 5
READ_SECONDS = 30
"""A server that sends nothing for this long counts as stalled."""

ATTEMPTS = 4
"""Tries of one short request inside botocore, with its own backoff."""


class S3Client(Protocol):
    """The calls used, as botocore's generated client has them."""

    def list_objects_v2(self, **request: Any) -> dict[str, Any]: ...

    def list_objects(self, **request: Any) -> dict[str, Any]: ...

    def head_object(self, **request: Any) -> dict[str, Any]: ...

    def list_buckets(self, **request: Any) -> dict[str, Any]: ...

    def get_object(self, **request: Any) -> dict[str, Any]: ...

    def delete_object(self, **request: Any) -> dict[str, Any]: ...

    def close(self) -> None: ...


def open_client(
    target: S3Target, *, attempts: int = ATTEMPTS, read_seconds: float = READ_SECONDS
) -> S3Client:
    """A client for one source. Not to be shared between threads that close it."""
    import boto3.session  # noqa: PLC0415 - lazy, see the module's text
    import botocore.config  # noqa: PLC0415 - lazy, see the module's text
    import botocore.session  # noqa: PLC0415

    if target.ca_bundle is not None and not target.ca_bundle.is_file():
        raise PreconditionError(
            f"the CA bundle {target.ca_bundle} does not exist",
            remedy="Correct `trust.ca_bundle`.",
            code="trust-missing",
        )
    nothing: tuple[object, ...] = (None, None, None, None)
    session = botocore.session.Session(
        session_vars={
            "profile": nothing,
            "config_file": (None, None, os.devnull, None),
            "credentials_file": (None, None, os.devnull, None),
        }
    )
    amazon = (urlsplit(target.source.endpoint).hostname or "").endswith(
        (".amazonaws.com", ".amazonaws.com.cn")
    )
    proxies = proxies_for(target.source.endpoint, target.proxy)
    config = botocore.config.Config(
        signature_version="s3v4",
        connect_timeout=CONNECT_SECONDS,
        read_timeout=read_seconds,
        retries={"mode": "standard", "total_max_attempts": attempts},
        s3={"addressing_style": "auto" if amazon else "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_supported",
        user_agent_extra="weighbridge",
        **({} if proxies is None else {"proxies": dict(proxies)}),
    )
    with s3_errors(target, "open"):
        client: S3Client = boto3.session.Session(botocore_session=session).client(
            "s3",
            region_name=target.source.region,
            endpoint_url=target.source.endpoint,
            aws_access_key_id=target.keys.access_key,
            aws_secret_access_key=target.keys.secret_key,
            aws_session_token=target.keys.session_token,
            verify=str(target.ca_bundle) if target.ca_bundle else None,
            config=config,
        )
    refuse_strange_answers(client)
    return client


def proxies_for(endpoint: str, proxy: Proxy | None) -> Mapping[str, str] | None:
    """Proxies by scheme for ``endpoint``; empty when ``no_proxy`` covers it; ``None``: the process's environment decides."""
    if proxy is None:
        return None
    host = urlsplit(endpoint).hostname or ""
    names = [entry for entry in proxy.no_proxy if "/" not in entry]
    networks = [entry for entry in proxy.no_proxy if "/" in entry]
    if proxy_bypass_environment(host, {"no": ",".join(names)}) or any(
        _within(host, network) for network in networks
    ):
        return {}
    return {scheme: url for scheme, url in (("http", proxy.http), ("https", proxy.https)) if url}


def _within(host: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
