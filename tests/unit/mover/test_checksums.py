import base64
import hashlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.fake_s3 import Stored
from weighbridge.mover.document import OrderFile
from weighbridge.mover.sources.s3.checksums import ObjectFacts, choose_check


def facts(
    checksums: dict[str, str] | None = None,
    *,
    composite: bool = False,
    encryption: str = "",
    server: str = "x",
) -> ObjectFacts:
    return ObjectFacts(checksums or {}, composite=composite, encryption=encryption, server=server)


def holds(  # noqa: PLR0913 - every circumstance that decides
    content: bytes,
    etag: str,
    known: ObjectFacts,
    *,
    mode: str = "auto",
    guarded: bool = True,
    part: int | None = None,
    step: int = 7,
) -> tuple[str, bool] | None:
    make = choose_check(
        OrderFile("f", len(content), etag), known, mode=mode, wire_guarded=guarded, part_size=lambda _: part
    )
    if make is None:
        return None
    check = make()
    for start in range(0, len(content), step):
        check.update(memoryview(content)[start : start + step])
    return check.name, check.holds()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@given(st.binary(max_size=200), st.integers(1, 50), st.integers(1, 60))
def test_composites_and_etags_are_those_of_the_server(content: bytes, part: int, step: int) -> None:
    stored = Stored(content, part, checksums=True)
    crc = {"crc32": stored.checksum_headers()["x-amz-checksum-crc32"]}
    if content:
        assert holds(content, stored.etag, facts(crc, composite=True), part=part, step=step) == (
            "crc32 of parts",
            True,
        )
        assert holds(content, stored.etag, facts(), mode="all", part=part, step=step) == (
            "multipart ETag",
            True,
        )
        assert holds(content + b"x", stored.etag, facts(), mode="all", part=part, step=step) == (
            "multipart ETag",
            False,
        )
    assert holds(content, Stored(content).etag, facts(), step=step) == ("ETag", True)
    assert holds(content + b"x", Stored(content).etag, facts(), step=step) == ("ETag", False)


def test_the_best_checksum_is_taken() -> None:
    content = b"weights"
    offered = {
        "crc64nvme": "AAAAAAAAAAA=",
        "crc32": b64(zlib.crc32(content).to_bytes(4, "big")),
        "sha1": b64(hashlib.sha1(content, usedforsecurity=False).digest()),
        "sha256": b64(hashlib.sha256(content).digest()),
    }
    for best in ("sha256", "sha1", "crc32"):
        assert holds(content, "f" * 32, facts(offered)) == (best, True)
        del offered[best]
    assert holds(content, Stored(content).etag, facts(offered)) == ("ETag", True)


@pytest.mark.parametrize(
    ("known", "mode", "guarded"),
    [
        (facts(encryption="aws:kms", server="AmazonS3"), "all", False),
        (facts(encryption="customer"), "all", False),
        (facts(encryption="AES256", server="MinIO"), "all", False),
        (facts(), "none", False),
    ],
)
def test_etags_that_are_no_md5_are_not_compared(known: ObjectFacts, mode: str, guarded: bool) -> None:
    assert holds(b"x", "f" * 32, known, mode=mode, guarded=guarded) is None


def test_amazons_own_encryption_leaves_md5_etags() -> None:
    assert holds(b"x", "f" * 32, facts(encryption="AES256", server="AmazonS3")) == ("ETag", False)


def test_multipart_etags_are_compared_where_nothing_else_guards_the_wire() -> None:
    etag = Stored(b"abc", 2).etag
    assert holds(b"abc", etag, facts(), guarded=True, part=2) is None
    assert holds(b"abc", etag, facts(), guarded=False, part=2) == ("multipart ETag", True)
    assert holds(b"abc", etag, facts(), guarded=False, part=None) is None, "parts of unequal size"
