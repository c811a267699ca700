"""Models into the running sandbox's S3 server, as the demonstration puts them there."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

from weighbridge_sandbox.feed import BUCKET, Feeder, pieces_of_folder, pieces_of_synthetic
from weighbridge_sandbox.layout import S3_ENDPOINT, Layout
from weighbridge_sandbox.models import TINY, Synthetic, write_small_llama

pytestmark = pytest.mark.sandbox


class Bucket:
    """The bucket as any other client sees it."""

    def __init__(self, layout: Layout) -> None:
        self.s3 = boto3.client(
            "s3",
            endpoint_url=S3_ENDPOINT,
            region_name="us-east-1",
            aws_access_key_id=layout.s3_access_key.read_text().strip(),
            aws_secret_access_key=layout.s3_secret_key.read_text().strip(),
            config=Config(s3={"addressing_style": "path"}, proxies={}),
        )

    def put(self, key: str, body: bytes) -> None:
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)

    def keys(self, prefix: str) -> dict[str, int]:
        found = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)
        return {entry["Key"].removeprefix(prefix): entry["Size"] for entry in found.get("Contents", [])}


@pytest.fixture
def bucket(sandbox: Layout) -> Iterator[Bucket]:
    one = Bucket(sandbox)
    yield one
    one.s3.close()


@pytest.fixture
def prefix(bucket: Bucket) -> Iterator[str]:
    name = f"feed-{uuid.uuid4().hex[:8]}"
    yield name
    for key in bucket.keys(f"{name}/"):
        bucket.s3.delete_object(Bucket=BUCKET, Key=f"{name}/{key}")


def test_a_prefix_holds_exactly_the_folder_and_moves_only_what_differs(
    bucket: Bucket, prefix: str, tmp_path: Path
) -> None:
    write_small_llama(tmp_path, shape=TINY)
    feeder = Feeder(Layout.from_environment())
    first = feeder.feed(prefix, pieces_of_folder(tmp_path), "", lambda _: None)
    assert first.moved_bytes == first.total_bytes
    assert bucket.keys(f"{prefix}/") == {path.name: path.stat().st_size for path in tmp_path.iterdir()}

    moved: list[str] = []
    again = feeder.feed(prefix, pieces_of_folder(tmp_path), "", moved.append)
    assert (again.moved_bytes, moved, again.set_digest) == (0, [], first.set_digest)

    size = (tmp_path / "config.json").stat().st_size
    bucket.put(f"{prefix}/config.json", b"x" * size)
    bucket.put(f"{prefix}/left-over.bin", b"x")
    mended = feeder.feed(prefix, pieces_of_folder(tmp_path), "", moved.append)
    assert moved == ["config.json"], "the same size is not the same file"
    assert mended.set_digest == first.set_digest
    assert bucket.keys(f"{prefix}/") == {path.name: path.stat().st_size for path in tmp_path.iterdir()}


def test_a_synthetic_model_is_not_made_twice_nor_kept_on_disk(
    bucket: Bucket, prefix: str, tmp_path: Path
) -> None:
    model = Synthetic(3 << 20)
    feeder = Feeder(Layout.from_environment())
    assert feeder.missing_bytes(prefix, model.shards()) == 3 << 20
    first = feeder.feed(prefix, pieces_of_synthetic(model, tmp_path), "0", lambda _: None)
    assert feeder.missing_bytes(prefix, model.shards()) == 0
    assert not list(tmp_path.glob("*.safetensors"))
    again = feeder.feed(prefix, pieces_of_synthetic(model, tmp_path), "0", lambda _: None)
    assert (again.moved_bytes, again.set_digest) == (0, first.set_digest)
    other = feeder.feed(
        prefix, pieces_of_synthetic(Synthetic(3 << 20, seed=9), tmp_path), "9", lambda _: None
    )
    assert other.moved_bytes >= 3 << 20
    assert other.set_digest != first.set_digest
    assert (
        sum(size for name, size in bucket.keys(f"{prefix}/").items() if name.endswith(".safetensors"))
        == 3 << 20
    )
