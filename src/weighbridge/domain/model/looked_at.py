"""What was read of a source, beyond its listing, for a judgement."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from weighbridge.domain.digest import Json
from weighbridge.domain.weights import SourceListing
from weighbridge.mover.safetensors_header import Header

LARGEST_JSON = 1 << 20
"""Bytes of a JSON file that is read whole; of a longer one both ends are looked at."""
HEAD_BYTES = 1024
"""Read of every file that is neither of these: more than enough for any magic number, and for a Git LFS pointer."""
TAIL_BYTES = 64


@dataclass(frozen=True, slots=True)
class Peek:
    """Both ends of a file."""

    head: bytes
    tail: bytes = b""
    """Empty where it was not read."""
    whole: bool = False
    """Whether ``head`` is the file."""


@dataclass(frozen=True, slots=True)
class LookedAt:
    """Everything that a model is judged by. What could not be read within the limits is ``left_out``, and not judged."""

    listing: SourceListing
    peeks: Mapping[str, Peek] = field(default_factory=dict)
    """By path: files that are neither safetensors nor shard indexes."""
    headers: Mapping[str, Header] = field(default_factory=dict)
    """By path: safetensors files."""
    indexes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By path: tensor → path of the shard within the set."""
    no_indexes: Sequence[str] = ()
    """Paths of what is called an index below the top directory, and is none."""
    documents: Mapping[str, Json] = field(default_factory=dict)
    """By path: JSON files that were read whole and are JSON."""
    left_out: Collection[str] = ()
    """Paths of what was not looked at, because there is too much of it or because time was up."""

    @property
    def sizes(self) -> dict[str, int]:
        return {file.path: file.size for file in self.listing.files}
