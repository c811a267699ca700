"""Judge whether a source lists a model that can be served. The same for every kind, before a byte moves.

Besides names and sizes, it reads small files, both ends of others, and the headers of safetensors files;
``domain/model`` judges them. Flaws that stop every look are raised here: a model without its files, an index or a
header that is not one. All others are returned as ``SourceListing.flaws``, because a flaw that refuses a new set only
causes a warning for a set that is in place.

A set in place was checked when it was brought in, and its fingerprint says that it is the same. So only its
``config.json`` is read again, and only if the environment file says how the model is registered.
"""

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Final

from weighbridge.domain.digest import Json
from weighbridge.domain.listing import check_index, check_required, indexes
from weighbridge.domain.model.judge import judge, judge_in_place
from weighbridge.domain.model.kinds import CODE, is_known, is_sidecar, is_weights, suffix_of
from weighbridge.domain.model.looked_at import HEAD_BYTES, LARGEST_JSON, TAIL_BYTES, LookedAt, Peek
from weighbridge.domain.model.settings import (
    CONFIG,
    READ_BY_SERVERS,
    Parameter,
    are_judged,
    look_order,
    parse_json,
)
from weighbridge.domain.model.shards import is_index
from weighbridge.domain.weights import SourceFile, SourceListing
from weighbridge.errors import PreconditionError
from weighbridge.mover.safetensors_header import MAX_HEADER, PREFIX, Header, HeaderError, check
from weighbridge.mover.shard_index import MAX_INDEX, ShardIndexError, parse_index
from weighbridge.sources.interface import OpenSource

HEADERS_DEADLINE_SECONDS = 120
HEAD_OF_HEADER_BYTES = 256 * 1024
"""First bytes to read of each safetensors file; most headers fit."""

MAX_HEADERS_CHECKED = 512
MAX_PEEKS: Final = 512
"""Limit for other files. Files that servers read come first."""


def look(
    source: OpenSource,
    exclude: tuple[str, ...] = (),
    *,
    parameters: Mapping[str, Parameter] | None = None,
    deadline_seconds: float = HEADERS_DEADLINE_SECONDS,
) -> SourceListing:
    """``listed`` and ``looked_at`` in one."""
    listing = listed(source, exclude)
    return looked_at(source, listing, parameters=parameters, deadline_seconds=deadline_seconds)


def listed(source: OpenSource, exclude: tuple[str, ...] = ()) -> SourceListing:
    """Return the set as it is now, sorted by path: names, sizes and identities only.

    Raise ``PreconditionError`` if the source cannot be listed or lacks files that every model has.
    """
    listing = source.list(exclude)
    check_required(listing, source.where)
    return listing


def looked_at(
    source: OpenSource,
    listing: SourceListing,
    *,
    parameters: Mapping[str, Parameter] | None = None,
    deadline_seconds: float = HEADERS_DEADLINE_SECONDS,
) -> SourceListing:
    """Return the set with its flaws. ``parameters``: the parameters of the model's registration.

    Raise ``PreconditionError`` if the source cannot be read, has changed since the listing, or does not hold the
    files of a model.
    """
    reading = _Reading(source, listing, time.monotonic() + deadline_seconds)
    maps, no_indexes = reading.indexes()
    headers = reading.headers()
    peeks, documents = reading.others(maps)
    seen = LookedAt(listing, peeks, headers, maps, no_indexes, documents, reading.left_out)
    return replace(listing, flaws=judge(seen, parameters or {}))


