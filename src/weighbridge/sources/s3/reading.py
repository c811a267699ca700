"""What a bucket's prefix holds now, and its bytes.

Listing reads names, sizes and ETags: one request per 1,000 objects. Nothing here writes to the source.
"""

import contextlib
import difflib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from weighbridge.domain.listing import folder_prefix, to_listing
from weighbridge.domain.names import named
from weighbridge.domain.weights import SourceFile, SourceListing
from weighbridge.errors import PreconditionError
from weighbridge.s3.client import ATTEMPTS, S3Client, open_client
from weighbridge.s3.download import download
from weighbridge.s3.failures import foreign_errors, is_transient, s3_errors
from weighbridge.s3.keys import keys_from
from weighbridge.s3.pinned import get_pinned
from weighbridge.s3.settings import S3Source
from weighbridge.s3.target import S3Target
from weighbridge.sources.interface import Advance, Around, Shared
from weighbridge.sources.s3.listing import Listing

SHORT_READ_TRIES = 3


def open_place(settings: S3Source, around: Around) -> "S3Place":
    """Return the place, with the keys among ``around.values``."""
    return S3Place(
        S3Target(settings, keys_from(around.values), around.ca_bundle, around.proxy), around.shared
    )


class S3Place:
    """Implement ``sources.interface.OpenSource``: every object under one prefix. Each client is made at its first
    use; with ``shared``, all places of the same server and keys share one.
    """

    def __init__(self, target: S3Target, shared: Shared | None = None) -> None:
        self._target = target
        self._shared = shared if shared is not None else Shared()
        self._closes = shared is None

    @cached_property
    def _client(self) -> S3Client:
        return self._opened(ATTEMPTS)

    @cached_property
    def _downloading(self) -> S3Client:
        """One try per request: a download repeats and continues by itself."""
        return self._opened(1)

    def _opened(self, attempts: int) -> S3Client:
        target = self._target
        key = (
            open_client, target.source.endpoint, target.source.region, target.keys, target.ca_bundle, target.proxy, attempts,
        )  # fmt: skip
        return self._shared.once(key, lambda: open_client(target, attempts=attempts))

    @property
    def where(self) -> str:
        return self._target.where

    def list(self, exclude: Sequence[str] = ()) -> SourceListing:
        """Return names, sizes, and ETags without quotes. Zero-byte files count; folder markers do not."""
        found = Listing(self._client, self._target)
        listing = to_listing(found.rows(), exclude, self.where)
        if not listing.files:
            raise _nothing_there(self._client, self._target)
        found.require_readable(listing.files)
        return listing

    def read(self, file: SourceFile, start: int, stop: int) -> bytes:
        return _range(self._client, self._target, file, start, stop)

    def download(self, file: SourceFile, into: Path, *, deadline: float, advance: Advance) -> str:
        """See ``s3.download.download``. ``If-Match`` refuses any object other than the listed one."""
        return download(self._downloading, self._target, file, into, deadline=deadline, advance=advance)

    def close(self) -> None:
        if self._closes:
            self._shared.close()


def _nothing_there(client: S3Client, target: S3Target) -> PreconditionError:
    """Return the error for an empty prefix, with the nearest existing prefixes: most causes are typing mistakes."""
    bucket, prefix = target.source.bucket, folder_prefix(target.source.prefix)
    near = _near_prefixes(client, target, prefix)
    if not near and not prefix:
        return PreconditionError(
            f"bucket {bucket!r} at {target.source.endpoint} is empty",
            remedy="Upload the model first.",
            code="source-empty",
        )
    what = f"no object lies under s3://{bucket}/{prefix} at {target.source.endpoint}"
    remedy = (
        f"There is {named(near)}: is that what you mean?"
        if near
        else "Upload the model there, or correct `prefix`."
    )
    return PreconditionError(what, remedy=remedy, code="source-empty")


def _near_prefixes(client: S3Client, target: S3Target, prefix: str) -> list[str]:
    parts = prefix.rstrip("/").split("/")
    for depth in range(len(parts) - 1, -1, -1):
        parent = "".join(f"{part}/" for part in parts[:depth])
        with s3_errors(target, "list"):
            page = client.list_objects_v2(
                Bucket=target.source.bucket, Prefix=parent, Delimiter="/", MaxKeys=1000
            )
        folders = [row["Prefix"] for row in page.get("CommonPrefixes", ())]
        if folders:
            by_lower = {folder.lower(): folder for folder in folders}
            wanted = f"{parent}{parts[depth]}/".lower()
            close = difflib.get_close_matches(wanted, list(by_lower), n=3, cutoff=0.6)
            return [by_lower[folder] for folder in close] or sorted(folders)[:5]
        if page.get("Contents"):
            return []
    return []


def _range(client: S3Client, target: S3Target, file: SourceFile, start: int, stop: int) -> bytes:
    """Return the bytes ``start`` to ``stop`` (exclusive) of the file as listed. botocore repeats a request without an
    answer, but not one whose answer broke off; this function does.
    """
    if stop <= start:
        return b""
    with s3_errors(target, "read"):
        tried = 0
        while True:
            answer = get_pinned(client, target, file, Range=f"bytes={start}-{stop - 1}")
            try:
                return _whole_body(answer, stop - start, file)
            except foreign_errors() as error:
                tried += 1
                if tried == SHORT_READ_TRIES or not is_transient(error):
                    raise


def _whole_body(answer: dict[str, Any], size: int, file: SourceFile) -> bytes:
    with contextlib.closing(answer["Body"]) as body:
        found = bytes(body.read(size))
    if len(found) != size:  # botocore compares lengths only when it reads to the end
        raise ConnectionError(f"{len(found)} of {size} bytes of {file.path} came")
    return found
