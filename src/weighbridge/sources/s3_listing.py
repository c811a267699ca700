"""Weights in S3: what a bucket's prefix holds now, whether it is a model, and its bytes.

Listing reads names, sizes and ETags (one request per 1,000 objects), the small shard indexes, and with ``check_headers`` the first
bytes of each safetensors file. Nothing here writes to the source.
"""

import contextlib
import difflib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weighbridge.domain.credentials import S3Keys
from weighbridge.domain.listing import check_index, check_required, folder_prefix, indexes, named, to_listing
from weighbridge.domain.weights import SourceFile, SourceListing
from weighbridge.environment.types import Proxy, S3Source
from weighbridge.errors import PreconditionError
from weighbridge.mover.safetensors_header import MAX_HEADER, PREFIX, HeaderError, check
from weighbridge.s3.client import (
    S3Client,
    S3Target,
    foreign_errors,
    is_transient,
    open_client,
    s3_errors,
)
from weighbridge.s3.download import Advance, download

LIST_DEADLINE_SECONDS = 120
MAX_OBJECTS = 100_000
"""Objects under one prefix; beyond it is a mistake in the prefix (a whole bucket, say), and memory stays bounded."""

MAX_INDEX_BYTES = 64 * 1024 * 1024
HEAD_BYTES = 256 * 1024
"""Asked for first of each safetensors file; most headers fit."""

MAX_HEADER_BYTES = 32 * 1024 * 1024
"""Longer headers are left to the mover, which reads the whole file anyway."""

MAX_HEADERS_CHECKED = 512
SHORT_READ_TRIES = 3


@dataclass(frozen=True, slots=True)
class S3Weights:
    """The Weights port over S3, less what an environment binds. Each call opens its own client."""

    check_headers: bool = True
    """Read the first bytes of each safetensors file as well: one ranged request a file."""

    def list(
        self,
        source: S3Source,
        *,
        keys: S3Keys,
        exclude: Sequence[str] = (),
        ca_bundle: Path | None = None,
        proxy: Proxy | None = None,
    ) -> SourceListing:
        """What the set is now, sorted by path; sizes in bytes, ETags without quotes.

        ``PreconditionError`` when the source cannot be read or does not hold a model that can be served.
        """
        target = S3Target(source, keys, ca_bundle, proxy)
        listing = list_source(target, exclude)
        if self.check_headers:
            check_headers(target, listing)
        return listing


def list_source(
    target: S3Target, exclude: Sequence[str] = (), deadline_seconds: float = LIST_DEADLINE_SECONDS
) -> SourceListing:
    """Names, sizes and ETags, after ``exclude``. Zero-byte files count; folder markers do not."""
    client = open_client(target)
    try:
        listing = to_listing(
            _rows(client, target, time.monotonic() + deadline_seconds), exclude, target.where
        )
        if not listing.files:
            raise _nothing_there(client, target)
        check_required(listing, target.where)
        for index in indexes(listing):
            check_index(index.path, _small_object(client, target, index), listing, target.where)
        return listing
    finally:
        client.close()


def check_headers(
    target: S3Target, listing: SourceListing, deadline_seconds: float = LIST_DEADLINE_SECONDS
) -> int:
    """Reads the header of each safetensors file and returns how many were read: at most ``MAX_HEADERS_CHECKED``, and as many
    as the deadline allows. ``PreconditionError`` names a bad one.
    """
    client = open_client(target)
    deadline = time.monotonic() + deadline_seconds
    checked = 0
    try:
        for file in listing.files:
            if not file.path.endswith(".safetensors"):
                continue
            if checked == MAX_HEADERS_CHECKED or time.monotonic() > deadline:
                break
            _check_header(client, target, file)
            checked += 1
    finally:
        client.close()
    return checked


