"""The source on an S3 server: an object's facts, its ranges, and the meaning of each refusal."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Callable

from ...control import Control
from ...document import OrderFile
from ...errors import FailedError, RefusedError, TryAgain
from ...limits import Limits
from ...paths import of_set
from ...readback import MakeCheck
from ...secret_text import told
from ...transport import NETWORK_ERRORS, Lane, Stalled
from .answers import CHANGED, changed, error_body, facts_of, skew_text
from .checksums import ObjectFacts, choose_check
from .credentials import MountedKeys
from .location import Location
from .pages import MAX_ASKED_SINGLY, PAGE_BYTES, Page, PageError, identity, list_query, parse_page
from .refusals import EXPIRED, Answer, denied, refused
from .sigv4 import Keys, Request, canonical_query, object_target, signed_headers

_RETRIED = {408, 425, 429, 500, 502, 503, 504}
_MOST_FILES = 200_000
"""Twice what a plan lists. The limit bounds memory."""


class S3Origin:
    """Reads one location. Several threads may use it; each thread brings its own ``Lane``."""

    def __init__(
        self,
        location: Location,
        keys: MountedKeys,
        control: Control,
        note: Callable[[str], None],
        limits: Limits,
    ) -> None:
        self._location = location
        self._mounted = keys
        self._control = control
        self._note = note
        self._limits = limits
        self._lock = threading.Lock()
        self._skew = timedelta()
        self._said: set[str] = set()
        self._conditional = True
        """Whether to send ``If-Match``. False once the server says that it does not support conditions."""
        self.wire_guarded = location.endpoint.startswith("https://")
        """Whether TLS protects the bytes in transit."""
        self.answered = False
        """Whether the source has given a good answer in this run."""

    def list(self, lane: Lane, exclude: Sequence[str]) -> list[OrderFile]:
        """See ``Origin.list``."""
        prefix = self._location.prefix
        found: list[OrderFile] = []
        seen: set[str] = set()
        asked: Mapping[str, str] = {}
        while True:
            page = self._page(lane, list_query(prefix, asked))
            for item in page.files:
                if item.path in seen or not item.path.startswith(prefix):
                    raise self._lists_oddly(f"lists {item.path} twice, or beside what was asked for")
                seen.add(item.path)
                path = item.path[len(prefix) :]
                if of_set(path, item.size, exclude):
                    found.append(OrderFile(path, item.size, item.etag))
            if not page.following:
                return [*self._with_etags(lane, found)]
            if page.following == asked:
                raise self._lists_oddly("cuts a listing short and does not go on")
            asked = page.following
            if len(found) > _MOST_FILES:
                raise RefusedError(
                    "source-changed", f"the source holds more than {_MOST_FILES} files", remedy=CHANGED
                )

    def _lists_oddly(self, how: str) -> RefusedError:
        return RefusedError(
            "source-refused",
            f"{self._location.endpoint} {how}",
            remedy="use another endpoint of this store: this one does not list as an S3 server does",
        )

    def _with_etags(self, lane: Lane, files: Sequence[OrderFile]) -> Sequence[OrderFile]:
        """Return the files. Ask one by one for those listed without an ETag, as the plan does."""
        without = [file for file in files if not file.etag]
        asked = {file.path: self._etag(lane, file) for file in without[:MAX_ASKED_SINGLY]}
        known = [file if file.etag else replace(file, etag=asked.get(file.path, "")) for file in files]
        for file in known:
            if not file.etag:
                raise RefusedError(
                    "source-unpinned",
                    f"{self._location.endpoint} lists {file.path} without an ETag: nothing tells one content of it from another",
                    remedy="use an endpoint of this store that gives ETags",
                    files=[file.path],
                )
        return known

    def _etag(self, lane: Lane, file: OrderFile) -> str:
        response = self._exchange(lane, "HEAD", file, {}, {})
        return identity(response.getheader("ETag") or "") if response.status == http.client.OK else ""

    def _page(self, lane: Lane, query: Mapping[str, str]) -> Page:
        response = self._exchange(lane, "GET", None, {"Accept-Encoding": "identity"}, query)
        where = f"{self._location.endpoint}, bucket {self._location.bucket}"
        if response.status != http.client.OK:
            code, text = self._error(response, lane)
            raise RefusedError(
                "source-missing" if response.status == http.client.NOT_FOUND else "source-refused",
                f"{where} answers {response.status} {code or response.reason} to a listing: {text}",
            )
        content = bytearray()
        view = memoryview(bytearray(1 << 16))
        while len(content) <= PAGE_BYTES:
            try:
                got = lane.read_into(response, view)
            except (*NETWORK_ERRORS, Stalled) as error:
                lane.close()
                raise self._unreached(error, lane) from error
            if not got:
                break
            content += view[:got]
        whole = response.getheader("Content-Length")
        lane.finish(response)
        if whole is not None and len(content) < int(whole):
            message = f"{where} ended a listing too early"
            raise TryAgain(message)
        try:
            page = parse_page(bytes(content))
        except PageError as error:
            raise RefusedError(
                "source-refused", f"{where} does not list as an S3 server does: {error}"
            ) from error
        self.answered = True
        return page

    def check(self, lane: Lane, file: OrderFile, *, proof: bool) -> MakeCheck | None:
        """See ``Origin.check``."""
        return choose_check(
            file,
            self.facts(lane, file),
            mode=self._limits.check_etag,
            wire_guarded=self.wire_guarded,
            part_size=partial(self.part_size, lane, file),
            proof=proof,
        )

    def facts(self, lane: Lane, file: OrderFile) -> ObjectFacts:
        """Send HEAD for the object. Check that it is still the one that the plan saw, and return what it attests."""
        fields = {"If-Match": f'"{file.etag}"', "x-amz-checksum-mode": "ENABLED"}
        response = self._exchange(lane, "HEAD", file, fields, {})
        if response.status == http.client.OK:
            self._same_object(response, file)
            if response.getheader("Content-Length") != str(file.size):
                raise changed(
                    file, f"its size is {response.getheader('Content-Length')} bytes, not {file.size}"
                )
            self.answered = True
            return facts_of(response)
        if response.status == http.client.PRECONDITION_FAILED:
            raise changed(file, "its ETag is another")
        # The answer to HEAD has no body with the reason: send a request whose answer has one.
        with self.range(lane, file, 0, min(1, file.size)):
            pass
        lane.close()
        return ObjectFacts({}, composite=False, encryption="", server="")

    def part_size(self, lane: Lane, file: OrderFile, parts: int) -> int | None:
        """Return the part size if the object was uploaded in ``parts`` equal parts (the last may be shorter), else ``None``."""
        sizes = []
        for number in (1, parts):
            response = self._exchange(
                lane, "HEAD", file, {"If-Match": f'"{file.etag}"'}, {"partNumber": str(number)}
            )
            if response.status not in {http.client.OK, http.client.PARTIAL_CONTENT}:
                return None
            sizes.append(int(response.getheader("Content-Length") or 0))
        first, last = sizes
        return first if first and 0 < last <= first and first * (parts - 1) + last == file.size else None

    @contextlib.contextmanager
    def range(self, lane: Lane, file: OrderFile, start: int, end: int) -> Iterator[http.client.HTTPResponse]:
        """Yield a response from which ``lane.read_into`` reads the bytes ``[start, end)`` of the object."""
        fields = {"If-Match": f'"{file.etag}"', "Accept-Encoding": "identity"}
        if end > start:
            fields["Range"] = f"bytes={start}-{end - 1}"
        response = self._exchange(lane, "GET", file, fields, {})
        whole = start == 0 and end == file.size
        if response.status == http.client.OK and not whole:
            lane.close()
            raise FailedError("source-no-ranges", f"{self._location.endpoint} ignores Range requests",
                              remedy="use the source's own S3 endpoint, not a cache or proxy that cannot serve ranges")  # fmt: skip
        if response.status not in {http.client.OK, http.client.PARTIAL_CONTENT}:
            answer = Answer(response, *self._error(response, lane))
            raise refused(self._location, answer, file, self._skew)
        self._same_object(response, file)
        if (
            response.status == http.client.PARTIAL_CONTENT
            and response.getheader("Content-Range") != f"bytes {start}-{end - 1}/{file.size}"
        ):
            lane.close()
            raise changed(
                file,
                f"asked for bytes {start}-{end - 1}/{file.size}, got {response.getheader('Content-Range')}",
            )
        self.answered = True
        try:
            yield response
        except BaseException:
            lane.close()
            raise
        lane.finish(response)

    def read(self, lane: Lane, response: http.client.HTTPResponse, view: memoryview) -> int:
        """Return the number of bytes put into ``view``, at least one. Raise ``TryAgain`` if the connection fails or
        the body ends too early.
        """
        try:
            count = lane.read_into(response, view)
        except (*NETWORK_ERRORS, Stalled) as error:
            raise self._unreached(error, lane) from error
        if not count:
            message = f"{self._location.endpoint} ended its answer too early"
            raise TryAgain(message)
        return count

    def _exchange(
        self,
        lane: Lane,
        method: str,
        file: OrderFile | None,
        fields: Mapping[str, str],
        query: Mapping[str, str],
    ) -> http.client.HTTPResponse:
        """Send one request for a file or (``None``) to the bucket. Repeat it if the answer says how to succeed: with
        rotated keys, or by the server's clock.
        """
        key = "" if file is None else self._location.prefix + file.path
        request = Request(
            method,
            lane.host,
            object_target(self._location.bucket, key).rstrip("/" if file is None else ""),
            query,
            {**fields, "User-Agent": "weighbridge-mover"},
        )
        if not self._conditional:
            request = self._unconditional(request)
        rotation_ends: float | None = None
        corrected = False
        while True:
            self._control.check()
            keys = self._mounted.read()
            response = self._send(lane, request, keys)
            if response.status == http.client.NOT_IMPLEMENTED and "If-Match" in request.headers:
                self._conditional = False
                lane.close()
                request = self._unconditional(request)
                continue
            if response.status not in {
                http.client.BAD_REQUEST,
                http.client.UNAUTHORIZED,
                http.client.FORBIDDEN,
            }:
                return response
            code, text = self._error(response, lane)
            if code == "RequestTimeTooSkewed" and not corrected:
                corrected = self._adopt_clock(response)
                continue
            if keys is not None and self._mounted.read() != keys:
                continue
            if code in EXPIRED:
                rotation_ends = rotation_ends or time.monotonic() + self._limits.rotation_seconds
                if time.monotonic() < rotation_ends:
                    self._note_once(
                        "the source calls the credentials expired: waiting for the mounted Secret to be renewed"
                    )
                    self._control.sleep(2)
                    continue
            if method == "HEAD":
                return response
            raise denied(self._location, Answer(response, code, text), file, self._skew)

    @staticmethod
    def _unconditional(request: Request) -> Request:
        """Return the request without ``If-Match``; the answer's ETag is compared instead."""
        return replace(
            request, headers={name: text for name, text in request.headers.items() if name != "If-Match"}
        )

    def _send(self, lane: Lane, request: Request, keys: Keys | None) -> http.client.HTTPResponse:
        headers = {**request.headers, "Host": lane.host}
        if keys is not None:
            now = datetime.now(timezone.utc) + self._skew
            headers = signed_headers(request, keys, self._location.region, now)
        query = canonical_query(request.query)
        try:
            response = lane.request(request.method, request.target + (f"?{query}" if query else ""), headers)
            if request.method == "HEAD":
                response.read()
                lane.finish(response)
        except (*NETWORK_ERRORS, Stalled) as error:
            lane.close()
            raise self._unreached(error, lane) from error
        if response.status in _RETRIED:
            code, text = self._error(response, lane)
            message = f"{self._location.endpoint} answers {response.status} {code or response.reason}{f': {text}' if text else ''}"
            raise TryAgain(message)
        return response

    def _error(self, response: http.client.HTTPResponse, lane: Lane) -> tuple[str, str]:
        """Return code and message of S3's error document in a form that may be shown: a server may quote the request."""
        code, text = error_body(response, lane)
        keys = self._mounted.read()
        secrets = () if keys is None else keys.secrets
        return told(code, secrets, 80), told(text, secrets)

    def _same_object(self, response: http.client.HTTPResponse, file: OrderFile) -> None:
        etag = identity(response.getheader("ETag") or "")
        if not etag and not self._conditional:
            raise RefusedError(
                "source-unpinned",
                f"{self._location.endpoint} knows no conditional requests and answers {file.path} without an ETag",
                remedy="such a server can swap a file unseen: use another endpoint of this store",
                files=[file.path],
            )
        if etag and etag != file.etag:
            raise changed(file, f"its ETag is {etag}, not {file.etag}")

    def _unreached(self, error: BaseException, lane: Lane) -> Exception:
        """Return the error for a failed connection, for people. It is final if waiting cannot help."""
        where = self._location.endpoint
        if isinstance(error, ssl.SSLCertVerificationError):
            return RefusedError("tls-untrusted", f"{where}: its certificate is not trusted: {error.verify_message}",
                                remedy="put the authority that signed it into trust.ca_bundle")  # fmt: skip
        if isinstance(error, Stalled):
            return TryAgain(f"{where} stalled")
        if isinstance(error, socket.gaierror):
            return TryAgain(f"the name of {where} does not resolve: {error.strerror}")
        if isinstance(error, socket.timeout):
            return TryAgain(f"{where} does not answer in time")
        # Of other errors, tell only the kind: a ValueError quotes the refused header, and so the keys.
        text = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        return TryAgain(f"{where}{lane.via()}: {text}")

    def _adopt_clock(self, response: http.client.HTTPResponse) -> bool:
        try:
            server = parsedate_to_datetime(response.getheader("Date") or "")
        except (TypeError, ValueError):
            return True
        if server.tzinfo is None:
            server = server.replace(tzinfo=timezone.utc)
        with self._lock:
            self._skew = server - datetime.now(timezone.utc)
        self._note_once(
            f"{skew_text(self._skew)}: requests are signed with the source's time; set the node's clock (NTP)"
        )
        return True

    def _note_once(self, text: str) -> None:
        with self._lock:
            if text in self._said:
                return
            self._said.add(text)
        self._note(text)
