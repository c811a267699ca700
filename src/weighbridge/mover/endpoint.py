"""Check the connection to a server, stage by stage; every stage reports what it found. Move nothing.

``weighbridge doctor`` runs the network stages on its own machine, and all stages in a pod. A failed stage ends its
chain, so that a name that does not resolve is never reported as wrong keys.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Callable
from urllib.parse import urlsplit

from .errors import RefusedError
from .proxies import Proxy, ProxySettings, proxy_for

Finding = dict[str, Any]
"""``stage``, ``ok``, ``said``; ``code`` if it failed; in the stage ``http`` also ``skew``: seconds that our clock is ahead."""

_SAID = 240
"""Characters of one sentence: all sentences must fit into one termination message."""
ERROR_BYTES = 1 << 16
_OK, _FOUND_ELSEWHERE = 200, frozenset({301, 307})
_PROXY_LOGIN = 407
_TRIED = 4
"""Addresses to try for one name."""


class StageError(Exception):
    def __init__(self, stage: str, code: str, said: str) -> None:
        super().__init__(said)
        self.finding = failed(stage, code, said)


def passed(stage: str, said: str, **more: Any) -> Finding:
    return {"stage": stage, "ok": True, "said": _short(said), **more}


def failed(stage: str, code: str, said: str) -> Finding:
    return {"stage": stage, "ok": False, "code": code, "said": _short(said)}


@dataclass(frozen=True)
class Endpoint:
    """A server and how to reach it, without the login."""

    url: str
    """Without a path."""
    proxy: ProxySettings = field(default_factory=ProxySettings)
    environment: Mapping[str, str] | None = None
    """Variables that name proxies; ``None``: those of this process."""
    ca_file: str | None = None
    seconds: float = 10.0
    """For each step: the name, each address, each answer."""


def look(endpoint: Endpoint, login: Callable[[], Finding] | None = None) -> list[Finding]:
    """Return the findings of the stages ``dns``, ``tcp``, ``proxy``, ``tls``, ``http`` and, if given, ``login``,
    until one fails.
    """
    found: list[Finding] = []
    try:
        connection = connected(endpoint, found)
        with contextlib.closing(connection):
            found.append(_greeting(endpoint, connection))
        if login is not None:
            found.append(login())
    except StageError as error:
        found.append(error.finding)
    return found


def connected(endpoint: Endpoint, found: list[Finding]) -> http.client.HTTPConnection:
    parts = urlsplit(endpoint.url)
    secure, host = parts.scheme == "https", parts.hostname or ""
    port = parts.port or (443 if secure else 80)
    variables = os.environ if endpoint.environment is None else endpoint.environment
    try:
        proxy = proxy_for(parts.scheme, host, endpoint.proxy, variables, port)
    except RefusedError as error:
        raise StageError("proxy", error.code, error.message) from error
    near = (proxy.host, proxy.port) if proxy else (host, port)
    addresses = _resolved(near, endpoint.seconds)
    through = f"proxy {near[0]}, which resolves {host} itself: " if proxy else ""
    means = "is an address, not a name" if near[0] in addresses else f"is {', '.join(addresses)}"
    found.append(passed("dns", f"{through}{near[0]} {means}", addresses=addresses[:8]))
    sock = _reached(near, addresses, endpoint.seconds)
    found.append(passed("tcp", f"{near[0]} port {near[1]} answers"))
    try:
        if proxy and secure:
            _tunnel(sock, proxy, host, port)
        if proxy:
            found.append(passed("proxy", f"goes through {proxy.host}:{proxy.port}"))
        if secure:
            sock, said = _secured(sock, host, endpoint)
            found.append(passed("tls", said))
    except StageError:
        sock.close()
        raise
    connection = http.client.HTTPConnection(host, port, timeout=endpoint.seconds)
    connection.auto_open = 0  # http.client must not replace a lost connection by one without proxy and TLS
    connection.sock = sock
    return connection


def _resolved(near: tuple[str, int], seconds: float) -> list[str]:
    """Return the addresses in the resolver's order. The resolver has no deadline, so it runs in a thread of its own."""
    found: list[list[str] | OSError] = []

    def ask() -> None:
        try:
            rows = socket.getaddrinfo(near[0], near[1], type=socket.SOCK_STREAM)
            found.append(list(dict.fromkeys(str(row[4][0]) for row in rows)))
        except OSError as error:
            found.append(error)
        except UnicodeError as error:
            found.append(OSError(str(error)))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    if not found:
        raise StageError("dns", "dns-timeout", f"no answer for {near[0]} within {seconds:g} s")
    if isinstance(found[0], OSError):
        raise StageError("dns", "dns-failed", f"{near[0]} does not resolve: {found[0].strerror or found[0]}")
    return found[0]


def _reached(near: tuple[str, int], addresses: list[str], seconds: float) -> socket.socket:
    """Return a connection to the first address that accepts one."""
    problems = []
    code = "tcp-unreachable"
    for address in addresses[:_TRIED]:
        found = _dialled(address, near[1], seconds)
        if isinstance(found, socket.socket):
            return found
        code, said = found
        problems.append(said)
    raise StageError("tcp", code, "; ".join(problems))


