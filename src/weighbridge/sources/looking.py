"""Is what a source lists a model that can be served? Asked of every kind alike, before a byte moves.

Beyond names and sizes it reads small files, both ends of others, and the headers of safetensors files; what they say is judged in
``domain/model``. What stops every look (a model that lacks its files, an index or a header that is none) is raised here; the rest
comes along as ``SourceListing.flaws``, because what is refused of a new set is only told of one that is in place.

A set that is in place was looked at when it was brought in, and its fingerprint says that it is the same: nothing of it is read
again but ``config.json``, and that only where the environment file says how the model is registered.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from weighbridge.domain.digest import Json
from weighbridge.domain.listing import check_index, check_required, indexes
from weighbridge.domain.model.judge import judge, judge_in_place
from weighbridge.domain.model.kinds import CODE, is_known, is_sidecar, suffix_of
from weighbridge.domain.model.looked_at import HEAD_BYTES, LARGEST_JSON, TAIL_BYTES, LookedAt, Peek
from weighbridge.domain.model.settings import CONFIG, Parameter, are_judged, parse_json
from weighbridge.domain.model.shards import INDEX_SUFFIX, parse_index
from weighbridge.domain.weights import SourceFile, SourceListing
from weighbridge.errors import PreconditionError
from weighbridge.mover.safetensors_header import MAX_HEADER, MAX_INDEX, PREFIX, Header, HeaderError, check
from weighbridge.sources.interface import OpenSource

HEADERS_DEADLINE_SECONDS = 120
HEAD_OF_HEADER_BYTES = 256 * 1024
"""Asked for first of each safetensors file; most headers fit."""

MAX_HEADERS_CHECKED = 512
MAX_PEEKS: Final = 512
"""Of other files; the known ones of the top directory come first."""


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
    """What the set is now, sorted by path, by names, sizes and identities alone.

    ``PreconditionError`` when the source cannot be listed or lacks files that every model has.
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
    """The set with what is wrong with it. ``parameters``: as the model is to be registered.

    ``PreconditionError`` when the source cannot be read, is another than was listed, or does not hold the files of a model.
    """
    reading = _Reading(source, listing, time.monotonic() + deadline_seconds)
    maps = reading.indexes()
    headers = reading.headers()
    peeks, documents = reading.others()
    seen = LookedAt(listing, peeks, headers, maps, documents)
    return replace(listing, flaws=judge(seen, parameters or {}))


def looked_at_in_place(
    source: OpenSource, listing: SourceListing, *, parameters: Mapping[str, Parameter]
) -> SourceListing:
    """The set with what names alone say is wrong with it, and what its registration says against its ``config.json``: that may
    have been changed in the environment file since the set was brought in.
    """
    documents: dict[str, Json] = {}
    config = next((file for file in listing.files if file.path == CONFIG), None)
    if are_judged(parameters) and config is not None and config.size <= LARGEST_JSON:
        for document in parse_json(source.read(config, 0, config.size)) or ():
            documents[CONFIG] = document
    return replace(listing, flaws=judge_in_place(LookedAt(listing, documents=documents), parameters))


@dataclass(frozen=True, slots=True)
class _Reading:
    """Reads of one source, within limits: what exceeds them is left out, and not judged."""

    source: OpenSource
    listing: SourceListing
    deadline: float
    """A ``time.monotonic`` value, for headers and ends of files."""

    def indexes(self) -> dict[str, dict[str, str]]:
        """Those of the top directory are checked as well; of the others those that are indexes."""
        found = {}
        top = indexes(self.listing)
        for file in self.listing.files:
            if not file.path.endswith(INDEX_SUFFIX) or is_sidecar(file.path):
                continue
            if file in top:
                content = self._small_file(file)
                check_index(file.path, content, self.listing, self.source.where)
            elif self._late() or file.size > MAX_INDEX:
                continue
            else:
                content = self.source.read(file, 0, file.size)
            weight_map = parse_index(file.path, content)
            if weight_map is not None:
                found[file.path] = weight_map
        return found

    def headers(self) -> dict[str, Header]:
        """By path: at most ``MAX_HEADERS_CHECKED``, and as many as the deadline allows. ``PreconditionError`` names a bad one."""
        found: dict[str, Header] = {}
        for file in self.listing.files:
            if not file.path.endswith(".safetensors") or is_sidecar(file.path):
                continue
            if len(found) == MAX_HEADERS_CHECKED or self._late():
                break
            found[file.path] = self._header(file)
        return found

    def others(self) -> tuple[dict[str, Peek], dict[str, Json]]:
        """Both ends of the other files, and the documents in those that are JSON."""
        peeks: dict[str, Peek] = {}
        documents: dict[str, Json] = {}
        for file in sorted(
            self.listing.files, key=lambda file: ("/" in file.path, not is_known(file.path), file.path)
        ):
            if not self._peeked_at(file):
                continue
            if len(peeks) == MAX_PEEKS or self._late():
                break
            peek = self._peek(file)
            peeks[file.path] = peek
            if peek.whole and suffix_of(file.path) == ".json" and (document := parse_json(peek.head)):
                documents[file.path] = document[0]
        return peeks, documents

    @staticmethod
    def _peeked_at(file: SourceFile) -> bool:
        """Whether its bytes can say more than its name does."""
        ours = suffix_of(file.path) == ".safetensors" or file.path.endswith(INDEX_SUFFIX)
        return not (ours or is_sidecar(file.path) or suffix_of(file.path) in CODE)

    def _peek(self, file: SourceFile) -> Peek:
        is_json = suffix_of(file.path) == ".json"
        whole = file.size <= (LARGEST_JSON if is_json and "/" not in file.path else HEAD_BYTES)
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
