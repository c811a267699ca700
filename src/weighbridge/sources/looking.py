"""Is what a source lists a model that can be served? Asked of every kind alike, before a byte moves.

Beyond names and sizes it reads the shard indexes at the root, and the first bytes of each safetensors file.
"""

import time

from weighbridge.domain.listing import check_index, check_required, indexes
from weighbridge.domain.weights import SourceFile, SourceListing
from weighbridge.errors import PreconditionError
from weighbridge.mover.safetensors_header import MAX_HEADER, MAX_INDEX, PREFIX, HeaderError, check
from weighbridge.sources.interface import OpenSource

HEADERS_DEADLINE_SECONDS = 120
HEAD_BYTES = 256 * 1024
"""Asked for first of each safetensors file; most headers fit."""

MAX_HEADERS_CHECKED = 512


def look(source: OpenSource, exclude: tuple[str, ...] = (), *, headers: bool = True) -> SourceListing:
    """What the set is now, sorted by path; ``headers``: read those of the safetensors files as well.

    ``PreconditionError`` when the source cannot be read or does not hold a model that can be served.
    """
    listing = source.list(exclude)
    check_required(listing, source.where)
    for index in indexes(listing):
        check_index(index.path, _small_file(source, index), listing, source.where)
    if headers:
        check_headers(source, listing)
    return listing


def check_headers(
    source: OpenSource, listing: SourceListing, deadline_seconds: float = HEADERS_DEADLINE_SECONDS
) -> int:
    """Read the header of each safetensors file and return how many were read: at most ``MAX_HEADERS_CHECKED``, and as many
    as the deadline allows. ``PreconditionError`` names a bad one.
    """
    deadline = time.monotonic() + deadline_seconds
    checked = 0
    for file in listing.files:
        if not file.path.endswith(".safetensors"):
            continue
        if checked == MAX_HEADERS_CHECKED or time.monotonic() > deadline:
            break
        _check_header(source, file)
        checked += 1
    return checked


def _small_file(source: OpenSource, file: SourceFile) -> bytes:
    if file.size > MAX_INDEX:
        raise PreconditionError(
            f"{file.path} of {source.where} is {file.size} bytes, too large for a shard index (at most {MAX_INDEX})",
            remedy="Upload the model again.",
            code="source-bad-index",
        )
    return source.read(file, 0, file.size)


def _check_header(source: OpenSource, file: SourceFile) -> None:
    head = source.read(file, 0, min(HEAD_BYTES, file.size))
    length = int.from_bytes(head[:PREFIX], "little")
    if length <= MAX_HEADER and len(head) < PREFIX + length <= file.size:
        head += source.read(file, len(head), PREFIX + length)
    try:
        check(head, file.size)
    except HeaderError as error:
        raise PreconditionError(
            f"{file.path} of {source.where} is not a sound safetensors file: {error}",
            remedy="Upload it again; a half upload or a Git LFS pointer looks like this.",
            code="source-bad-safetensors",
        ) from error
