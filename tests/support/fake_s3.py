"""An S3 server in this process that checks signatures with botocore's own signer and misbehaves on request."""

import base64
import contextlib
import email.utils
import hashlib
import re
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.sax.saxutils import escape

from support.s3_signature import refusal

BUCKET = "models"
PIECE = 1 << 16


@dataclass
class Stored:
    """One object; uploaded in parts of ``part_size`` if that is given."""

    content: bytes
    part_size: int | None = None
    checksums: bool = False
    """Whether the server offers a CRC-32 (composite for parts)."""

    @property
    def parts(self) -> list[bytes]:
        size = self.part_size or max(1, len(self.content))
        return [self.content[start : start + size] for start in range(0, len(self.content), size)] or [b""]

    @property
    def etag(self) -> str:
        if self.part_size is None:
            return hashlib.md5(self.content, usedforsecurity=False).hexdigest()
        inner = b"".join(hashlib.md5(part, usedforsecurity=False).digest() for part in self.parts)
        return f"{hashlib.md5(inner, usedforsecurity=False).hexdigest()}-{len(self.parts)}"

    def checksum_headers(self) -> dict[str, str]:
        if not self.checksums:
            return {}
        crcs = [zlib.crc32(part).to_bytes(4, "big") for part in self.parts]
        if self.part_size is None:
            return {
                "x-amz-checksum-crc32": base64.b64encode(crcs[0]).decode(),
                "x-amz-checksum-type": "FULL_OBJECT",
            }
        outer = base64.b64encode(zlib.crc32(b"".join(crcs)).to_bytes(4, "big")).decode()
        return {"x-amz-checksum-crc32": f"{outer}-{len(crcs)}", "x-amz-checksum-type": "COMPOSITE"}


@dataclass
class Fault:
    """Strikes the next GET of an object (or of ``key``), ``times`` over, after ``after`` bytes of its body."""

    kind: Literal["stall", "reset", "truncate", "flip", "error", "drip", "before"]
    after: int = 0
    status: int = 500
    code: str = "InternalError"
    times: int = 1
    key: str | None = None
    act: Callable[[], None] = lambda: None
    """For ``before``: done before the answer, which is then as usual."""


