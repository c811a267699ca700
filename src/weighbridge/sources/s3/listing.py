"""List every object under a prefix: all of them, or refuse. Handles what S3-compatible servers do differently.

Source: Amazon S3 API Reference, "ListObjectsV2" and "ListObjects". A server that knows only version 1 answers a
request of version 2 without a continuation token; further requests to it use version 1, starting after the last key.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from weighbridge.domain.listing import folder_prefix
from weighbridge.domain.names import named, printable
from weighbridge.domain.weights import SourceFile
from weighbridge.errors import PreconditionError
from weighbridge.mover.sources.s3.pages import MAX_ASKED_SINGLY, following_of, identity
from weighbridge.s3.client import S3Client
from weighbridge.s3.failures import s3_errors
from weighbridge.s3.target import S3Target

LIST_DEADLINE_SECONDS = 120
MAX_OBJECTS = 100_000
"""Objects under one prefix. More mean that the prefix is a mistake (such as a whole bucket). The limit also bounds memory."""
_ASKED_BY: Final = {"continuation-token": "ContinuationToken", "marker": "Marker"}
"""botocore's names of the parameters that ask for the next page."""

ARCHIVED: Final = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Storage classes whose objects cannot be read before they are restored ("Understanding S3 Glacier storage classes")."""
_SHOWN_OF_ARCHIVED = 20


@dataclass
class Listing:
    """One look at a prefix. Use it only once."""

    client: S3Client
    target: S3Target
    archived: dict[str, str] = field(default_factory=dict)
    """Path → storage class, for objects that cannot be read as they are."""
    _seen: set[str] = field(default_factory=set)

    @property
    def _prefix(self) -> str:
        return folder_prefix(self.target.source.prefix)

    def rows(self) -> Iterator[SourceFile]:
        """Yield names, sizes, and ETags without quotes. Raise ``PreconditionError`` if the server cuts its list short."""
        deadline = time.monotonic() + LIST_DEADLINE_SECONDS
        asked: dict[str, str] = {}
        while True:
            page = self._page(asked)
            rows = page.get("Contents", ())
            self._check_count(page, len(rows))
            for row in rows:
                yield self._row(row)
            if not page.get("IsTruncated"):
                return
            asked = self._next(page, rows, asked)
            self._check_limits(deadline)

    def _page(self, asked: dict[str, str]) -> dict[str, Any]:
        ask = self.client.list_objects if "Marker" in asked else self.client.list_objects_v2
        with s3_errors(self.target, "list"):
            return ask(Bucket=self.target.source.bucket, Prefix=self._prefix, **asked)

    def _next(self, page: dict[str, Any], rows: Any, asked: dict[str, str]) -> dict[str, str]:
        """Return the parameters for the next page. Raise an error instead of returning the same ones twice."""
        last = rows[-1]["Key"] if rows else None
        named_so = following_of(page.get("NextContinuationToken"), page.get("NextMarker"), last)
        following = {_ASKED_BY[name]: value for name, value in named_so.items()}
        if not following or following == asked:
            raise self._cut("says that there is more and not how to go on")
        return following

    def _row(self, row: dict[str, Any]) -> SourceFile:
        key = str(row["Key"])
        if key in self._seen:
            raise self._cut(f"lists {printable(key)} twice")
        if not key.startswith(self._prefix):
            raise self._cut(f"lists {printable(key)}, which is not below the prefix that was asked for")
        self._seen.add(key)
        path = key.removeprefix(self._prefix)
        if row.get("StorageClass") in ARCHIVED:
            self.archived[path] = str(row["StorageClass"])
        return SourceFile(path=path, size=int(row["Size"]), etag=self._etag(row, key))

    def _etag(self, row: dict[str, Any], key: str) -> str:
        etag = identity(str(row.get("ETag") or ""))
        if not etag and len(self._seen) <= MAX_ASKED_SINGLY:
            etag = identity(str(self._head(key).get("ETag") or ""))
        if etag:
            return etag
        raise PreconditionError(
            f"{self.target.source.endpoint} lists {printable(key)} without an ETag: nothing tells one content of it from another",
            remedy="Use an endpoint of this store that gives ETags, or `source: {folder: {path: …}}` on a mounted copy.",
            code="source-no-etag",
        )

    def _head(self, key: str) -> dict[str, Any]:
        with s3_errors(self.target, "read"):
            return self.client.head_object(Bucket=self.target.source.bucket, Key=key)

    def require_readable(self, files: tuple[SourceFile, ...]) -> None:
        """Raise ``PreconditionError`` that names archived objects among ``files``. Objects that were restored can be read."""
        paths = [file.path for file in files if file.path in self.archived]
        for path in paths[:_SHOWN_OF_ARCHIVED]:
            if 'ongoing-request="false"' not in str(self._head(self._prefix + path).get("Restore", "")):
                classes = ", ".join(sorted({self.archived[one] for one in paths}))
                raise PreconditionError(
                    f"objects of {self.target.where} are archived ({classes}) and cannot be read: {named(paths)}",
                    remedy="Restore them (`aws s3api restore-object`) or copy them to storage class STANDARD, then plan again.",
                    code="source-archived",
                )

    def _check_count(self, page: dict[str, Any], rows: int) -> None:
        said = page.get("KeyCount")
        if isinstance(said, int) and said > rows + len(page.get("CommonPrefixes", ())):
            raise self._cut(f"says that it sends {said} objects and sends {rows}")

    def _check_limits(self, deadline: float) -> None:
        if len(self._seen) >= MAX_OBJECTS:
            raise PreconditionError(
                f"{self.target.where} holds more than {MAX_OBJECTS} objects",
                remedy="A model is one folder: is the prefix too short?",
                code="source-too-many",
            )
        if time.monotonic() > deadline:
            raise PreconditionError(
                f"listing {self.target.where} took too long ({len(self._seen)} objects so far)",
                remedy="Is the server overloaded, or the prefix too short?",
                code="source-slow",
            )

    def _cut(self, how: str) -> PreconditionError:
        return PreconditionError(
            f"the listing of {self.target.where} is not whole: the server {how}, after {len(self._seen)} objects",
            remedy="Nothing is planned from half a list. This server does not speak ListObjectsV2 as S3 does: use another endpoint"
            " of it, or a newer version.",
            code="source-listing-cut",
        )
