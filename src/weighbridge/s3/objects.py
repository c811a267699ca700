"""Single small objects of a bucket: the state's identity, read before Pulumi starts, and the locks beside it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from weighbridge.domain.credentials import S3Keys
from weighbridge.environment.base import EnvReference, Proxy
from weighbridge.errors import PreconditionError
from weighbridge.mover.secret_text import flaw, header_flaw, trimmed
from weighbridge.s3.client import S3Client, open_client
from weighbridge.s3.failures import foreign_errors, s3_errors
from weighbridge.s3.settings import S3KeyPair, S3Source
from weighbridge.s3.target import S3Target

_ABSENT = frozenset({"NoSuchKey", "404"})


_AMBIENT = S3KeyPair(
    access_key=EnvReference(env="AWS_ACCESS_KEY_ID"), secret_key=EnvReference(env="AWS_SECRET_ACCESS_KEY")
)
"""Stands in messages for keys that AWS's own chain found."""


@dataclass(frozen=True, slots=True)
class ObjectReader:
    """Read, list and delete with the state's own keys."""

    keys: S3Keys | None
    """``None``: use AWS's usual chain (variables, profile, web identity, instance role)."""
    proxy: Proxy | None = None
    ca_bundle: Path | None = None

    def read(
        self, bucket: str, key: str, *, endpoint: str, region: str, path_style: bool = False
    ) -> bytes | None:
        """Return the object's bytes, or ``None`` if there is none. Raise ``PreconditionError`` if the server refuses."""
        with (
            self._client(bucket, key, endpoint, region, path_style=path_style) as (client, target),
            s3_errors(target, "read"),
        ):
            try:
                body = client.get_object(Bucket=bucket, Key=key)["Body"]
            except foreign_errors() as error:
                response: dict[str, dict[str, str]] = getattr(error, "response", {})
                if response.get("Error", {}).get("Code") in _ABSENT:
                    return None
                raise
            content: bytes = body.read()
            return content

    def list(
        self, bucket: str, prefix: str, *, endpoint: str, region: str, path_style: bool = False
    ) -> tuple[str, ...]:
        """Return the first keys (at most 1000) below ``prefix``, which ends in ``/``."""
        with (
            self._client(bucket, prefix, endpoint, region, path_style=path_style) as (client, target),
            s3_errors(target, "list"),
        ):
            page = client.list_objects_v2(Bucket=bucket, Prefix=prefix)
            return tuple(str(row["Key"]) for row in page.get("Contents", ()))

    def delete(self, bucket: str, key: str, *, endpoint: str, region: str, path_style: bool = False) -> None:
        """Delete one object. Do nothing if it is already gone."""
        with (
            self._client(bucket, key, endpoint, region, path_style=path_style) as (client, target),
            s3_errors(target, "delete"),
        ):
            client.delete_object(Bucket=bucket, Key=key)

    @contextmanager
    def _client(
        self, bucket: str, key: str, endpoint: str, region: str, *, path_style: bool
    ) -> Iterator[tuple[S3Client, S3Target]]:
        folder = key.rpartition("/")[0] + "/"
        source = S3Source(
            bucket=bucket, prefix=folder, endpoint=endpoint, region=region, credentials=_AMBIENT
        )
        target = S3Target(source, self.keys or _ambient_keys(), self.ca_bundle, self.proxy)
        client = open_client(target, addressing="path" if path_style else "virtual")
        try:
            yield client, target
        finally:
            client.close()


def _ambient_keys() -> S3Keys:
    import boto3.session  # noqa: PLC0415 - slow to import, and rarely needed
    import botocore.exceptions  # noqa: PLC0415

    try:
        found = boto3.session.Session().get_credentials()
        keys = found.get_frozen_credentials() if found is not None else None
    except (botocore.exceptions.BotoCoreError, ValueError) as error:
        raise PreconditionError(
            f"AWS's chain of credentials failed: {_cause(error)}",
            remedy="write state.credentials, or mend the profile and the variables AWS_*",
            code="state-login",
        ) from error
    if keys is None:
        raise PreconditionError(
            "the state is in S3 and AWS's usual chain finds no credentials (variables, profile, web identity, instance role)",
            remedy="provide them, or write state.credentials: {access_key: {env: STATE_KEY}, secret_key: {env: STATE_SECRET}}",
            code="state-login",
        )
    values = (("access key", keys.access_key, header_flaw), ("secret key", keys.secret_key, flaw))
    for name, value, judge in (*values, ("session token", keys.token, header_flaw)):
        if wrong := judge(trimmed(value or "")):
            raise PreconditionError(
                f"the {name} that AWS's chain of credentials finds holds {wrong}",
                remedy="correct it where it stands (variable, profile), or write state.credentials",
                code="state-login",
            )
    token = trimmed(keys.token or "") or None
    return S3Keys(trimmed(keys.access_key or ""), trimmed(keys.secret_key or ""), token)


def _cause(error: Exception) -> str:
    """Return botocore's text only if it names just a profile or a file: a login helper's output may hold a secret."""
    import botocore.exceptions as known  # noqa: PLC0415

    harmless = known.ProfileNotFound | known.ConfigNotFound | known.ConfigParseError
    return str(error) if isinstance(error, harmless) else type(error).__name__
