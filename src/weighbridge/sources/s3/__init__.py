"""Weights in S3: a bucket, or a folder of one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from weighbridge.domain.digest import Json
from weighbridge.environment.base import KubernetesSecretReference, Route
from weighbridge.environment.tree import Finding, Node, Plain
from weighbridge.s3.keys import OPTIONAL, REQUIRED, key_references
from weighbridge.s3.settings import S3Source
from weighbridge.sources.interface import Around, OpenSource, SourceSecrets
from weighbridge.sources.s3.rules import check_place


@dataclass(frozen=True, slots=True)
class S3:
    """Implement ``sources.interface.Source``."""

    kind: ClassVar[str] = "s3"
    settings: ClassVar[type[S3Source]] = S3Source
    description: ClassVar[str] = "An S3 bucket, or a folder of one."
    example: ClassVar[Mapping[str, Plain]] = {
        "bucket": "models",
        "prefix": "example-13b/",
        "endpoint": "https://s3.example.com",
    }
    routes: ClassVar[frozenset[Route]] = frozenset(Route)
    remedies: ClassVar[Mapping[str, str]] = {
        "not-s3": "`endpoint` is the S3 API's address, not its web console",
        "redirect": "write the endpoint of the server that answers itself",
        "not-http": "`endpoint` is the S3 API's address: https:// where it speaks TLS",
        "credentials-missing": "the Secret needs the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        "source-empty": "upload the model there, or correct `prefix`",
        "s3:InvalidAccessKeyId": "correct credentials.access_key: keys of another server look like this",
        "s3:XAdminUserNotFound": "correct credentials.access_key: keys of another server look like this",
        "s3:SignatureDoesNotMatch": "correct credentials.secret_key",
        "s3:AccessDenied": "allow s3:ListBucket on the bucket and s3:GetObject on its objects for this user",
        "s3:NoSuchBucket": "correct `bucket`, or create it",
        "s3:RequestTimeTooSkewed": "set the clock (NTP)",
        "s3:ExpiredToken": "get fresh session keys",
        "s3:InvalidToken": "correct or remove credentials.session_token",
        "s3:PermanentRedirect": "write the bucket's `region`, and the endpoint of that region",
        "s3:AuthorizationHeaderMalformed": "write the bucket's `region`",
    }

    def rules(self, section: Node) -> Iterable[Finding]:
        return check_place(section)

    def meant_by(self, text: str) -> str | None:
        if not text.startswith("s3://"):
            return None
        return "write s3: {bucket: models, prefix: example-13b/, endpoint: https://s3.example.com, credentials: {…}}"

    def where(self, settings: S3Source) -> str:
        return f"s3://{settings.bucket}/{settings.prefix}"

    def order(self, settings: S3Source) -> Mapping[str, Json]:
        return {
            "endpoint": settings.endpoint,
            "region": settings.region,
            "bucket": settings.bucket,
            "prefix": settings.prefix,
        }

    def secrets(self, settings: S3Source) -> SourceSecrets:
        credentials = settings.credentials
        return SourceSecrets(
            references=key_references(credentials),
            existing=credentials.secret if isinstance(credentials, KubernetesSecretReference) else None,
            required=REQUIRED,
            optional=OPTIONAL,
            called="S3 keys",
        )

    def server(self, settings: S3Source) -> str:
        return settings.endpoint

    def open(self, settings: S3Source, around: Around) -> OpenSource:
        from weighbridge.sources.s3.reading import open_place  # noqa: PLC0415 - boto3 takes a third of a second

        return open_place(settings, around)
