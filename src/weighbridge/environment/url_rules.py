"""Rules on URLs of an environment file. None of them quotes a URL that may hold credentials."""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from weighbridge.environment import state_url
from weighbridge.environment.secret_shapes import looks_like_secret, shown
from weighbridge.environment.text_rule import Complaint, complain
from weighbridge.mover.proxies import exempt

_HOST = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?)*"
)


def endpoint(text: str) -> tuple[Complaint, ...]:
    """An S3 server: absolute http(s) URL without user information, path, query or fragment."""
    complaints = _web_url(text, "https://s3.example.com", "the server's URL")
    if complaints:
        return complaints
    parts = urlsplit(text)
    if parts.scheme == "http" and not _is_near(parts.hostname or ""):
        what = f"{shown(text)} is not encrypted: the weights can be changed, and requests be replayed, on the way"
        remedy = f"write https://{parts.netloc}, if the server offers it"
        return complain(what, remedy, "unencrypted", warning=True)
    return ()


def proxy(text: str) -> tuple[Complaint, ...]:
    """An HTTP proxy: ``http://host[:port]``, without credentials. One that is itself behind TLS is what pods cannot dial: Python's
    standard library puts no TLS into TLS, and most proxies take both.
    """
    found = _web_url(text, "http://proxy.example.com:3128", "the proxy's URL")
    if not found and text.lower().startswith("https://"):
        what = f"{shown(text)} is a proxy behind TLS, which pods cannot use"
        remedy = f"write http://{text[8:]}: what goes through it to https servers is encrypted anyway"
        return complain(what, remedy, "bad-url")
    return found


def no_proxy(text: str) -> tuple[Complaint, ...]:
    """One host, ``.domain``, address or network, or ``*``, that is reached without the proxy; hosts and addresses with a port if it
    is for that one alone. Read by ``mover/proxies.py`` for every program.
    """
    if "," in text or any(character.isspace() for character in text):
        items = ", ".join(part for part in re.split(r"[,\s]+", text) if part)
        quoted = "" if looks_like_secret(items) else f": [{items[:200]}]"
        remedy = f"write them as items of the list{quoted}"
        return complain("several entries stand in one text", remedy, "bad-url")
    if "://" in text or exempt(text) is None:
        what = f"{shown(text)} is not a host, .domain, address or network"
        remedy = "write e.g. .example.com, example.com:8443, 10.0.0.0/8, fd00::/8 or [::1]"
        return complain(what, remedy, "bad-url")
    return ()


def backend(text: str) -> tuple[Complaint, ...]:  # noqa: PLR0911  a mistake each
    """Pulumi's self-managed backends that Weighbridge drives: ``file://`` and ``s3://``
    (Pulumi documentation, "State and backends").
    """
    parts = _split(text)
    if parts is None or parts.scheme not in {"file", "s3"}:
        is_path = text.startswith(("/", "~")) and not looks_like_secret(text)
        near = f"file://{text}" if is_path else "s3://bucket/folder or file:///path"
        what = "this is not a state backend that Weighbridge drives"
        return complain(what, f"write {near[:200]}", "bad-url")
    if "@" in parts.netloc:
        remedy = "write it without them and name them by reference under state.credentials"
        return complain("the URL carries credentials", remedy, "secret-in-file")
    if parts.scheme == "file":
        if not parts.netloc and not parts.path:
            return complain("file:// names no folder", "write e.g. file:///var/lib/weighbridge", "bad-url")
        return state_url.file_complaints(text)
    if not re.fullmatch(r"[A-Za-z0-9._-]{3,255}", parts.netloc):
        return complain("s3:// is not followed by a bucket's name", "write s3://bucket/folder", "bad-url")
    if parts.fragment:
        return complain("the URL has a fragment (#…)", "write the URL without it", "bad-url")
    return state_url.s3_complaints(text)


def _web_url(text: str, example: str, noun: str) -> tuple[Complaint, ...]:
    parts = _split(text)
    if parts is None:
        return complain(f"this is not a URL that can be read as {noun}", f"write e.g. {example}", "bad-url")
    if "@" in parts.netloc:
        remedy = f"write it without them, e.g. {example}"
        return complain("the URL carries credentials", remedy, "secret-in-file")
    if parts.scheme not in {"http", "https"}:
        host = re.fullmatch(r"(?://)?([A-Za-z0-9.-]{1,200}(?::[0-9]{1,5})?)", text)
        near = f"https://{host[1]}" if host else example
        return complain(f"{shown(text)} is not an http(s) URL", f"write e.g. {near}", "bad-url")
    if not _has_good_host(parts):
        return complain(f"{shown(text)} has no valid host and port", f"write e.g. {example}", "bad-url")
    if parts.path or parts.query or parts.fragment or text.endswith(("?", "#")):
        kind = "path" if parts.path else "query or fragment"
        return complain(f"{noun} has a {kind}", f"write {parts.scheme}://{parts.netloc}", "bad-url")
    return ()


def _split(text: str) -> SplitResult | None:
    if len(text) > 2048 or not text.isprintable() or " " in text:  # noqa: PLR2004
        return None
    try:
        return urlsplit(text)
    except ValueError:
        return None


def _has_good_host(parts: SplitResult) -> bool:
    try:
        port = parts.port
    except ValueError:
        return False
    host = parts.hostname or ""
    if port == 0 or parts.netloc.endswith(":"):
        return False
    return _address(host.partition("%")[0]) is not None if ":" in host else bool(_HOST.fullmatch(host))


def _is_near(host: str) -> bool:
    """Loopback, private addresses and in-cluster service names: traffic that stays where the cluster is."""
    address = _address(host)
    if address is None:
        return host == "localhost" or host.endswith((".svc", ".svc.cluster.local", ".localhost"))
    return address.is_private or address.is_loopback


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