class S3Reader:
    """Downloads files of one source over one client. For one thread at a time."""

    def __init__(self, target: S3Target) -> None:
        self._target = target
        self._client = open_client(target, attempts=1)

    def download(self, file: SourceFile, into: Path, *, deadline: float, advance: Advance) -> str:
        """See ``s3_download.download``: sha256 of the whole file that now lies at ``into``."""
        return download(self._client, self._target, file, into, deadline=deadline, advance=advance)

    def close(self) -> None:
        self._client.close()


def _rows(client: S3Client, target: S3Target, deadline: float) -> Iterator[SourceFile]:
    prefix = folder_prefix(target.source.prefix)
    token: str | None = None
    seen = 0
    while True:
        with s3_errors(target, "list"):
            page = client.list_objects_v2(
                Bucket=target.source.bucket, Prefix=prefix, **({"ContinuationToken": token} if token else {})
            )
        for row in page.get("Contents", ()):
            seen += 1
            yield SourceFile(
                path=row["Key"].removeprefix(prefix), size=int(row["Size"]), etag=row["ETag"].strip('"')
            )
        token = page.get("NextContinuationToken") if page.get("IsTruncated") else None
        if token is None:
            return
        if seen >= MAX_OBJECTS:
            raise PreconditionError(
                f"{target.where} holds more than {MAX_OBJECTS} objects",
                remedy="A model is one folder: is the prefix too short?",
                code="source-too-many",
            )
        if time.monotonic() > deadline:
            raise PreconditionError(
                f"listing {target.where} took too long ({seen} objects so far)",
                remedy="Is the server overloaded, or the prefix too short?",
                code="source-slow",
            )


def _nothing_there(client: S3Client, target: S3Target) -> PreconditionError:
    """An empty prefix, with the nearest prefixes that do exist: most are typing mistakes."""
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


def _small_object(client: S3Client, target: S3Target, file: SourceFile) -> bytes:
    if file.size > MAX_INDEX_BYTES:
        raise PreconditionError(
            f"{file.path} of {target.where} is {file.size} bytes, too large for a shard index",
            remedy="Upload the model again.",
            code="source-bad-index",
        )
    return _range(client, target, file, 0, file.size)


def _range(client: S3Client, target: S3Target, file: SourceFile, start: int, stop: int) -> bytes:
    """Bytes ``start`` to ``stop`` (exclusive) of the file as listed. botocore repeats a request that got no answer, but no
    answer that broke off: that is done here.
    """
    if stop <= start:
        return b""
    with s3_errors(target, "read"):
        tried = 0
        while True:
            answer = client.get_object(
                Bucket=target.source.bucket,
                Key=folder_prefix(target.source.prefix) + file.path,
                IfMatch=f'"{file.etag}"',
                Range=f"bytes={start}-{stop - 1}",
            )
            try:
                return _whole_body(answer, stop - start, file)
            except foreign_errors() as error:
                tried += 1
                if tried == SHORT_READ_TRIES or not is_transient(error):
                    raise


def _whole_body(answer: dict[str, Any], size: int, file: SourceFile) -> bytes:
    with contextlib.closing(answer["Body"]) as body:
        found = bytes(body.read(size))
    if len(found) != size:  # botocore compares lengths only where it reads to the end
        raise ConnectionError(f"{len(found)} of {size} bytes of {file.path} came")
    return found


def _check_header(client: S3Client, target: S3Target, file: SourceFile) -> None:
    head = _range(client, target, file, 0, min(HEAD_BYTES, file.size))
    length = int.from_bytes(head[:PREFIX], "little")
    if MAX_HEADER_BYTES < length <= MAX_HEADER:
        return
    if length <= MAX_HEADER and len(head) < PREFIX + length <= file.size:
        head += _range(client, target, file, len(head), PREFIX + length)
    try:
        check(head, file.size)
    except HeaderError as error:
        raise PreconditionError(
            f"{file.path} of {target.where} is not a sound safetensors file: {error}",
            remedy="Upload it again; a half upload or a Git LFS pointer looks like this.",
            code="source-bad-safetensors",
        ) from error
