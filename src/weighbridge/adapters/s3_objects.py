"""Single small objects of a bucket: how the state's identity is read before Pulumi is started."""

from dataclasses import dataclass
from pathlib import Path

from weighbridge.adapters.s3_client import S3Target, foreign_errors, open_client, s3_errors
from weighbridge.domain.credentials import S3Keys
from weighbridge.domain.environment import Proxy, S3KeyPair, S3Source

_ABSENT = frozenset({"NoSuchKey", "404"})


@dataclass(frozen=True, slots=True)
class ObjectReader:
    """Reads objects with the state's own keys."""

    credentials: S3KeyPair
    """Where the keys come from, for messages."""
    keys: S3Keys
    proxy: Proxy | None = None
    ca_bundle: Path | None = None

    def read(self, bucket: str, key: str, *, endpoint: str, region: str) -> bytes | None:
        """The object's bytes, or ``None`` where there is none. ``PreconditionError`` where the server refuses."""
        folder = key.rpartition("/")[0] + "/"
        source = S3Source(
            bucket=bucket, prefix=folder, endpoint=endpoint, region=region, credentials=self.credentials
        )
        target = S3Target(source, self.keys, self.ca_bundle, self.proxy)
        client = open_client(target)
        try:
            with s3_errors(target, "read"):
                try:
                    body = client.get_object(Bucket=bucket, Key=key)["Body"]
                except foreign_errors() as error:
                    response: dict[str, dict[str, str]] = getattr(error, "response", {})
                    if response.get("Error", {}).get("Code") in _ABSENT:
                        return None
                    raise
                content: bytes = body.read()
                return content
        finally:
            client.close()
