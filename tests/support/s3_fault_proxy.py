"""A reverse proxy before a real S3 server that misbehaves on request: it stalls, breaks off, lies, and has keys and a clock of its own.

Clients sign with the proxy's keys for the proxy's address; it checks that, and signs anew for the server. Read-only:
``GET`` and ``HEAD``, which is all that a source of weights is asked for.
"""

import contextlib
import http.client
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

from support.s3_signature import refusal, signed

PIECE = 1 << 14
"""Bytes written between two looks at pace and faults."""
PASSED_ON = ("range", "if-match", "x-amz-checksum-mode")
UPSTREAM_SECONDS = 30

Kind = Literal["stall", "reset", "truncate", "flip", "error", "delay"]


@dataclass
class S3Fault:
    """Strikes the next ``times`` answers that it fits, after ``after`` bytes of their bodies."""

    kind: Kind
    after: int = 0
    """Bytes; of a body that is shorter, its middle."""
    seconds: float = 0.0
    """How long a stall or a delay lasts; a stalled connection is then reset."""
    status: int = 500
    code: str = "InternalError"
    times: int = 1
    prefix: str = ""
    """Only objects whose key begins so."""
    agent: str = ""
    """Only clients whose User-Agent holds this."""
    struck: int = 0

    def fits(self, key: str, agent: str) -> bool:
        return self.times > 0 and key.startswith(self.prefix) and self.agent in agent


@dataclass
class S3FaultProxy:
    """What may be changed while it serves."""

    upstream: str
    upstream_keys: tuple[str, str]
    """Access key and secret key that the server knows."""
    keys: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    """The proxy's own: access key to secret key and session token."""
    expired: set[str] = field(default_factory=set)
    """Access keys that count as expired."""
    faults: list[S3Fault] = field(default_factory=list)
    rate: float = 0.0
    """Bytes a second and connection; 0: as fast as it goes."""
    clock: timedelta = timedelta()
    """How far the proxy's clock is ahead of this machine's."""
    down: bool = False
    """Every connection is broken off."""
    served: int = 0
    """Body bytes that went out."""
    requests: int = 0
    """Requests that came."""
    endpoint: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)
    before: Callable[[str], None] = lambda _key: None
    """Called with the key before an object's body is sent."""

    def take(self, key: str, agent: str) -> S3Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.fits(key, agent):
                    fault.times -= 1
                    fault.struck += 1
                    return fault
        return None

    @property
    def struck(self) -> int:
        """How many answers the present faults have spoiled."""
        return sum(fault.struck for fault in self.faults)

    def calm(self) -> None:
        """No fault any more; the keys stay as they are."""
        with self.lock:
            self.faults.clear()
            self.expired.clear()
        self.down, self.clock, self.before = False, timedelta(), lambda _key: None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    server: "_Server"

    def log_message(self, *_: object) -> None:
        pass

    def date_time_string(self, _timestamp: float | None = None) -> str:
        return format_datetime(datetime.now(UTC) + self.server.proxy.clock, usegmt=True)

    def do_HEAD(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def _serve(self) -> None:
        proxy = self.server.proxy
        with proxy.lock:
            proxy.requests += 1
        if proxy.down:
            return self._reset()
        refused = refusal(
            self.command,
            self.path,
            dict(self.headers),
            keys=proxy.keys,
            expired=proxy.expired,
            clock=proxy.clock,
        )
        if refused:
            return self._error(403, refused)
        key = _key(self.path)
        fault = proxy.take(key, self.headers.get("User-Agent", "")) if key else None
        if fault and fault.kind == "delay":
            self._sleep(fault.seconds)
        if fault and fault.kind == "error":
            return self._error(fault.status, fault.code)
        if key and self.command == "GET":
            proxy.before(key)
        try:
            self._relay(proxy, fault)
        except (OSError, http.client.HTTPException):  # one of the two sides has gone
            self._reset()
        return None

    def _relay(self, proxy: S3FaultProxy, fault: S3Fault | None) -> None:
        wanted = {name: self.headers[name] for name in PASSED_ON if name in self.headers}
        fields = signed(self.command, proxy.upstream + self.path, wanted, *proxy.upstream_keys)
        server = http.client.HTTPConnection(urlsplit(proxy.upstream).netloc, timeout=UPSTREAM_SECONDS)
        try:
            server.request(self.command, self.path, headers=fields)
            answer = server.getresponse()
            length = answer.getheader("Content-Length")
            body = answer.read() if length is None else b""
            self.send_response(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in {
                    "date",
                    "server",
                    "connection",
                    "content-length",
                    "transfer-encoding",
                }:
                    self.send_header(name, value)
            self.send_header("Content-Length", length if length is not None else str(len(body)))
            self.end_headers()
            if self.command == "GET":
                pieces = _pieces(answer) if length is not None else iter([body])
                self._body(pieces, int(length or len(body)), proxy, fault)
        finally:
            server.close()

    def _body(self, pieces: Iterator[bytes], length: int, proxy: S3FaultProxy, fault: S3Fault | None) -> None:
        strikes = None
        if fault and fault.kind in {"stall", "reset", "truncate", "flip"} and length:
            strikes = fault.after if fault.after < length else length // 2
        sent = 0
        for piece in pieces:
            data = piece
            if strikes is not None and fault and sent <= strikes < sent + len(data):
                at = strikes - sent
                if fault.kind == "flip":
                    data = data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]
                else:
                    self._send(data[:at], proxy)
                    if fault.kind == "stall":
                        self._sleep(fault.seconds)
                    return self._end_early() if fault.kind == "truncate" else self._reset()
            self._send(data, proxy)
            sent += len(data)
        return None

    def _send(self, data: bytes, proxy: S3FaultProxy) -> None:
        if proxy.down:
            raise ConnectionResetError
        self.wfile.write(data)
        with proxy.lock:
            proxy.served += len(data)
        if proxy.rate:
            time.sleep(len(data) / proxy.rate)

    def _sleep(self, seconds: float) -> None:
        """Say nothing for so long, or until the client gives up."""
        self.connection.settimeout(seconds)
        with contextlib.suppress(OSError):
            self.connection.recv(1)
        self.connection.settimeout(self.timeout)

    def _end_early(self) -> None:
        """As if the answer ended here: an orderly end of the connection, too soon."""
        self.close_connection = True

    def _reset(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def _error(self, status: int, code: str) -> None:
        text = (
            "" if self.command == "HEAD" else f"<Error><Code>{code}</Code><Message>as asked</Message></Error>"
        )
        with contextlib.suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())


def _pieces(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    while piece := answer.read(PIECE):
        yield piece


def _key(path: str) -> str:
    """The object's key, empty for requests about a bucket."""
    url = urlsplit(path)
    if "list-type" in parse_qs(url.query):
        return ""
    return unquote(url.path).lstrip("/").partition("/")[2]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    proxy: S3FaultProxy

    def handle_error(self, *_: object) -> None:
        pass  # a client that was killed breaks its connections


@contextlib.contextmanager
def s3_fault_proxy(
    upstream: str,
    upstream_keys: tuple[str, str],
    keys: Mapping[str, tuple[str, str | None]],
    host: str = "127.0.0.1",
) -> Iterator[S3FaultProxy]:
    """Serve on ``host`` (pods of the sandbox reach the bridge's address), on a port of the kernel's choice."""
    server = _Server((host, 0), _Handler)
    server.proxy = S3FaultProxy(
        upstream, upstream_keys, dict(keys), endpoint=f"http://{host}:{server.server_address[1]}"
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.proxy
    finally:
        server.proxy.down = True
        server.shutdown()
        server.server_close()
        thread.join(10)