def _dialled(address: str, port: int, seconds: float) -> socket.socket | tuple[str, str]:
    try:
        return socket.create_connection((address, port), timeout=seconds)
    except ConnectionRefusedError:
        return "tcp-refused", f"{address} refuses connections on port {port}"
    except OSError as error:
        if isinstance(error, (TimeoutError, socket.timeout)):  # the same class since Python 3.10
            return "tcp-timeout", f"{address} port {port} does not answer within {seconds:g} s"
        return "tcp-unreachable", f"{address} port {port}: {error.strerror or error}"


def _tunnel(sock: socket.socket, proxy: Proxy, host: str, port: int) -> None:
    login = f"Proxy-Authorization: {proxy.authorization}\r\n" if proxy.authorization else ""
    far = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    asked = f"CONNECT {far} HTTP/1.1\r\nHost: {far}\r\n{login}\r\n"
    try:
        sock.sendall(asked.encode("ascii"))
        head = b""
        while b"\r\n\r\n" not in head and len(head) < ERROR_BYTES:
            part = sock.recv(4096)
            if not part:
                break
            head += part
    except OSError as error:
        raise StageError("proxy", "proxy-silent", f"proxy {proxy.host}:{proxy.port}: {error}") from error
    line = head.split(b"\r\n", 1)[0].decode("latin-1")
    status = re.match(r"HTTP/1\.[01] (\d{3})", line)
    if status is None or status.group(1) != "200":
        code = "proxy-login" if status and int(status.group(1)) == _PROXY_LOGIN else "proxy-refused"
        said = f"proxy {proxy.host}:{proxy.port} answers {line or 'nothing'!r} to CONNECT {far}"
        raise StageError("proxy", code, said)


def _secured(sock: socket.socket, host: str, endpoint: Endpoint) -> tuple[ssl.SSLSocket, str]:
    try:
        context = ssl.create_default_context()
        if endpoint.ca_file:
            context.load_verify_locations(endpoint.ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise StageError("tls", "trust-unusable", f"the CA bundle cannot be used: {error}") from error
    try:
        secured = context.wrap_socket(sock, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        names = {10: "tls-expired", 9: "tls-clock", 62: "tls-name", 64: "tls-name"}  # X509_V_ERR_* of OpenSSL
        code = names.get(error.verify_code, "tls-untrusted")
        raise StageError("tls", code, f"{host}: {error.verify_message}") from error
    except OSError as error:
        raise StageError("tls", "tls-failed", f"{host}: {getattr(error, 'reason', None) or error}") from error
    return secured, f"{secured.version()}, certificate trusted"


def _greeting(endpoint: Endpoint, connection: http.client.HTTPConnection) -> Finding:
    before = time.time()
    response = exchange(endpoint, connection, "/", {}, "http")
    now = (before + time.time()) / 2
    said = f"answers HTTP {response.status}"
    if server := response.getheader("Server"):
        said += f", {server}"
    date = response.getheader("Date")
    try:
        skew = None if date is None else now - parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        skew = None
    return passed("http", said, skew=skew)


def exchange(
    endpoint: Endpoint,
    connection: http.client.HTTPConnection,
    target: str,
    headers: Mapping[str, str],
    stage: str,
) -> http.client.HTTPResponse:
    """Return the answer. A plain request through a proxy names the whole URL."""
    parts = urlsplit(endpoint.url)
    variables = os.environ if endpoint.environment is None else endpoint.environment
    proxy = proxy_for(parts.scheme, parts.hostname or "", endpoint.proxy, variables, parts.port)
    fields = {"Host": parts.netloc, **headers}
    if proxy and parts.scheme == "http":
        target = f"{parts.scheme}://{parts.netloc}{target}"
        if proxy.authorization:
            fields["Proxy-Authorization"] = proxy.authorization
    try:
        connection.request("GET", target, headers=fields)
        response = connection.getresponse()
    except http.client.HTTPException as error:
        raise StageError(
            stage, "not-http", f"{parts.netloc} does not speak HTTP: {type(error).__name__}"
        ) from error
    except ValueError as error:  # the error's text quotes the refused header
        raise StageError(
            stage, "unsendable", f"the request to {parts.netloc} holds what HTTP cannot carry"
        ) from error
    except OSError as error:
        raise StageError(stage, "http-silent", f"{parts.netloc} does not answer: {error}") from error
    if response.status == _PROXY_LOGIN:
        raise StageError("proxy", "proxy-login", "the proxy wants a login")
    return response


def body_of(response: http.client.HTTPResponse, seconds: float) -> str:
    """Return the beginning of an answer's body, as much as comes in time: a slow server must not delay us."""
    until, content = time.monotonic() + seconds, b""
    with contextlib.suppress(OSError, http.client.HTTPException):
        while len(content) < ERROR_BYTES and time.monotonic() < until:
            part = response.read1(4096)
            if not part:
                break
            content += part
    return content.decode("utf-8", "replace")


def _short(text: str) -> str:
    plain = " ".join(str(text).split())
    return plain if len(plain) <= _SAID else plain[: _SAID - 1] + "…"
