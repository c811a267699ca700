"""What was read from a source, beyond its listing, to judge it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from weighbridge.domain.digest import Json
from weighbridge.domain.weights import SourceListing
from weighbridge.mover.safetensors_header import Header

LARGEST_JSON = 1 << 20
"""Bytes of a JSON file that is read whole. Of a longer one, only both ends are read."""
HEAD_BYTES = 1024
"""Bytes read of every other file: more than enough for any magic number, and for a Git LFS pointer."""
TAIL_BYTES = 64


@dataclass(frozen=True, slots=True)
class Peek:
    """Both ends of a file."""

    head: bytes
    tail: bytes = b""
    """Empty if it was not read."""
    whole: bool = False
    """Whether ``head`` is the whole file."""


@dataclass(frozen=True, slots=True)
class LookedAt:
    """Everything by which a model is judged. What could not be read within the limits is in ``left_out``, and not judged."""

    listing: SourceListing
    peeks: Mapping[str, Peek] = field(default_factory=dict)
    """By path: files that are neither safetensors nor shard indexes."""
    headers: Mapping[str, Header] = field(default_factory=dict)
    """By path: safetensors files."""
    indexes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By path: tensor → path of the shard within the set."""
    no_indexes: Sequence[str] = ()
    """Paths below the top directory that have an index's name, but are not an index."""
    documents: Mapping[str, Json] = field(default_factory=dict)
    """By path: JSON files that were read whole and are valid JSON."""
    left_out: Collection[str] = ()
    """Paths that were not read, because there are too many files or the time was over."""

    @property
    def sizes(self) -> dict[str, int]:
        return {file.path: file.size for file in self.listing.files}
