"""Where the files of an order lie in S3."""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from urllib.parse import urlsplit

from ...document import Document, OrderError


@dataclass(frozen=True)
class Location:
    """Where the files lie: object ``prefix + path`` of ``bucket``, addressed path-style at ``endpoint``."""

    endpoint: str
    region: str
    bucket: str
    prefix: str


def redirect_host(response: http.client.HTTPResponse) -> str:
    """Scheme and host that a redirect leads to, in words; neither path nor query, which may be signed."""
    try:
        parts = urlsplit(response.getheader("Location") or "")
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "another place"
    return f"{parts.scheme}://{parts.hostname}{port}" if parts.scheme and parts.hostname else "another place"


def parse_location(body: Document) -> Location:
    """From the order's ``source``, less its kind; ``OrderError`` if it is not that."""
    endpoint = body.text("endpoint").rstrip("/")
    parts = urlsplit(endpoint)
    if (
        parts.scheme not in {"http", "https"}
        or not parts.hostname
        or parts.path
        or parts.query
        or parts.username
    ):
        raise OrderError("source.endpoint", "is not an http(s) URL without path, query and user")
    try:
        _ = parts.port
    except ValueError as error:
        raise OrderError("source.endpoint", "has a malformed port") from error
    bucket = body.text("bucket")
    if not bucket or "/" in bucket or bucket in {".", ".."}:
        raise OrderError("source.bucket", "is not a bucket name")
    return Location(endpoint, body.text("region", "us-east-1"), bucket, body.text("prefix", ""))
