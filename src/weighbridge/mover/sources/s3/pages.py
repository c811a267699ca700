"""Read pages of a listing from S3 servers (Amazon S3 API Reference, "ListObjectsV2" and "ListObjects"). Without side
effects.

A server that knows only version 1 answers a request of version 2 without a continuation token; further requests to it
use version 1, starting after the last key. The plan lists by the same rules.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_plus

from ...document import OrderFile

PAGE_BYTES = 16 << 20
"""The longest page that is read: 1,000 keys of 1,024 bytes, each byte written as three, are below 4 MiB."""


MAX_ASKED_SINGLY = 1000
"""Most objects to ask for one by one if a listing has no ETags."""


class PageError(ValueError):
    """The content is not a page of a listing; the message says why."""


@dataclass(frozen=True)
class Page:
    files: tuple[OrderFile, ...]
    """Named by the whole key, prefix included. The ETag is empty if the server leaves it out."""
    following: Mapping[str, str]
    """Parameters for the next page; empty for the last page."""


def list_query(prefix: str, following: Mapping[str, str]) -> Mapping[str, str]:
    version = {} if "marker" in following else {"list-type": "2"}
    return {**version, "encoding-type": "url", "prefix": prefix, **following}


def following_of(token: str | None, marker: str | None, last: str | None) -> dict[str, str]:
    """Return the parameters for the next page: ``continuation-token`` or, in version 1, ``marker``; empty if unknown.
    ``last``: the page's last key.
    """
    if token:
        return {"continuation-token": token}
    after = marker or last
    return {"marker": after} if after else {}


def identity(etag: str) -> str:
    """Return an ETag without its quotes, and without the mark set by proxies that change an answer's form (RFC 9110, 8.8.3)."""
    return etag.strip().removeprefix("W/").strip('"')


def parse_page(content: bytes) -> Page:
    """Raise ``PageError`` for anything but a complete page, also for a truncated page that does not say how to continue."""
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise PageError("it declares entities")
    try:
        root = ET.fromstring(content)  # noqa: S314 - see above
    except ET.ParseError as error:
        message = f"it is not XML: {error}"
        raise PageError(message) from error
    if _name(root) != "ListBucketResult":
        message = f"it is a {_name(root)[:40]}"
        raise PageError(message)
    decode = unquote_plus if _text(root, "EncodingType") == "url" else str
    files = []
    for item in root:
        if _name(item) != "Contents":
            continue
        key, size = _text(item, "Key"), _text(item, "Size") or ""
        if key is None or not re.fullmatch("[0-9]{1,18}", size):
            raise PageError("an object has no key or no size")
        files.append(OrderFile(decode(key), int(size), identity(_text(item, "ETag") or "")))
    if _text(root, "IsTruncated") != "true":
        return Page(tuple(files), {})
    marker = _text(root, "NextMarker")
    last = files[-1].path if files else None
    following = following_of(_text(root, "NextContinuationToken"), marker and decode(marker), last)
    if not following:
        raise PageError("it is cut short and names no next page")
    return Page(tuple(files), following)


def _name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _text(element: ET.Element, name: str) -> str | None:
    return next((child.text or "" for child in element if _name(child) == name), None)
