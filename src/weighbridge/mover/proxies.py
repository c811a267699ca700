"""Which proxy leads to a host: from the settings first, then from the environment variables that clusters inject.

All programs that connect get the same rules, those shared by ``curl`` and Go (``golang.org/x/net/http/httpproxy``).
Where these two differ: a leading dot or ``*.`` covers the domain itself too (curl), an entry may name a port,
lower-case variables win, and this machine's own loopback is never behind a proxy (Go). ``no_proxy_for_children``
writes a list that other programs read in the same way.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Union
from urllib.parse import unquote, urlsplit

from .errors import RefusedError

_PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")
_Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
_Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]


@dataclass(frozen=True)
class ProxySettings:
    """Proxies that the environment file names. For each unset one, the process's environment variables count."""

    http: str | None = None
    https: str | None = None
    no_proxy: tuple[str, ...] | None = None
    alone: bool = False
    """Ignore the environment's variables, even for what is unset here."""


@dataclass(frozen=True)
class Proxy:
    host: str
    port: int
    authorization: str | None
    """Value of ``Proxy-Authorization``, or ``None``."""

    def __repr__(self) -> str:
        return f"Proxy({self.host}:{self.port})"


@dataclass(frozen=True)
class Exempt:
    """One entry of ``no_proxy``: everything, a network, or a domain with all its subdomains; ``port`` narrows it."""

    network: _Network | None = None
    domain: str | None = None
    port: int | None = None

    def covers(self, host: str, port: int) -> bool:
        """``host``: in lower case and without brackets."""
        if self.port not in (None, port):
            return False
        address = _address(host)
        if self.network is not None:
            return address is not None and address in self.network
        if self.domain is None:
            return True
        return address is None and (host == self.domain or host.endswith("." + self.domain))

    def __str__(self) -> str:
        if self.network is None:
            plain = "*" if self.domain is None else self.domain
        elif self.network.prefixlen == self.network.max_prefixlen:
            address = str(self.network.network_address)
            plain = f"[{address}]" if self.port and ":" in address else address
        else:
            plain = str(self.network)
        return plain if self.port is None else f"{plain}:{self.port}"


def exempt(entry: str) -> Exempt | None:
    """Parse an entry: ``*``, ``host``, ``.domain``, ``*.domain``, an address or a network, most of them with
    ``:port``; IPv6 with or without brackets. Return ``None`` for anything else.
    """
    text = entry.strip().lower()
    if text == "*":
        return Exempt()
    found = _network(text)
    if found is not None:
        return Exempt(network=found)
    head, colon, tail = text.rpartition(":")
    port = None
    if colon and tail.isdigit() and 0 < int(tail) < 1 << 16 and "/" not in head:
        text, port = head, int(tail)
        found = _network(text)
        if found is not None and (text.startswith("[") or found.version == 4):  # noqa: PLR2004 - of the protocol
            return Exempt(network=found, port=port)
    name = text[1:] if text.startswith("*.") else text
    name = name.lstrip(".").rstrip(".")
    return Exempt(domain=name, port=port) if _NAME.fullmatch(name) else None


def chosen_proxy(
    scheme: str,
    host: str,
    settings: ProxySettings,
    environment: Mapping[str, str],
    port: int | None = None,
) -> str | None:
    """Return the proxy's URL, unchanged, for ``scheme`` (``http`` or ``https``) at ``host``; ``None``: connect directly."""
    variables: Mapping[str, str] = {} if settings.alone else environment
    configured = settings.https if scheme == "https" else settings.http
    url = configured or _variable(variables, f"{scheme}_proxy")
    if not url or is_direct(host, port or _PORTS[scheme], _exempt(settings, variables)):
        return None
    return url


def proxy_for(
    scheme: str,
    host: str,
    settings: ProxySettings,
    environment: Mapping[str, str],
    port: int | None = None,
) -> Proxy | None:
    """Return ``chosen_proxy``, parsed for connecting. Raise ``RefusedError`` if it is not a plain HTTP proxy."""
    url = chosen_proxy(scheme, host, settings, environment, port)
    return _parse(url) if url else None


def is_direct(host: str, port: int, entries: Iterable[str]) -> bool:
    """Return whether to use no proxy: an entry of ``no_proxy`` covers the host, or it is this machine's loopback."""
    plain = host.strip("[]").rstrip(".").lower()
    address = _address(plain)
    if plain == "localhost" or (address is not None and address.is_loopback):
        return True
    return any(found is not None and found.covers(plain, port) for found in map(exempt, entries))


def no_proxy_for_children(settings: ProxySettings, environment: Mapping[str, str]) -> str:
    """Return a ``NO_PROXY`` value that means the same to Go, curl and Python's libraries as it means here."""
    variables: Mapping[str, str] = {} if settings.alone else environment
    found = [exempt(entry) for entry in _exempt(settings, variables)]
    return ",".join(dict.fromkeys(str(item) for item in found if item is not None))


def proxy_variables(settings: ProxySettings, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for a child that connects by itself, in both spellings. Empty without a proxy."""
    variables: Mapping[str, str] = {} if settings.alone else environment
    values = {
        "http_proxy": settings.http or _variable(variables, "http_proxy"),
        "https_proxy": settings.https or _variable(variables, "https_proxy"),
    }
    if not any(values.values()):
        return {}
    values["no_proxy"] = no_proxy_for_children(settings, environment)
    found = {name: value for name, value in values.items() if value}
    return {**found, **{name.upper(): value for name, value in found.items()}}


def _exempt(settings: ProxySettings, variables: Mapping[str, str]) -> tuple[str, ...]:
    if settings.no_proxy is not None:
        return settings.no_proxy
    return tuple(part for part in re.split(r"[,\s]+", _variable(variables, "no_proxy") or "") if part)


def _variable(variables: Mapping[str, str], name: str) -> str | None:
    return variables.get(name) or variables.get(name.upper())


def _address(text: str) -> _Address | None:
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _network(text: str) -> _Network | None:
    if text.startswith("[") and "]" in text:
        inner, _, rest = text[1:].partition("]")
        if ":" not in inner or (rest and not rest.startswith("/")):
            return None
        text = inner + rest
    try:
        found = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    mapped = getattr(found.network_address, "ipv4_mapped", None)
    if mapped is not None and found.prefixlen >= 96:  # noqa: PLR2004 - of ::ffff:0:0/96
        return ipaddress.ip_network((mapped, found.prefixlen - 96), strict=False)
    return found


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
