"""Looks at the way to the source and at the volume, and moves nothing: every stage says what it found.

``weighbridge doctor`` runs the network's part on its own machine and the whole in a pod. A stage that fails ends its own
chain, so that a name that does not resolve is never taken for wrong keys.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import platform
import re
import shutil
import socket
import ssl
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Callable
from urllib.parse import urlsplit

from .errors import MoverError, RefusedError
from .order import ProxySettings, S3Location
from .proxies import Proxy, proxy_for
from .sigv4 import Keys, Request, canonical_query, object_target, signed_headers

Finding = dict[str, Any]
"""``stage``, ``ok``, ``said``; where it failed ``code``; of the stage ``http`` also ``skew``, seconds that our clock is ahead."""

_SAID = 240
"""Characters of one sentence: all of them have to fit into a termination message."""
_ERROR_BYTES = 1 << 16
_OK, _FOUND_ELSEWHERE = 200, frozenset({301, 307})
_PROXY_LOGIN = 407
_TRIED = 4
"""Addresses of one name."""


class _StageError(Exception):
    def __init__(self, stage: str, code: str, said: str) -> None:
        super().__init__(said)
        self.finding = failed(stage, code, said)


def passed(stage: str, said: str, **more: Any) -> Finding:
    return {"stage": stage, "ok": True, "said": _short(said), **more}


def failed(stage: str, code: str, said: str) -> Finding:
    return {"stage": stage, "ok": False, "code": code, "said": _short(said)}


@dataclass(frozen=True)
class Way:
    """How to get to a source: everything but the keys."""

    location: S3Location
    proxy: ProxySettings = field(default_factory=ProxySettings)
    environment: Mapping[str, str] | None = None
    """Variables that name proxies; ``None``: this process's."""
    ca_file: str | None = None
    seconds: float = 10.0
    """For each of: the name, each address, each answer."""


def look(way: Way, read_keys: Callable[[], Keys | None] | None = None) -> list[Finding]:
    """Stages ``dns``, ``tcp``, ``proxy``, ``tls``, ``http`` and, with keys to read, ``login``, as far as they go."""
    found: list[Finding] = []
    try:
        connection = _connected(way, found)
        with contextlib.closing(connection):
            found.append(_greeting(way, connection))
        if read_keys is not None:
            found.append(_login(way, read_keys))
    except _StageError as error:
        found.append(error.finding)
    return found


def _connected(way: Way, found: list[Finding]) -> http.client.HTTPConnection:
    parts = urlsplit(way.location.endpoint)
    secure, host = parts.scheme == "https", parts.hostname or ""
    port = parts.port or (443 if secure else 80)
    variables = os.environ if way.environment is None else way.environment
    try:
        proxy = proxy_for(parts.scheme, host, way.proxy, variables)
    except RefusedError as error:
        raise _StageError("proxy", error.code, error.message) from error
    near = (proxy.host, proxy.port) if proxy else (host, port)
    addresses = _resolved(near, way.seconds)
    through = f"proxy {near[0]}, which resolves {host} itself: " if proxy else ""
    means = "is an address, not a name" if near[0] in addresses else f"is {', '.join(addresses)}"
    found.append(passed("dns", f"{through}{near[0]} {means}", addresses=addresses[:8]))
    sock = _reached(near, addresses, way.seconds)
    found.append(passed("tcp", f"{near[0]} port {near[1]} answers"))
    try:
        if proxy and secure:
            _tunnel(sock, proxy, host, port)
        if proxy:
            found.append(passed("proxy", f"goes through {proxy.host}:{proxy.port}"))
        if secure:
            sock, said = _secured(sock, host, way)
            found.append(passed("tls", said))
    except _StageError:
        sock.close()
        raise
    connection = http.client.HTTPConnection(host, port, timeout=way.seconds)
    connection.auto_open = 0  # a lost connection must not be replaced by a bare one
    connection.sock = sock
    return connection


def _resolved(near: tuple[str, int], seconds: float) -> list[str]:
    """Addresses, in the resolver's order. The resolver knows no deadline, so it gets a thread of its own."""
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
        raise _StageError("dns", "dns-timeout", f"no answer for {near[0]} within {seconds:g} s")
    if isinstance(found[0], OSError):
        raise _StageError("dns", "dns-failed", f"{near[0]} does not resolve: {found[0].strerror or found[0]}")
    return found[0]