@dataclass
class FakeS3:
    """Its objects, keys and faults may be changed while it serves."""

    objects: dict[str, Stored] = field(default_factory=dict)
    keys: dict[str, tuple[str, str | None]] = field(default_factory=lambda: {"AK": ("secret", None)})
    """Access key to secret key and session token."""
    expired: set[str] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)
    pace: float = 0.0
    """Seconds of sleep a piece of 64 KiB; set to 0, it ends a sleep too."""
    clock: timedelta = timedelta()
    page: int = 1000
    """Keys of one page of a listing."""
    tokens: bool = True
    """Whether a page that is cut short names the next one, and so whether the server knows version 2 of listings."""
    etags: bool = True
    """Whether a listing has them."""
    goes_on: bool = True
    """Whether a page can be asked for by its marker."""
    served: int = 0
    """Body bytes of GETs that went out."""
    ranges: list[tuple[str, int, int]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    endpoint: str = ""

    def take_fault(self, key: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.key in {None, key} and fault.times > 0:
                    fault.times -= 1
                    return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def _serve(self) -> None:  # noqa: PLR0911 - every way to be refused
        fake = self.server.fake
        url = urlsplit(self.path)
        bucket, _, key = unquote(url.path).lstrip("/").partition("/")
        refused = refusal(
            self.command,
            self.path,
            dict(self.headers),
            keys=fake.keys,
            expired=fake.expired,
            clock=fake.clock,
        )
        if refused:
            return self._error(403, refused)
        if bucket != BUCKET:
            return self._error(404, "NoSuchBucket")
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        if not key:
            return self._listing(fake, query)
        fault = fake.take_fault(key) if self.command == "GET" else None
        if fault and fault.kind == "before":
            fault.act()
        if fault and fault.kind == "error":
            return self._error(fault.status, fault.code)
        if fault and fault.kind == "drip":
            return self._drip(fault.status)
        stored = fake.objects.get(key)
        if stored is None:
            return self._error(404, "NoSuchKey")
        if self.headers.get("If-Match", f'"{stored.etag}"') != f'"{stored.etag}"':
            return self._error(412, "PreconditionFailed")
        return self._object(fake, key, stored, dict(parse_qsl(url.query)), fault)

    def _listing(self, fake: FakeS3, query: dict[str, str]) -> None:
        """A page of ListObjectsV2, or of ListObjects, as a server writes it that was asked for encoded keys."""
        prefix = query.get("prefix", "")
        after = query.get("continuation-token", query.get("marker", "") if fake.goes_on else "")
        keys = [key for key in sorted(fake.objects) if key.startswith(prefix) and key > after]
        page, more = keys[: fake.page], len(keys) > fake.page
        rows = "".join(
            f"<Contents><Key>{quote(key)}</Key><Size>{len(fake.objects[key].content)}</Size>"
            f"{f'<ETag>&quot;{fake.objects[key].etag}&quot;</ETag>' if fake.etags else ''}</Contents>"
            for key in page
        )
        token = (
            f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>"
            if more and fake.tokens
            else ""
        )
        body = (
            f'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<IsTruncated>{str(more).lower()}</IsTruncated><EncodingType>url</EncodingType>{token}{rows}</ListBucketResult>"
        ).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _object(
        self, fake: FakeS3, key: str, stored: Stored, query: dict[str, str], fault: Fault | None
    ) -> None:
        size = len(stored.content)
        start, end, status = 0, size, 200
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if wanted:
            start, end, status = int(wanted[1]), min(size, int(wanted[2]) + 1), 206
        elif "partNumber" in query and stored.part_size:
            start = (int(query["partNumber"]) - 1) * stored.part_size
            end, status = min(size, start + stored.part_size), 206
        self.send_response(status)
        self.send_header("ETag", f'"{stored.etag}"')
        self.send_header("Content-Length", str(end - start))
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        if self.headers.get("x-amz-checksum-mode") == "ENABLED" and not query:
            for name, value in stored.checksum_headers().items():
                self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            with fake.lock:
                fake.ranges.append((key, start, end))
            self._body(fake, stored.content[start:end], fault)

    def _body(self, fake: FakeS3, body: bytes, fault: Fault | None) -> None:
        strikes = fault.after if fault and fault.kind in {"stall", "reset", "truncate"} else None
        if fault and fault.kind == "flip" and len(body) > fault.after:
            body = body[: fault.after] + bytes([body[fault.after] ^ 4]) + body[fault.after + 1 :]
        sent = 0
        while sent < len(body):
            piece = body[sent : sent + PIECE if strikes is None else min(sent + PIECE, strikes)]
            if not piece:
                return self._strike(fault)
            self.wfile.write(piece)
            sent += len(piece)
            with fake.lock:
                fake.served += len(piece)
            until = time.monotonic() + fake.pace
            while fake.pace and (left := until - time.monotonic()) > 0:
                time.sleep(min(left, 0.05))
        return None

    def _strike(self, fault: Fault | None) -> None:
        self.close_connection = True
        if fault and fault.kind == "stall":
            self.connection.settimeout(60)
            with contextlib.suppress(OSError):
                self.connection.recv(1)  # until the client gives up
        elif fault and fault.kind == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def _drip(self, status: int) -> None:
        """An error whose body comes a byte at a time, for ever."""
        self.send_response(status)
        self.send_header("Content-Length", "65536")
        self.end_headers()
        self.close_connection = True
        for _ in range(65536):
            self.wfile.write(b" ")
            time.sleep(0.1)

    def _error(self, status: int, code: str) -> None:
        body = (
            b""
            if self.command == "HEAD"
            else f"<Error><Code>{code}</Code><Message>as asked</Message></Error>".encode()
        )
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def date_time_string(self, _timestamp: float | None = None) -> str:
        return email.utils.format_datetime(datetime.now(UTC) + self.server.fake.clock, usegmt=True)


class _Server(ThreadingHTTPServer):
    daemon_threads = (
        False  # server_close() waits for every handler, so that no socket is left to the garbage collector
    )
    fake: FakeS3

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._open: set[socket.socket] = set()

    def get_request(self) -> tuple[socket.socket, Any]:
        request, address = super().get_request()
        self._open.add(request)
        return request, address

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """Break what is still open, so that its handlers end."""
        for request in list(self._open):
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, *_: object) -> None:
        pass  # a client that was killed breaks its connections


@contextlib.contextmanager
def fake_s3(objects: dict[str, Stored] | None = None) -> Iterator[FakeS3]:
    server = _Server()
    server.fake = FakeS3(objects or {}, endpoint=f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.fake
    finally:
        server.shutdown()
        server.hang_up()
        server.server_close()
        thread.join()
