import hashlib
import os
import zlib
from itertools import pairwise
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weighbridge.mover.chunks import Extent
from weighbridge.mover.control import Control
from weighbridge.mover.readback import read_back

CONTENT = os.urandom(3_000_000)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(st.sets(st.integers(1, len(CONTENT) - 1), max_size=6), st.none() | st.integers(0, len(CONTENT) - 1))
def test_every_extent_is_judged_by_its_own_bytes(tmp_path: Path, cuts: set[int], flipped: int | None) -> None:
    borders = [0, *sorted(cuts), len(CONTENT)]
    extents = [Extent(a, b - a, zlib.crc32(CONTENT[a:b])) for a, b in pairwise(borders)]
    stored = bytearray(CONTENT)
    if flipped is not None:
        stored[flipped] ^= 1
    (tmp_path / "file").write_bytes(stored)
    counted: list[int] = []
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)
    try:
        back = read_back(descriptor, Control(60), extents=extents, count=counted.append)
    finally:
        os.close(descriptor)
    assert back.sha256 == hashlib.sha256(stored).hexdigest()
    assert sum(counted) == back.size == len(CONTENT)
    assert list(back.wrong) == [
        extent for extent in extents if flipped is not None and extent.offset <= flipped < extent.end
    ]


def test_extents_beyond_the_end_are_wrong(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    extents = [Extent(0, 2, zlib.crc32(b"ab")), Extent(2, 5, 7)]
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)
    try:
        assert read_back(descriptor, Control(60), extents=extents).wrong == (extents[1],)
    finally:
        os.close(descriptor)
