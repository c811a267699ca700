"""Pages of ListObjectsV2 as S3 servers answer them (Amazon S3 API Reference, "ListObjectsV2"). Pure."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_plus

from ...document import OrderFile

PAGE_BYTES = 16 << 20
"""The longest page read: 1,000 keys of 1,024 bytes, each byte written as three, are below 4 MiB."""


class PageError(ValueError):
    """Not a page of a listing; the message says why."""


@dataclass(frozen=True)
class Page:
    files: tuple[OrderFile, ...]
    """By the whole key, the prefix included."""
    token: str | None
    """Of the next page."""


def list_query(prefix: str, token: str | None) -> Mapping[str, str]:
    query = {"list-type": "2", "encoding-type": "url", "prefix": prefix}
    return query if token is None else {**query, "continuation-token": token}


def parse_page(content: bytes) -> Page:
    """Raises ``PageError`` for anything else than a whole page, also for one that is cut short in silence."""
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
        etag = (_text(item, "ETag") or "").strip().removeprefix("W/").strip('"')
        if not etag:
            raise PageError("it names no ETags, so that nobody can say whether these are the planned objects")
        files.append(OrderFile(decode(key), int(size), etag))
    token = _text(root, "NextContinuationToken") or None
    truncated = _text(root, "IsTruncated") == "true"
    if truncated and token is None:
        raise PageError("it is cut short and names no next page")
    return Page(tuple(files), token if truncated else None)


def _name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _text(element: ET.Element, name: str) -> str | None:
    return next((child.text or "" for child in element if _name(child) == name), None)
