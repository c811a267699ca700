"""An S3 look-alike in this process that keeps to the letter of no specification. Signatures are not looked at."""

import contextlib
import hashlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

BUCKET = "models"


@dataclass
class OddS3:
    """Each oddity by its name; none is set at first."""

    objects: Mapping[str, bytes]
    odd: set[str] = field(default_factory=set)
    """``no-token`` (says truncated), ``version-1``, ``same-token``, ``short-page``, ``wrong-count``, ``no-etag``, ``no-etag-at-all``,
    ``weak``, ``no-conditions``, ``archived``, ``restored``, ``page``, ``broken-page``, ``forbidden-page``, ``redirect``, ``download-redirect``.
    """
    location: str = "https://elsewhere.example.com/x?signature=PLANTED"
    status: int = 302
    page: int = 1000
    endpoint: str = ""
    requests: list[tuple[str, str, Mapping[str, str]]] = field(default_factory=list)
    """Method, path with query, headers."""
    connections: set[tuple[str, int]] = field(default_factory=set)
    """By the client's port."""

    def etag(self, key: str) -> str:
        return hashlib.md5(self.objects[key], usedforsecurity=False).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def log_message(self, *_: object) -> None: ...

    def do_HEAD(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _error(self, status: int, code: str) -> None:
        body = f"<Error><Code>{code}</Code><Message>as asked</Message></Error>".encode()
        self._answer(status, body, Content_Type="application/xml")

    def _serve(self) -> None:
        odd = self.server.odd
        odd.requests.append((self.command, self.path, dict(self.headers)))
        odd.connections.add(self.client_address)
        url = urlsplit(self.path)
        key = unquote(url.path).removeprefix(f"/{BUCKET}").lstrip("/")
        if "redirect" in odd.odd or ("download-redirect" in odd.odd and key and self.command == "GET"):
            return self._answer(odd.status, Location=odd.location)
        for name, status, page in (
            ("page", 200, b"<html><body>Log in</body></html>"),
            ("broken-page", 200, b"<!DOCTYPE html><html><br>Log in"),
            ("forbidden-page", 403, b"<html><body>No</body></html>"),
        ):
            if name in odd.odd:
                return self._answer(status, page, Content_Type="text/html; charset=utf-8")
        if not key:
            return self._list({name: values[-1] for name, values in parse_qs(url.query).items()})
        return self._object(key) if key in odd.objects else self._error(404, "NoSuchKey")

    def _list(self, query: Mapping[str, str]) -> None:
        odd = self.server.odd
        after = query.get("marker", "")
        if "version-1" not in odd.odd:
            after = query.get("continuation-token", after).removeprefix("token:")
        keys = [key for key in sorted(odd.objects) if key.startswith(query.get("prefix", "")) and key > after]
        page, more = keys[: odd.page], len(keys) > odd.page
        if "same-token" in odd.odd:
            page, more = keys[: odd.page] if not after else [], True
        rows = [f"<IsTruncated>{str(more).lower()}</IsTruncated>"]
        if more and "no-token" not in odd.odd:
            if "version-1" in odd.odd:
                rows.append(f"<NextMarker>{escape(page[-1])}</NextMarker>")
            else:
                token = "always" if "same-token" in odd.odd else f"token:{page[-1]}"
                rows.append(f"<NextContinuationToken>{escape(token)}</NextContinuationToken>")
        if "wrong-count" in odd.odd:
            rows.append(f"<KeyCount>{len(page) + 1}</KeyCount>")
        for key in page:
            etag = (
                "" if odd.odd & {"no-etag", "no-etag-at-all"} else f"<ETag>&quot;{odd.etag(key)}&quot;</ETag>"
            )
            kept = "GLACIER" if "archived" in odd.odd and key.endswith(".safetensors") else "STANDARD"
            rows.append(
                f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>{etag}"
                f"<Size>{len(odd.objects[key])}</Size><StorageClass>{kept}</StorageClass></Contents>"
            )
        self._answer(
            200,
            f"<ListBucketResult>{''.join(rows)}</ListBucketResult>".encode(),
            Content_Type="application/xml",
        )

    def _object(self, key: str) -> None:
        odd = self.server.odd
        body = odd.objects[key]
        if "no-conditions" in odd.odd and self.headers.get("If-Match"):
            return self._error(501, "NotImplemented")
        if (
            "archived" in odd.odd
            and "restored" not in odd.odd
            and key.endswith(".safetensors")
            and self.command == "GET"
        ):
            return self._error(403, "InvalidObjectState")
        headers = {"ETag": f'{"W/" if "weak" in odd.odd else ""}"{odd.etag(key)}"'}
        if "no-etag-at-all" in odd.odd:
            headers = {}
        if "restored" in odd.odd:
            headers["x_amz_restore"] = 'ongoing-request="false"'
        wanted = self.headers.get("Range")
        if wanted is None:
            return self._answer(200, body, **headers)
        start, _, end = wanted.removeprefix("bytes=").partition("-")
        first, last = int(start), min(int(end or len(body) - 1), len(body) - 1)
        return self._answer(
            206, body[first : last + 1], Content_Range=f"bytes {first}-{last}/{len(body)}", **headers
        )


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    odd: OddS3

    def handle_error(self, *_: Any) -> None: ...


@contextlib.contextmanager
def odd_s3(objects: Mapping[str, bytes], *odd: str) -> Iterator[OddS3]:
    server = _Server(("127.0.0.1", 0), _Handler)
    server.odd = OddS3(objects, set(odd), endpoint=f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.odd
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