def _reached(near: tuple[str, int], addresses: list[str], seconds: float) -> socket.socket:
    """A connection to the first of the addresses that takes one."""
    problems = []
    code = "tcp-unreachable"
    for address in addresses[:_TRIED]:
        found = _dialled(address, near[1], seconds)
        if isinstance(found, socket.socket):
            return found
        code, said = found
        problems.append(said)
    raise _StageError("tcp", code, "; ".join(problems))


def _dialled(address: str, port: int, seconds: float) -> socket.socket | tuple[str, str]:
    try:
        return socket.create_connection((address, port), timeout=seconds)
    except ConnectionRefusedError:
        return "tcp-refused", f"{address} refuses connections on port {port}"
    except OSError as error:
        if isinstance(error, (TimeoutError, socket.timeout)):  # one class since Python 3.10
            return "tcp-timeout", f"{address} port {port} does not answer within {seconds:g} s"
        return "tcp-unreachable", f"{address} port {port}: {error.strerror or error}"


def _tunnel(sock: socket.socket, proxy: Proxy, host: str, port: int) -> None:
    login = f"Proxy-Authorization: {proxy.authorization}\r\n" if proxy.authorization else ""
    asked = f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{login}\r\n"
    try:
        sock.sendall(asked.encode("ascii"))
        head = b""
        while b"\r\n\r\n" not in head and len(head) < _ERROR_BYTES:
            part = sock.recv(4096)
            if not part:
                break
            head += part
    except OSError as error:
        raise _StageError("proxy", "proxy-silent", f"proxy {proxy.host}:{proxy.port}: {error}") from error
    line = head.split(b"\r\n", 1)[0].decode("latin-1")
    status = re.match(r"HTTP/1\.[01] (\d{3})", line)
    if status is None or status.group(1) != "200":
        code = "proxy-login" if status and int(status.group(1)) == _PROXY_LOGIN else "proxy-refused"
        said = f"proxy {proxy.host}:{proxy.port} answers {line or 'nothing'!r} to CONNECT {host}:{port}"
        raise _StageError("proxy", code, said)


