"""A source in memory."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from weighbridge.domain.listing import to_listing
from weighbridge.domain.weights import SourceFile, SourceListing
from weighbridge.sources.interface import Advance


class MemoryPlace:
    """Implements ``sources.interface.OpenSource``; ``reads`` is what was asked for."""

    where = "memory"

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = dict(files)
        self.reads: list[tuple[str, int, int]] = []

    def list(self, exclude: Sequence[str] = ()) -> SourceListing:
        rows = [
            SourceFile(path, len(content), hashlib.sha256(content).hexdigest())
            for path, content in self.files.items()
        ]
        return to_listing(rows, exclude, self.where)

    def read(self, file: SourceFile, start: int, stop: int) -> bytes:
        assert 0 <= start <= stop <= file.size
        self.reads.append((file.path, start, stop))
        return self.files[file.path][start:stop]

    def download(self, file: SourceFile, into: Path, *, deadline: float, advance: Advance) -> str:
        assert time.monotonic() < deadline
        into.write_bytes(self.files[file.path])
        advance(file.size, resumed=False)
        return hashlib.sha256(self.files[file.path]).hexdigest()

    def close(self) -> None: ...
