"""Whether a request to an S3 server is authentic, by botocore's own signer."""

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

REGION = "us-east-1"
TOLERANCE = timedelta(minutes=15)
"""Amazon S3, "Error responses", RequestTimeTooSkewed."""

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})"
)


def refusal(  # noqa: PLR0913 - a request and what the server knows
    method: str,
    target: str,
    headers: Mapping[str, str],
    *,
    keys: Mapping[str, tuple[str, str | None]],
    expired: Collection[str] = (),
    clock: timedelta = timedelta(),
) -> str | None:
    """S3's error code for a request that is not authentic; ``None`` for one that is.

    ``keys``: access key to secret key and session token; ``clock``: how far the server's clock is ahead.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    match = _AUTHORIZATION.fullmatch(lower.get("authorization", ""))
    if not match:
        return "AccessDenied"
    access, day, region, names, signature = match.groups()
    if access not in keys:
        return "InvalidAccessKeyId"
    if access in expired:
        return "ExpiredToken"
    secret, token = keys[access]
    stamp = datetime.strptime(lower["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if abs(stamp - datetime.now(UTC) - clock) > TOLERANCE:
        return "RequestTimeTooSkewed"
    signed = names.split(";")
    must = {"host", *(name for name in lower if name.startswith("x-amz-"))}
    if (
        region != REGION
        or day != lower["x-amz-date"][:8]
        or not must <= set(signed)
        or lower.get("x-amz-security-token") != token
    ):
        return "AccessDenied"
    request = AWSRequest(
        method=method, url=f"http://{lower['host']}{target}", headers={name: lower[name] for name in signed}
    )
    request.context["timestamp"] = lower["x-amz-date"]
    signer = S3SigV4Auth(Credentials(access, secret, token), "s3", REGION)
    text = signer.string_to_sign(request, signer.canonical_request(request))
    return None if signer.signature(text, request) == signature else "SignatureDoesNotMatch"


def signed(method: str, url: str, headers: Mapping[str, str], access: str, secret: str) -> dict[str, str]:
    """The headers of an authentic request without a body, ``headers`` among them."""
    request = AWSRequest(method=method, url=url, headers=dict(headers))
    S3SigV4Auth(Credentials(access, secret), "s3", REGION).add_auth(request)
    return dict(request.headers.items())
