"""Models into the sandbox's S3 server; what is there with the same bytes stays."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from weighbridge.mover.weightset import set_digest
from weighbridge_sandbox.errors import SandboxError
from weighbridge_sandbox.layout import BUCKETS, S3_ENDPOINT, Layout
from weighbridge_sandbox.models import Synthetic, sha256

BUCKET = BUCKETS[0]
DIGEST = "sha256"
"""Key of the object metadata that says what was uploaded: an ETag is no content hash for a multipart upload."""
PARTS = TransferConfig(multipart_threshold=64 << 20, multipart_chunksize=64 << 20, max_concurrency=4)


class FeedError(SandboxError):
    """The S3 server did not take the models."""


@dataclass(frozen=True, slots=True)
class Fed:
    """What now lies under one prefix."""

    model_id: str
    files: int
    total_bytes: int
    moved_bytes: int
    set_digest: str
    """``sha256:…`` over every path, size and SHA-256: what weighbridge must arrive at in the cluster."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One file to be: ``write`` brings it to a path and may take long; ``sha256`` is None where only that tells."""

    path: str
    size: int
    sha256: str | None
    write: Callable[[], tuple[Path, str]]
    keep: bool = True
    """Whether the local file stays after the upload."""


def pieces_of_folder(folder: Path) -> Iterator[Piece]:
    """Every file under ``folder``."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest = sha256(path)
            yield Piece(
                path=path.relative_to(folder).as_posix(),
                size=path.stat().st_size,
                sha256=digest,
                write=lambda path=path, digest=digest: (path, digest),  # type: ignore[misc]
            )


def pieces_of_synthetic(model: Synthetic, folder: Path) -> Iterator[Piece]:
    """A synthetic model, a shard at a time under ``folder``, so that the disk holds one shard and not the model."""
    model.write_small_files(folder)
    yield from pieces_of_folder(folder)
    for number, (name, size) in enumerate(model.shards(), start=1):
        yield Piece(
            path=name,
            size=size,
            sha256=None,
            write=lambda number=number, name=name: (folder / name, model.write_shard(folder, number)),  # type: ignore[misc]
            keep=False,
        )


class Feeder:
    """Uploads under prefixes of the bucket ``models``. Every method raises FeedError."""

    def __init__(self, layout: Layout) -> None:
        self._s3: Any = boto3.client(
            "s3",
            endpoint_url=S3_ENDPOINT,
            region_name="us-east-1",
            aws_access_key_id=layout.s3_access_key.read_text().strip(),
            aws_secret_access_key=layout.s3_secret_key.read_text().strip(),
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 5}, proxies={}),
        )

    def feed(self, model_id: str, pieces: Iterator[Piece], seed: str, said: Callable[[str], None]) -> Fed:
        """Make the prefix ``model_id``/ hold exactly ``pieces``; ``said`` hears of each file that moves.

        ``seed`` names what generated pieces without a digest were made from: an object with the same size and seed
        needs not be made again.
        """
        prefix = f"{model_id}/"
        try:
            stale = {key.removeprefix(prefix) for key in self._keys(prefix)}
            rows, moved = [], 0
            for piece in pieces:
                stale.discard(piece.path)
                digest = self._there(prefix + piece.path, piece, seed)
                if digest is None:
                    said(piece.path)
                    path, digest = piece.write()
                    extra = {"Metadata": {DIGEST: digest, "seed": seed}}
                    self._s3.upload_file(
                        str(path), BUCKET, prefix + piece.path, ExtraArgs=extra, Config=PARTS
                    )
                    moved += piece.size
                    if not piece.keep:
                        path.unlink()
                rows.append((piece.path, piece.size, digest))
            for left in stale:
                self._s3.delete_object(Bucket=BUCKET, Key=prefix + left)
        except (BotoCoreError, ClientError) as error:
            raise FeedError(
                f"The S3 server at {S3_ENDPOINT} did not take {model_id}: {error}",
                "See `weighbridge-sandbox status`.",
            ) from error
        total = sum(size for _, size, _ in rows)
        return Fed(model_id, len(rows), total, moved, set_digest(rows))

    def missing_bytes(self, model_id: str, shards: tuple[tuple[str, int], ...]) -> int:
        """How much of ``shards`` (name, size) is not there yet, by name and size alone."""
        try:
            there = self._keys(f"{model_id}/")
        except (BotoCoreError, ClientError) as error:
            raise FeedError(f"The S3 server at {S3_ENDPOINT} does not list {model_id}/: {error}") from error
        return sum(size for name, size in shards if there.get(f"{model_id}/{name}") != size)

    def _keys(self, prefix: str) -> dict[str, int]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return {entry["Key"]: entry["Size"] for page in pages for entry in page.get("Contents", [])}

    def _there(self, key: str, piece: Piece, seed: str) -> str | None:
        """The digest of an object that already is what ``piece`` would make it, else None."""
        try:
            found = self._s3.head_object(Bucket=BUCKET, Key=key)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:  # noqa: PLR2004 - HTTP's
                return None
            raise
        noted: dict[str, str] = found["Metadata"]
        digest = noted.get(DIGEST)
        if found["ContentLength"] != piece.size or digest is None:
            return None
        same = digest == piece.sha256 if piece.sha256 is not None else noted.get("seed") == seed
        return digest if same else None
