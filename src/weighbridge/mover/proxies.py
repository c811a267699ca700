"""Which proxy leads to a host: the order's settings first, then the environment variables that clusters inject."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from .errors import RefusedError


@dataclass(frozen=True)
class ProxySettings:
    """Proxies that the environment file names; each unset one falls back to the process's environment variables."""

    http: str | None = None
    https: str | None = None
    no_proxy: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Proxy:
    host: str
    port: int
    authorization: str | None
    """Value of ``Proxy-Authorization``, or ``None``."""

    def __repr__(self) -> str:
        return f"Proxy({self.host}:{self.port})"


def proxy_for(
    scheme: str, host: str, settings: ProxySettings, environment: Mapping[str, str]
) -> Proxy | None:
    """The proxy for URLs of ``scheme`` (``http`` or ``https``) at ``host``, or ``None`` for a direct connection."""
    bypass = settings.no_proxy
    if bypass is None:
        bypass = tuple((environment.get("no_proxy") or environment.get("NO_PROXY") or "").split(","))
    if any(_matches(host, pattern.strip()) for pattern in bypass if pattern.strip()):
        return None
    configured = settings.https if scheme == "https" else settings.http
    name = f"{scheme}_proxy"
    url = configured or environment.get(name) or environment.get(name.upper())
    return _parse(url) if url else None


def _matches(host: str, pattern: str) -> bool:
    """``*``, a host name, a domain suffix (with or without its dot), an address, or a CIDR range as OpenShift writes them."""
    if pattern == "*":
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(pattern, strict=False)
    except ValueError:
        suffix = pattern.lower().lstrip("*").lstrip(".")
        return host.lower() == suffix or host.lower().endswith("." + suffix)


def _parse(url: str) -> Proxy:
    parts = urlsplit(url if "://" in url else f"http://{url}")
    try:
        port = parts.port or 80
    except ValueError:
        port = 0
    if parts.scheme != "http" or not parts.hostname or not port:
        raise RefusedError(
            "proxy-unusable",
            f"the proxy {parts.scheme}://{parts.hostname or '?'} is not usable",
            remedy="give it as http://host:port",
        )
    authorization = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(pair.encode()).decode()
    return Proxy(parts.hostname, port, authorization)
