"""Pulumi's state of one environment: its backend, the keys to it, and the objects of its bucket."""

from dataclasses import dataclass, field
from pathlib import Path

from weighbridge.domain.credentials import S3Keys
from weighbridge.engines.pulumi.backend import Backend, Bucket, parse_backend
from weighbridge.environment.types import Proxy
from weighbridge.s3.objects import ObjectReader


@dataclass(frozen=True)
class Objects:
    """Objects of the state's bucket, wherever its URL says that it is."""

    reader: ObjectReader

    def read(self, bucket: Bucket, key: str) -> bytes | None:
        return self.reader.read(bucket.name, key, **_place(bucket))

    def list(self, bucket: Bucket, prefix: str) -> tuple[str, ...]:
        return self.reader.list(bucket.name, prefix, **_place(bucket))

    def delete(self, bucket: Bucket, key: str) -> None:
        self.reader.delete(bucket.name, key, **_place(bucket))


@dataclass(frozen=True)
class State:
    backend: Backend
    keys: S3Keys | None = field(repr=False)
    objects: Objects


def opened_state(
    backend: str, folder: Path, keys: S3Keys | None, proxy: Proxy | None, ca_bundle: Path | None
) -> State:
    """The state at ``backend``; relative paths start at ``folder``. Nothing is read yet."""
    return State(
        backend=parse_backend(backend, folder),
        keys=keys,
        objects=Objects(ObjectReader(keys, proxy, ca_bundle)),
    )


def _place(bucket: Bucket) -> dict[str, str]:
    region = bucket.region or "us-east-1"
    return {"endpoint": bucket.endpoint or f"https://s3.{region}.amazonaws.com", "region": region}
