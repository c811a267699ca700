"""What is read of safetensors files before anything moves is bounded, and its bound is named."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from weighbridge.domain.weights import SourceFile, SourceListing
from weighbridge.errors import PreconditionError
from weighbridge.mover.safetensors_header import MAX_HEADER
from weighbridge.sources.interface import Advance
from weighbridge.sources.looking import look


class Huge:
    """A source whose one weights file says that its header is as long as that."""

    where = "a test"

    def __init__(self, length: int) -> None:
        self.length = length
        self.read_bytes = 0

    def list(self, exclude: Sequence[str] = ()) -> SourceListing:
        del exclude
        small = (SourceFile("config.json", 2, "c"), SourceFile("tokenizer.json", 2, "t"))
        return SourceListing((*small, SourceFile("model.safetensors", self.length + 8, "e")))

    def read(self, file: SourceFile, start: int, stop: int) -> bytes:
        content = (self.length.to_bytes(8, "little") + b"{" + b" " * file.size)[start:stop]
        self.read_bytes += len(content)
        return content

    def download(self, file: SourceFile, into: Path, *, deadline: float, advance: Advance) -> str:
        raise NotImplementedError

    def close(self) -> None: ...


def test_a_header_beyond_the_limit_is_refused_before_it_is_read() -> None:
    source = Huge(60 << 20)
    with pytest.raises(PreconditionError, match=rf"{60 << 20} exceeds {MAX_HEADER} bytes") as refused:
        look(source)
    assert refused.value.code == "source-bad-safetensors"
    assert source.read_bytes < 1 << 20
