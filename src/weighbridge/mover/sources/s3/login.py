"""One request with the keys, for a probe: can they list the place, and is there an object?"""

from __future__ import annotations

import contextlib
import re
from datetime import datetime, timezone
from typing import Callable
from urllib.parse import urlsplit

from ...endpoint import Endpoint, Finding, body_of, connected, exchange, failed, passed
from ...errors import MoverError
from ...secret_text import told
from .location import Location, redirect_host
from .sigv4 import Keys, Request, canonical_query, object_target, signed_headers

_OK, _FOUND_ELSEWHERE = 200, frozenset({301, 307})


def log_in(location: Location, endpoint: Endpoint, read_keys: Callable[[], Keys | None]) -> Finding:
    """Run the stage ``login``: can the keys list the prefix, is there an object? Raise ``StageError`` if the
    connection fails.
    """
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
    connection = connected(endpoint, [])
    with contextlib.closing(connection):
        response = exchange(endpoint, connection, f"{target}?{canonical_query(query)}", headers, "login")
        text = body_of(response, endpoint.seconds)
    if response.status == _OK:
        count = len(re.findall("<Key>", text))
        if count:
            return passed("login", f"lists s3://{location.bucket}/{location.prefix}")
        if re.search("(?i)<(!doctype )?html", text):
            return failed("login", "not-s3", "answers with a web page (HTML), not as an S3 server does")
        return failed("login", "source-empty", f"nothing lies under s3://{location.bucket}/{location.prefix}")
    redirected = 300 <= response.status < 400 and not response.getheader("x-amz-bucket-region")  # noqa: PLR2004 - redirections
    if redirected and "<Code>" not in text:
        return failed(
            "login",
            "redirect",
            f"sends on to {redirect_host(response)} ({response.status}); redirects are not followed",
        )
    code = re.search(r"<Code>([^<]{1,80})</Code>", text)
    word = code.group(1) if code else ("PermanentRedirect" if response.status in _FOUND_ELSEWHERE else "")
    said = re.search(r"<Message>([^<]{1,160})</Message>", text)
    words = told(
        f"HTTP {response.status} {word} {said.group(1) if said else ''}", keys.secrets if keys else ()
    )
    return failed("login", f"s3:{word or response.status}", words)