def _secured(sock: socket.socket, host: str, way: Way) -> tuple[ssl.SSLSocket, str]:
    try:
        context = ssl.create_default_context()
        if way.ca_file:
            context.load_verify_locations(way.ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise _StageError("tls", "trust-unusable", f"the CA bundle cannot be used: {error}") from error
    try:
        secured = context.wrap_socket(sock, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        names = {10: "tls-expired", 9: "tls-clock", 62: "tls-name", 64: "tls-name"}  # X509_V_ERR_* of OpenSSL
        code = names.get(error.verify_code, "tls-untrusted")
        raise _StageError("tls", code, f"{host}: {error.verify_message}") from error
    except OSError as error:
        raise _StageError(
            "tls", "tls-failed", f"{host}: {getattr(error, 'reason', None) or error}"
        ) from error
    return secured, f"{secured.version()}, certificate trusted"


def _greeting(way: Way, connection: http.client.HTTPConnection) -> Finding:
    before = time.time()
    response = _exchange(way, connection, "/", {}, "http")
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


def _login(way: Way, read_keys: Callable[[], Keys | None]) -> Finding:
    location = way.location
    try:
        keys = read_keys()
    except MoverError as error:
        return failed("login", error.code, error.message)
    target = object_target(location.bucket, "").rstrip("/")
    query = {"list-type": "2", "max-keys": "1", "prefix": location.prefix}
    request = Request("GET", urlsplit(location.endpoint).netloc, target, query, {})
    headers = (
        {} if keys is None else signed_headers(request, keys, location.region, datetime.now(timezone.utc))
    )
    connection = _connected(way, [])
    with contextlib.closing(connection):
        response = _exchange(way, connection, f"{target}?{canonical_query(query)}", headers, "login")
        text = response.read(_ERROR_BYTES).decode("utf-8", "replace")
    if response.status == _OK:
        count = len(re.findall("<Key>", text))
        if count:
            return passed("login", f"lists s3://{location.bucket}/{location.prefix}")
        return failed("login", "source-empty", f"nothing lies under s3://{location.bucket}/{location.prefix}")
    code = re.search(r"<Code>([^<]{1,80})</Code>", text)
    word = code.group(1) if code else ("PermanentRedirect" if response.status in _FOUND_ELSEWHERE else "")
    said = re.search(r"<Message>([^<]{1,160})</Message>", text)
    words = f"HTTP {response.status} {word} {said.group(1) if said else ''}".strip()
    return failed("login", f"s3:{word or response.status}", words)


def _exchange(
    way: Way, connection: http.client.HTTPConnection, target: str, headers: Mapping[str, str], stage: str
) -> http.client.HTTPResponse:
    """The answer; a plain request through a proxy names the whole URL."""
    parts = urlsplit(way.location.endpoint)
    variables = os.environ if way.environment is None else way.environment
    proxy = proxy_for(parts.scheme, parts.hostname or "", way.proxy, variables)
    fields = {"Host": parts.netloc, **headers}
    if proxy and parts.scheme == "http":
        target = f"{parts.scheme}://{parts.netloc}{target}"
        if proxy.authorization:
            fields["Proxy-Authorization"] = proxy.authorization
    try:
        connection.request("GET", target, headers=fields)
        response = connection.getresponse()
    except http.client.HTTPException as error:
        raise _StageError(stage, "not-http", f"{parts.netloc} does not speak HTTP: {error!r}") from error
    except OSError as error:
        raise _StageError(stage, "http-silent", f"{parts.netloc} does not answer: {error}") from error
    if response.status == _PROXY_LOGIN:
        raise _StageError("proxy", "proxy-login", "the proxy wants a login")
    return response


# -- in a pod --------------------------------------------------------------------------------------------------------


def look_at_volume(root: Path) -> Finding:
    """Whether this user can make and remove a file at the volume's root, where the mover works."""
    groups = ",".join(map(str, sorted({os.getgid(), *os.getgroups()})))
    who = f"user {os.getuid()}, groups {groups}"
    try:
        status = root.stat()
        who += f"; the root is {status.st_uid}:{status.st_gid} mode {status.st_mode & 0o7777:04o}"
        with _scratch(root / f".weighbridge-probe-{uuid.uuid4().hex}") as folder:
            (folder / "written").write_bytes(b"weighbridge")
            (folder / "written").rename(folder / "renamed")
        free = shutil.disk_usage(root).free
    except OSError as error:
        return failed("volume", "volume-unwritable", f"{error.strerror or error} ({who})")
    return passed("volume", f"writable for {who}; {free >> 20} MiB free", free=free)


@contextlib.contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A folder that is gone afterwards, with what was put into it."""
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def look_at_image(*, rsync: bool) -> list[Finding]:
    """Python's version, and rsync where the order needs it."""
    found = [passed("python", f"{platform.python_implementation()} {platform.python_version()}")]
    if rsync:
        place = shutil.which("rsync")
        found.append(
            passed("rsync", place) if place else failed("rsync", "rsync-missing", "the image has no rsync")
        )
    return found


def main(
    order_file: str, *, volume: str, credentials: str | None, ca_file: str | None, termination: str | None
) -> int:
    """Look at everything that the order names; the findings go into the termination message. Always 0: findings are no failure."""
    from .credentials import MountedKeys  # noqa: PLC0415 - needed in a pod only

    order = json.loads(Path(order_file).read_text(encoding="utf-8"))
    found = look_at_image(rsync=bool(order.get("rsync")))
    if order.get("volume"):
        found.append(look_at_volume(Path(volume)))
    source = order.get("source")
    if source:
        location = S3Location(source["endpoint"], source["region"], source["bucket"], source["prefix"])
        way = Way(location, ca_file=ca_file, seconds=float(order.get("seconds", 10)))
        found += look(way, MountedKeys(credentials).read if credentials else None)
    message = {"schema": 1, "outcome": "probed", "stages": found}
    text = json.dumps(message, separators=(",", ":"))
    sys.stdout.write(text + "\n")
    if termination:
        Path(termination).write_text(text, encoding="utf-8")
    return 0


def _short(text: str) -> str:
    plain = " ".join(str(text).split())
    return plain if len(plain) <= _SAID else plain[: _SAID - 1] + "…"
