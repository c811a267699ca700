"""What a source attests about an object's content, as checks of the bytes read back from the volume.

In order of preference; the first one that applies is used:

======================  ===========================================================================================
``sha256``, ``sha1``    of the whole object, or of its part checksums (composite): S3 User Guide, "Checking object
                        integrity". Proves the content against what the uploader's client computed.
``crc32``               of the same; finds every accidental change, but not a forged one.
single-part ETag        MD5 of the content, if the object is not encrypted with KMS or customer keys. Proves the
                        content against what the server received.
multipart ETag          MD5 of the parts' MD5s, for equal part sizes. Costs about as much as SHA-256 and proves what the
                        single-part ETag proves. By default used only over plain HTTP, where TLS does not protect the
                        bytes in transit.
======================  ===========================================================================================

``crc32c`` and ``crc64nvme`` are ignored: the standard library does not compute them at a useful speed.

Bytes that others may have written (they lay on the volume before this process fetched anything) are proven only by what cannot
be forged. For them CRC-32 is ignored, and the multipart ETag is used even with TLS.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Callable

from ...document import OrderFile
from ...readback import Check, MakeCheck

_MD5 = re.compile(r"[0-9a-f]{32}\Z")
_MULTIPART = re.compile(r"([0-9a-f]{32})-([1-9][0-9]{0,4})\Z")


@dataclass(frozen=True)
class ObjectFacts:
    """What the source attests about an object's content. ``checksums.py`` makes checks from it."""

    checksums: Mapping[str, str]
    """Algorithm (``crc32``, ``sha256`` …) to base64, as in ``x-amz-checksum-*``."""
    composite: bool
    """Whether the checksums are those of the concatenated part checksums."""
    encryption: str
    """``x-amz-server-side-encryption``, or ``customer`` for SSE-C, or empty."""
    server: str


class _Crc32:
    """``zlib.crc32`` with hashlib's methods."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: memoryview) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


class _Whole:
    def __init__(self, name: str, hasher: Any, expected: bytes) -> None:
        self.name = name
        self.strong = not isinstance(hasher, _Crc32)
        self._hasher = hasher
        self._expected = expected

    def update(self, data: memoryview) -> None:
        self._hasher.update(data)

    def holds(self) -> bool:
        return bool(self._hasher.digest() == self._expected)


class _Parts:
    """The digest of the parts' digests, for parts of equal size."""

    def __init__(self, name: str, make: Callable[[], Any], part_size: int, expected: bytes) -> None:
        self.name = name
        self.strong = make is not _Crc32
        self._make = make
        self._part_size = part_size
        self._expected = expected
        self._outer = make()
        self._inner = make()
        self._room = part_size

    def update(self, data: memoryview) -> None:
        while len(data):
            taken = data[: self._room]
            self._inner.update(taken)
            self._room -= len(taken)
            data = data[len(taken) :]
            if self._room == 0:
                self._close_part()

    def _close_part(self) -> None:
        self._outer.update(self._inner.digest())
        self._inner = self._make()
        self._room = self._part_size

    def holds(self) -> bool:
        if self._room != self._part_size:
            self._close_part()
        return bool(self._outer.digest() == self._expected)


def _md5() -> Any:
    return hashlib.md5(usedforsecurity=False)


_MAKERS: dict[str, Callable[[], Any]] = {
    "sha256": hashlib.sha256,
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),
    "crc32": _Crc32,
}


def choose_check(  # noqa: PLR0913 - the choice depends on all of them
    file: OrderFile,
    facts: ObjectFacts,
    *,
    mode: str,
    wire_guarded: bool,
    part_size: Callable[[int], int | None],
    proof: bool = False,
) -> MakeCheck | None:
    """Return a maker of the best check that the source's facts allow, or ``None``. Each check serves one reading.

    ``mode`` is the order's ``check_etag``. ``wire_guarded``: TLS protects the bytes in transit. ``part_size`` asks
    the source whether the object consists of that many equal parts, and returns their size. ``proof``: only accept a
    check that detects forged bytes.
    """
    if proof and mode == "auto":
        mode = "all"
    for algorithm, make in _MAKERS.items():
        offered = facts.checksums.get(algorithm)
        if offered is None or (proof and make is _Crc32):
            continue
        text, _, count = offered.partition("-")
        try:
            expected = base64.b64decode(text, validate=True)
        except binascii.Error:
            continue
        if not facts.composite:
            return partial(_whole, algorithm, make, expected)
        parts = int(count) if count.isdigit() else _etag_parts(file.etag)
        size = part_size(parts) if parts else None
        if size:
            return partial(_Parts, f"{algorithm} of parts", make, size, expected)
    return _etag_check(file, facts, mode=mode, wire_guarded=wire_guarded, part_size=part_size)


def _whole(name: str, make: Callable[[], Any], expected: bytes) -> Check:
    return _Whole(name, make(), expected)


def _etag_check(
    file: OrderFile,
    facts: ObjectFacts,
    *,
    mode: str,
    wire_guarded: bool,
    part_size: Callable[[int], int | None],
) -> MakeCheck | None:
    plain = not facts.encryption or (facts.encryption == "AES256" and facts.server == "AmazonS3")
    if (
        mode == "none" or not plain
    ):  # with KMS, customer keys or another store's encryption, an ETag is not an MD5
        return None
    if _MD5.match(file.etag):
        return partial(_whole, "ETag", _md5, bytes.fromhex(file.etag))
    multipart = _MULTIPART.match(file.etag)
    if multipart and (mode == "all" or (mode == "auto" and not wire_guarded)):
        size = part_size(int(multipart.group(2)))
        if size:
            return partial(_Parts, "multipart ETag", _md5, size, bytes.fromhex(multipart.group(1)))
    return None


def _etag_parts(etag: str) -> int:
    multipart = _MULTIPART.match(etag)
    return int(multipart.group(2)) if multipart else 0