def looked_at_in_place(
    source: OpenSource, listing: SourceListing, *, parameters: Mapping[str, Parameter]
) -> SourceListing:
    """Return the set with the flaws that names alone show, and with contradictions between its registration and its
    ``config.json``: the registration may have changed in the environment file since the set was brought in.
    """
    documents: dict[str, Json] = {}
    if are_judged(parameters) and (config := _config(source, listing)) is not None:
        documents[CONFIG] = config
    return replace(listing, flaws=judge_in_place(LookedAt(listing, documents=documents), parameters))


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the size of a model follows from."""

    listing: SourceListing
    headers: Mapping[str, Header]
    config: Mapping[str, Json]
    """``config.json``; empty if it is missing or no JSON object."""
    left_out: int
    """Safetensors files that were not read, because there are too many or the time was over."""


def measured(
    source: OpenSource, exclude: tuple[str, ...] = (), *, deadline_seconds: float = HEADERS_DEADLINE_SECONDS
) -> Measured:
    """List the source, and read its headers and its ``config.json``. Raise ``PreconditionError`` as ``look`` does."""
    listing = listed(source, exclude)
    reading = _Reading(source, listing, time.monotonic() + deadline_seconds)
    headers = reading.headers()
    config = _config(source, listing)
    return Measured(
        listing=listing,
        headers=headers,
        config=config if isinstance(config, dict) else {},
        left_out=len(reading.left_out),
    )


def _config(source: OpenSource, listing: SourceListing) -> Json:
    """Return ``config.json``, or ``None`` if it is missing, too large or no JSON."""
    config = next((file for file in listing.files if file.path == CONFIG), None)
    if config is None or config.size > LARGEST_JSON:
        return None
    return next(iter(parse_json(source.read(config, 0, config.size)) or ()), None)


@dataclass(frozen=True, slots=True)
class _Reading:
    """Reads of one source, within limits. Files beyond the limits are left out, reported, and not judged."""

    source: OpenSource
    listing: SourceListing
    deadline: float
    """A ``time.monotonic`` value, for headers and ends of files."""
    left_out: set[str] = field(default_factory=set)
    """Paths of the files that were left out."""

    def indexes(self) -> tuple[dict[str, dict[str, str]], list[str]]:
        """Return the indexes by path, and the paths of files that only have an index's name. Check those of the top
        directory.
        """
        found: dict[str, dict[str, str]] = {}
        none: list[str] = []
        top = indexes(self.listing)
        for file in self.listing.files:
            if not is_index(file.path):
                continue
            if file in top:
                content = self._small_file(file)
                found[file.path] = check_index(file.path, content, self.listing, self.source.where)
            elif self._late():
                self.left_out.add(file.path)
            else:
                with contextlib.suppress(ShardIndexError):
                    content = self.source.read(file, 0, min(file.size, MAX_INDEX + 1))
                    found[file.path] = parse_index(file.path, content)
                if file.path not in found:
                    none.append(file.path)
        return found, none

    def headers(self) -> dict[str, Header]:
        """Return headers by path: at most ``MAX_HEADERS_CHECKED``, as many as the deadline allows. Raise
        ``PreconditionError`` for a bad one.
        """
        found: dict[str, Header] = {}
        for file in self.listing.files:
            if not is_weights(file.path):
                continue
            if len(found) == MAX_HEADERS_CHECKED or self._late():
                self.left_out.add(file.path)
                continue
            found[file.path] = self._header(file)
        return found

    def others(self, indexes: Mapping[str, object]) -> tuple[dict[str, Peek], dict[str, Json]]:
        """Return both ends of files that are neither safetensors nor ``indexes``, and the documents of those that are JSON."""
        peeks: dict[str, Peek] = {}
        documents: dict[str, Json] = {}
        for file in sorted(self.listing.files, key=lambda file: look_order(file.path)):
            if not self._peeked_at(file) or file.path in indexes or file.path in self.left_out:
                continue
            if len(peeks) == MAX_PEEKS or self._late():
                self.left_out.add(file.path)
                continue
            peek = self._peek(file)
            peeks[file.path] = peek
            if peek.whole and suffix_of(file.path) == ".json" and (document := parse_json(peek.head)):
                documents[file.path] = document[0]
        return peeks, documents

    @staticmethod
    def _peeked_at(file: SourceFile) -> bool:
        """Return whether its bytes can show more than its name."""
        return not (is_weights(file.path) or is_sidecar(file.path) or suffix_of(file.path) in CODE)

    def _peek(self, file: SourceFile) -> Peek:
        is_json = suffix_of(file.path) == ".json"
        is_config = is_json and ("/" not in file.path or PurePosixPath(file.path).name in READ_BY_SERVERS)
        whole = file.size <= (LARGEST_JSON if is_config else HEAD_BYTES)
        head = self.source.read(file, 0, file.size if whole else HEAD_BYTES)
        if whole:
            return Peek(head, head[-TAIL_BYTES:], whole=True)
        wants_tail = is_json or not is_known(file.path)
        return Peek(head, self.source.read(file, file.size - TAIL_BYTES, file.size) if wants_tail else b"")

    def _late(self) -> bool:
        return time.monotonic() > self.deadline

    def _small_file(self, file: SourceFile) -> bytes:
        if file.size > MAX_INDEX:
            raise PreconditionError(
                f"{file.path} of {self.source.where} is {file.size} bytes, too large for a shard index (at most {MAX_INDEX})",
                remedy="Upload the model again.",
                code="source-bad-index",
            )
        return self.source.read(file, 0, file.size)

    def _header(self, file: SourceFile) -> Header:
        head = self.source.read(file, 0, min(HEAD_OF_HEADER_BYTES, file.size))
        length = int.from_bytes(head[:PREFIX], "little")
        if length <= MAX_HEADER and len(head) < PREFIX + length <= file.size:
            head += self.source.read(file, len(head), PREFIX + length)
        try:
            return check(head, file.size)
        except HeaderError as error:
            raise PreconditionError(
                f"{file.path} of {self.source.where} is not a sound safetensors file: {error}",
                remedy="Upload it again; a half upload or a Git LFS pointer looks like this.",
                code="source-bad-safetensors",
            ) from error
