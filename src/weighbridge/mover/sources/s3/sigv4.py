"""AWS Signature Version 4 for S3 requests without a body. Without side effects.

Source: Amazon S3 API Reference, "Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)".
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class Keys:
    """One S3 identity. The secret parts are not in ``repr``."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no message may show."""
        return tuple(text for text in (self.access_key, self.secret_key, self.session_token) if text)


def object_target(bucket: str, key: str) -> str:
    """Return the path-style request target of an object, encoded once, as S3 requires."""
    return f"/{quote(bucket, safe='-._~')}/{quote(key, safe='/-._~')}"


@dataclass(frozen=True)
class Request:
    """A request without a body, before it is signed."""

    method: str
    host: str
    """As sent: with the port, unless it is the scheme's default."""
    target: str
    """The path, already encoded (``object_target``)."""
    query: Mapping[str, str]
    headers: Mapping[str, str]


def signed_headers(request: Request, keys: Keys, region: str, now: datetime) -> dict[str, str]:
    """Return the request's headers and those that authenticate it: Host, x-amz-date, x-amz-content-sha256,
    Authorization.

    ``now`` in UTC. Host and every ``x-amz-*`` header are signed; proxies may change the others.
    """
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    result = {
        **request.headers,
        "Host": request.host,
        "x-amz-content-sha256": EMPTY_SHA256,
        "x-amz-date": stamp,
    }
    if keys.session_token:
        result["x-amz-security-token"] = keys.session_token
    covered = {
        name.lower(): " ".join(value.split())
        for name, value in result.items()
        if name.lower().startswith(("host", "x-amz-"))
    }
    names = ";".join(sorted(covered))
    canonical = "\n".join(
        [
            request.method,
            request.target,
            canonical_query(request.query),
            *(f"{name}:{covered[name]}" for name in sorted(covered)),
            "",
            names,
            EMPTY_SHA256,
        ]
    )
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = b"AWS4" + keys.secret_key.encode()
    for part in (stamp[:8], region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    result["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={keys.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return result


def canonical_query(query: Mapping[str, str]) -> str:
    """Return the query as it is signed and sent."""
    return "&".join(
        sorted(f"{quote(name, safe='-._~')}={quote(value, safe='-._~')}" for name, value in query.items())
    )
