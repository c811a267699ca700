"""Which bytes of a file are already on the volume, and which ranges still have to be fetched. Without side effects."""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_FORGET = -1
"""Stands in place of a CRC-32: the line cancels what earlier lines say about these bytes."""
_MOST_LINES = 20_000
"""Lines for one file. A longer journal is not read: no run of ours writes so many."""


@dataclass(frozen=True, order=True)
class Extent:
    """Bytes ``[offset, offset + length)`` of a file that arrived, and the CRC-32 of the arriving bytes."""

    offset: int
    length: int
    crc32: int
    sha256: bytes | None = field(default=None, compare=False)
    """SHA-256 of the arriving bytes, if this process saw them arrive. A journal does not hold it."""

    @property
    def end(self) -> int:
        return self.offset + self.length


def plan_ranges(size: int, done: Iterable[Extent], chunk_bytes: int) -> list[tuple[int, int]]:
    """Return the ranges ``[start, end)`` missing in ``done`` of a file of ``size`` bytes, each at most ``chunk_bytes`` long."""
    ranges = []
    position = 0
    for stop, resume in [*((extent.offset, extent.end) for extent in sorted(done)), (size, size)]:
        while position < stop:
            end = min(stop, position + chunk_bytes)
            ranges.append((position, end))
            position = end
        position = max(position, resume)
    return ranges


def non_overlapping(size: int, extents: Iterable[Extent]) -> list[Extent]:
    """Return those of ``extents`` that fit a file of ``size`` bytes, sorted. Of two that overlap, keep the earlier one."""
    kept: list[Extent] = []
    for extent in sorted(extents):
        if (
            extent.offset >= 0
            and extent.length > 0
            and extent.end <= size
            and (not kept or extent.offset >= kept[-1].end)
        ):
            kept.append(extent)
    return kept


def journal_header(fingerprint: str) -> bytes:
    """Return a journal's first line, which names its set."""
    return _line(["weighbridge-journal", 1, fingerprint])


def journal_line(path: str, extent: Extent) -> bytes:
    """Return one extent as a line. The line itself shows whether it is complete."""
    return _line([path, extent.offset, extent.length, extent.crc32])


def forget_line(path: str, offset: int, length: int) -> bytes:
    """Return a line that cancels every earlier extent in these bytes: they turned out to be wrong."""
    return _line([path, offset, length, _FORGET])


def read_journal(content: bytes, fingerprint: str, sizes: Mapping[str, int]) -> dict[str, list[Extent]]:
    """Return the extents of each path, from a journal that may be torn, outdated or of another set.

    Skip lines that are torn or damaged, name no file of the set or do not fit it: they only cost another fetch.
    Ignore a journal with another fingerprint completely.
    """
    found: dict[str, list[Extent]] = {path: [] for path in sizes}
    lines = io.BytesIO(content)
    if lines.readline() != journal_header(fingerprint):
        return found
    counted = dict.fromkeys(sizes, 0)
    for line in lines:
        path, extent = _parse(line.rstrip(b"\n")) or ("", None)
        if extent is None or path not in found:
            continue
        counted[path] += 1
        if counted[path] > _MOST_LINES:
            found[path] = []
        elif extent.crc32 == _FORGET:
            found[path] = [e for e in found[path] if e.end <= extent.offset or e.offset >= extent.end]
        else:
            found[path].append(extent)
    return {path: non_overlapping(sizes[path], extents) for path, extents in found.items()}


def _line(fields: list[object]) -> bytes:
    text = json.dumps(fields, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _parse(line: bytes) -> tuple[str, Extent] | None:
    checksum, _, text = line.partition(b" ")
    if checksum != b"%08x" % zlib.crc32(text):
        return None
    try:
        path, offset, length, crc32 = json.loads(text)
    except (ValueError, TypeError, RecursionError):  # not JSON, or not four fields
        return None
    numbers = (offset, length, crc32)
    return (
        (path, Extent(*numbers)) if isinstance(path, str) and all(type(n) is int for n in numbers) else None
    )
