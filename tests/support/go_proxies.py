"""How Go's programs (kubectl, Pulumi, its plugins) read ``NO_PROXY``: ``useProxy`` of golang.org/x/net/http/httpproxy 0.58, line by line."""

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


def go_proxy(url: str, environ: Mapping[str, str]) -> str | None:
    """The proxy for ``url``, ``None``: directly."""
    parts = urlsplit(url)
    host, port = (parts.hostname or "").lower(), str(parts.port or _PORTS[parts.scheme])
    name = f"{parts.scheme}_proxy"
    proxy = environ.get(name) or environ.get(name.upper())
    if not proxy or not _used(host, port, environ.get("no_proxy") or environ.get("NO_PROXY") or ""):
        return None
    return proxy


def _used(host: str, port: str, no_proxy: str) -> bool:
    address = _ip(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return False
    return not any(_matches(entry.strip().lower(), host, port, address) for entry in no_proxy.split(","))


def _matches(  # noqa: PLR0911  a line of Go each
    entry: str, host: str, port: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None
) -> bool:
    if not entry:
        return False
    if entry == "*":
        return True
    if "/" in entry:
        try:
            return address is not None and address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    name, wanted = entry, ""
    if entry.startswith("[") and "]:" in entry:
        name, _, wanted = entry[1:].partition("]:")
    elif entry.count(":") == 1:
        name, _, wanted = entry.partition(":")
    found = _ip(name)
    if found is not None:
        return found == address and wanted in ("", port)
    if address is not None or not name:
        return False
    name = name[1:] if name.startswith("*.") else name
    exact = not name.startswith(".")
    suffix = "." + name if exact else name
    return (host.endswith(suffix) or (exact and host == suffix[1:])) and wanted in ("", port)


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
