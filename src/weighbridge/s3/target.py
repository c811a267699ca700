"""A place in S3 with everything needed to reach it."""

from dataclasses import dataclass
from pathlib import Path

from weighbridge.domain.credentials import S3Keys
from weighbridge.environment.base import Proxy
from weighbridge.s3.settings import S3Source


@dataclass(frozen=True, slots=True)
class S3Target:
    """A source with everything needed to reach it."""

    source: S3Source
    keys: S3Keys
    ca_bundle: Path | None = None
    proxy: Proxy | None = None

    @property
    def where(self) -> str:
        """The place in messages: ``s3://bucket/prefix at endpoint``."""
        return f"s3://{self.source.bucket}/{self.source.prefix} at {self.source.endpoint}"
