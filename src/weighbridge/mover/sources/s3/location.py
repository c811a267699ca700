"""Where the files of an order are in S3."""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from urllib.parse import urlsplit

from ...document import Document, OrderError


@dataclass(frozen=True)
class Location:
    """The place of the files: object ``prefix + path`` of ``bucket``, addressed path-style at ``endpoint``."""

    endpoint: str
    region: str
    bucket: str
    prefix: str


def redirect_host(response: http.client.HTTPResponse) -> str:
    """Return scheme and host of a redirect's target, in words, without path and query, which may be signed."""
    try:
        parts = urlsplit(response.getheader("Location") or "")
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "another place"
    return f"{parts.scheme}://{parts.hostname}{port}" if parts.scheme and parts.hostname else "another place"


def parse_location(body: Document) -> Location:
    """Parse the order's ``source`` without its kind. Raise ``OrderError`` if it is invalid."""
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
