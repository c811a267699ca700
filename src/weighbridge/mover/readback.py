"""Read stored bytes: the digest of a file on the volume, and the headers of its weights."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Callable, Protocol

from . import safetensors_header, shard_index
from .chunks import Extent
from .control import Control
from .errors import RefusedError
from .safetensors_header import HeaderError
from .shard_index import ShardIndexError, parse_index
from .volume import Volume

_BUFFER = 1 << 20


class Check(Protocol):
    """Takes the whole content in order; then ``holds`` gives the result."""

    name: str
    strong: bool
    """Whether it also detects forged bytes, not just damaged ones."""

    def update(self, data: memoryview) -> None: ...

    def holds(self) -> bool: ...


MakeCheck = Callable[[], Check]
"""Makes a check for one reading."""


@dataclass(frozen=True)
class ReadBack:
    sha256: str
    size: int
    wrong: tuple[Extent, ...]
    """Extents whose stored bytes differ from those that arrived."""


class Tally:
    """Digests of one extent's bytes, computed as they come."""

    def __init__(self) -> None:
        self._crc = 0
        self._sha256: Any = None

    def update(self, data: memoryview, *, strong: bool) -> None:
        """``strong``: also protect against forgery. It costs much more, and must be the same for the whole extent."""
        self._crc = zlib.crc32(data, self._crc)
        if strong:
            self._sha256 = self._sha256 or hashlib.sha256()
            self._sha256.update(data)

    def extent(self, offset: int, length: int) -> Extent:
        return Extent(offset, length, self._crc, self._sha256.digest() if self._sha256 else None)

    def agrees(self, extent: Extent) -> bool:
        mine = self.extent(extent.offset, extent.length)
        return mine.crc32 == extent.crc32 and mine.sha256 == extent.sha256


def read_back(
    descriptor: int,
    control: Control,
    *,
    extents: Sequence[Extent] = (),
    check: Check | None = None,
    count: Callable[[int], None] = lambda _: None,
) -> ReadBack:
    """Read the whole file once; from the device, if the kernel drops its cached pages.

    ``extents``: sorted, without overlap. Each one's digest is compared: SHA-256 if we saw the bytes arrive, else
    CRC-32. ``check`` gets every byte; ``count`` gets the number of bytes that each step read.
    """
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(_BUFFER))
    wrong = []
    pending = list(reversed(extents))
    tally = Tally()
    position = 0
    while True:
        control.check()
        room = _BUFFER
        if pending:  # never read across the border of an extent, so that each digest covers whole buffers
            border = pending[-1].offset if position < pending[-1].offset else pending[-1].end
            room = min(room, border - position)
        got = os.preadv(descriptor, [buffer[:room]], position)
        if not got:
            break
        data = buffer[:got]
        digest.update(data)
        if check is not None:
            check.update(data)
        if pending and position >= pending[-1].offset:
            tally.update(data, strong=pending[-1].sha256 is not None)
        position += got
        count(got)
        if pending and position == pending[-1].end:
            extent = pending.pop()
            if not tally.agrees(extent):
                wrong.append(extent)
            tally = Tally()
    wrong.extend(pending)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    return ReadBack(digest.hexdigest(), position, tuple(wrong))


def check_weights(volume: Volume, location: Callable[[str], str], paths: Sequence[str]) -> None:
    """Check that every safetensors header is valid, and that every index names shards that exist and hold its
    tensors.

    ``location`` returns where a path of the set lies on the volume now. Raise ``RefusedError`` that names the file.
    """
    weights = {path for path in paths if path.endswith(".safetensors")}
    checked: set[str] = set()
    for path in paths:
        if path.endswith(
            shard_index.SUFFIX
        ):  # one index and one header at a time, so that memory does not grow with the set
            for shard, names in _placed(path, volume.read(location(path), shard_index.MAX_INDEX)).items():
                if shard not in weights:
                    raise _unfit(path, f"it names the shard {shard}, which is not in the set")
                absent = names - _header(volume, location(shard), shard).tensors.keys()
                if absent:
                    raise _unfit(
                        path, f"it places the tensor {min(absent)} in {shard}, which does not hold it"
                    )
                checked.add(shard)
    for path in sorted(weights - checked):
        _header(volume, location(path), path)


def _header(volume: Volume, place: str, path: str) -> safetensors_header.Header:
    descriptor = volume.open(place, os.O_RDONLY)
    try:
        size = os.fstat(descriptor).st_size
        prefix = os.pread(descriptor, safetensors_header.PREFIX, 0)
        length = safetensors_header.header_length(prefix, size)
        head = prefix
        while len(head) < safetensors_header.PREFIX + length:
            more = os.pread(descriptor, safetensors_header.PREFIX + length - len(head), len(head))
            if not more:
                break
            head += more
        return safetensors_header.check(head, size)
    except HeaderError as error:
        raise _unfit(path, f"its safetensors header is not sound: {error}") from error
    finally:
        os.close(descriptor)


def _placed(path: str, content: bytes | None) -> dict[str, set[str]]:
    """Return shard, as a path of the set, to the tensors that the index ``path`` places in it."""
    if content is None:
        raise _unfit(path, shard_index.TOO_LARGE)
    try:
        found = parse_index(path, content)
    except ShardIndexError as error:
        raise _unfit(path, str(error)) from error
    placed: dict[str, set[str]] = {}
    for name, shard in found.items():
        placed.setdefault(shard, set()).add(name)
    return placed


def _unfit(path: str, why: str) -> RefusedError:
    return RefusedError(
        "weights-refused",
        f"{path}: {why}",
        remedy="mend the file at the source, then plan and apply again",
        files=[path],
    )
