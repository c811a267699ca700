"""Pulumi's state of one environment: its backend, the keys to it, and the objects of its bucket."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from weighbridge.domain.credentials import S3Keys
from weighbridge.engines.pulumi.backend import Backend, Bucket, parse_backend
from weighbridge.environment.types import Proxy
from weighbridge.s3.objects import ObjectReader


@dataclass(frozen=True)
class Objects:
    """The objects of the state's bucket, at the place that its URL names."""

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
    """Return the state at ``backend``; relative paths start at ``folder``. Nothing is read yet."""
    return State(
        backend=parse_backend(backend, folder),
        keys=keys,
        objects=Objects(ObjectReader(keys, proxy, ca_bundle)),
    )


def region_of(bucket: Bucket, environ: Mapping[str, str] | None = None) -> str:
    """Return the region: from the URL, else from the variables that Amazon's libraries read, else one that every
    server accepts. Pulumi is told it.
    """
    variables = os.environ if environ is None else environ
    return bucket.region or variables.get("AWS_REGION") or variables.get("AWS_DEFAULT_REGION") or "us-east-1"


def _place(bucket: Bucket) -> dict[str, Any]:
    region = region_of(bucket)
    endpoint = bucket.endpoint or f"https://s3.{region}.amazonaws.com"
    return {"endpoint": endpoint, "region": region, "path_style": bucket.path_style}
