"""The seam to botocore: how a client is made, and what its errors mean to the user.

botocore is imported here alone, and only when a client is asked for (0.1 s). Nothing ambient decides: no profile, no
``~/.aws``, no ``AWS_*``; endpoint, region, keys and proxy are the environment file's. Without ``proxy`` the process's
``HTTPS_PROXY`` and ``NO_PROXY`` count, and the system's authorities are trusted beside ``trust.ca_bundle``, as everywhere.
"""

import datetime as dt
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from weighbridge import trust
from weighbridge.domain.credentials import S3Keys
from weighbridge.environment.base import Proxy
from weighbridge.errors import PreconditionError, StepFailedError, WeighbridgeError
from weighbridge.mover.proxies import ProxySettings, chosen_proxy
from weighbridge.s3.settings import S3Source

CONNECT_SECONDS = 5
READ_SECONDS = 30
"""A server that sends nothing for this long counts as stalled."""

ATTEMPTS = 4
"""Tries of one short request inside botocore, with its own backoff."""


class S3Client(Protocol):
    """The calls used, as botocore's generated client has them."""

    def list_objects_v2(self, **request: Any) -> dict[str, Any]: ...

    def list_buckets(self, **request: Any) -> dict[str, Any]: ...

    def get_object(self, **request: Any) -> dict[str, Any]: ...

    def delete_object(self, **request: Any) -> dict[str, Any]: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class S3Target:
    """A source with everything needed to reach it."""

    source: S3Source
    keys: S3Keys
    ca_bundle: Path | None = None
    proxy: Proxy | None = None

    @property
    def where(self) -> str:
        """``s3://bucket/prefix at endpoint``, for messages."""
        return f"s3://{self.source.bucket}/{self.source.prefix} at {self.source.endpoint}"


def open_client(
    target: S3Target,
    *,
    attempts: int = ATTEMPTS,
    read_seconds: float = READ_SECONDS,
    addressing: str | None = None,
) -> S3Client:
    """A client for one source. Not to be shared between threads that close it.

    ``addressing``: ``path`` or ``virtual``, where the bucket's name stands; by default in the path, except at Amazon's.
    """
    import boto3.session  # noqa: PLC0415 - lazy, see the module's text
    import botocore.config  # noqa: PLC0415 - lazy, see the module's text
    import botocore.configprovider  # noqa: PLC0415
    import botocore.session  # noqa: PLC0415

    trusted = trusted_file(target.ca_bundle)
    nothing: tuple[object, ...] = (None, None, None, None)
    unheard = {
        name: (None, None, default, convert)
        for name, (
            _,
            _,
            default,
            convert,
        ) in botocore.configprovider.BOTOCORE_DEFAULT_SESSION_VARIABLES.items()
    }
    session = botocore.session.Session(
        session_vars={
            **unheard,
            "profile": nothing,
            "config_file": (None, None, os.devnull, None),
            "credentials_file": (None, None, os.devnull, None),
        }
    )
    amazon = (urlsplit(target.source.endpoint).hostname or "").endswith(
        (".amazonaws.com", ".amazonaws.com.cn")
    )
    proxies = proxies_for(target.source.endpoint, target.proxy)
    config = botocore.config.Config(
        signature_version="s3v4",
        connect_timeout=CONNECT_SECONDS,
        read_timeout=read_seconds,
        retries={"mode": "standard", "total_max_attempts": attempts},
        s3={"addressing_style": addressing or ("auto" if amazon else "path")},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_supported",
        user_agent_extra="weighbridge",
        proxies=dict(proxies),
    )
    with s3_errors(target, "open"):
        client: S3Client = boto3.session.Session(botocore_session=session).client(
            "s3",
            region_name=target.source.region,
            endpoint_url=target.source.endpoint,
            aws_access_key_id=target.keys.access_key,
            aws_secret_access_key=target.keys.secret_key,
            aws_session_token=target.keys.session_token,
            verify=trusted,
            config=config,
        )
    return client


def trusted_file(ca_bundle: Path | None) -> str:
    """One PEM file of the system's authorities and those of ``ca_bundle``: botocore would replace the one by the other, and
    brings a list of its own. ``PreconditionError`` where ``ca_bundle`` is absent.
    """
    try:
        return trust.bundle_file(ca_bundle)
    except OSError as error:
        raise PreconditionError(
            f"the CA bundle {ca_bundle} does not exist"
            if isinstance(error, FileNotFoundError)
            else f"the CA bundle {ca_bundle} cannot be read: {error.strerror}",
            remedy="Correct `trust.ca_bundle`.",
            code="trust-missing",
        ) from error


def proxies_for(
    endpoint: str, proxy: Proxy | None, environ: Mapping[str, str] | None = None
) -> Mapping[str, str]:
    """Proxies for ``endpoint`` as botocore takes them, by scheme: of the environment file, else of the process's variables; empty
    where it is reached directly.
    """
    parts = urlsplit(endpoint)
    settings = (
        ProxySettings()
        if proxy is None
        else ProxySettings(proxy.http, proxy.https, proxy.no_proxy, alone=True)
    )
    variables = os.environ if environ is None else environ
    found = {
        scheme: chosen_proxy(scheme, parts.hostname or "", settings, variables, parts.port)
        for scheme in ("http", "https")
    }
    return {scheme: url if "://" in url else f"http://{url}" for scheme, url in found.items() if url}


@contextmanager
def s3_errors(target: S3Target, doing: str) -> Iterator[None]:
    """Turns botocore's exceptions into ours; ``doing`` completes "cannot … WHERE"."""
    try:
        yield
    except foreign_errors() as error:
        raise translate(error, target, doing) from error


def _known() -> Any:
    """Botocore's exceptions, imported when first needed."""
    import botocore.exceptions  # noqa: PLC0415

    return botocore.exceptions


def _unparsable() -> type[Exception]:
    """An answer that is no S3 server's. It stands beside the parsers, not among botocore's exceptions."""
    from botocore.parsers import ResponseParserError  # noqa: PLC0415

    found: type[Exception] = ResponseParserError
    return found


def foreign_errors() -> tuple[type[Exception], ...]:
    """What botocore, urllib3 and the sockets under them raise; ``ValueError`` is botocore's word on a malformed endpoint."""
    known = _known()
    import urllib3.exceptions  # noqa: PLC0415 - botocore lets its errors through while a body is read

    return (
        known.BotoCoreError,
        known.ClientError,
        _unparsable(),
        urllib3.exceptions.HTTPError,
        ConnectionError,
        TimeoutError,
        ValueError,
    )


def is_damage(error: BaseException) -> bool:
    """The bytes that came do not match the server's own checksum: nothing received so far can be trusted."""
    known = _known()
    return isinstance(error, known.FlexibleChecksumError)


def is_transient(error: BaseException) -> bool:
    """Worth another try: the connection, the server's load, or bytes damaged on their way."""
    known = _known()
    import urllib3.exceptions  # noqa: PLC0415

    if isinstance(error, known.ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        overloaded = status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS
        return overloaded or _code(error) in {"SlowDown", "RequestTimeout", "InternalError"}
    if isinstance(error, known.SSLError | known.ProxyConnectionError):
        return False
    return isinstance(
        error,
        known.ConnectionError
        | known.HTTPClientError
        | known.IncompleteReadError
        | known.ResponseStreamingError
        | known.ReadTimeoutError
        | known.FlexibleChecksumError
        | urllib3.exceptions.HTTPError
        | ConnectionError
        | TimeoutError,
    )


_ALIASES = {"XAdminUserNotFound": "InvalidAccessKeyId"}
"""Codes of other servers (this one is versitygw's) that mean one of Amazon's."""


def _code(error: Exception) -> str:
    response: dict[str, Any] = getattr(error, "response", {})
    code = str(response.get("Error", {}).get("Code", ""))
    return _ALIASES.get(code, code)


def translate(error: Exception, target: S3Target, doing: str) -> WeighbridgeError:
    """One of ours for one of botocore's: a refusal with what to do (exit 3), or a failure that may pass (exit 4)."""
    known = _known()
    where = target.where
    if isinstance(error, known.ClientError):
        return _refusal(error, target, doing)
    if isinstance(error, known.SSLError):
        trusts = (
            f"{target.ca_bundle} and the system's authorities were trusted"
            if target.ca_bundle
            else "the system's authorities were trusted"
        )
        return PreconditionError(
            f"TLS to {target.source.endpoint} failed ({trusts}): {_innermost(error)}",
            remedy="Name a PEM file that holds the certificate of the endpoint's issuer: `trust: {ca_bundle: ca.pem}`.",
            code="s3-tls",
        )
    if isinstance(error, known.ProxyConnectionError):
        return PreconditionError(
            f"the proxy on the way to {target.source.endpoint} did not let us through: {_innermost(error)}",
            remedy="Correct `proxy:` in the environment file (or HTTPS_PROXY); an endpoint inside belongs in `no_proxy`.",
            code="s3-proxy",
        )
    if isinstance(error, known.EndpointConnectionError | known.ConnectTimeoutError):
        return PreconditionError(
            f"cannot reach {target.source.endpoint}: {_innermost(error)}",
            remedy="Is the endpoint right, is the server up, and may this machine reach it (firewall, proxy)?",
            code="s3-unreachable",
        )
    if isinstance(error, _unparsable() | known.InvalidProxiesConfigError | ValueError):
        return PreconditionError(
            f"{target.source.endpoint} does not answer as an S3 server does: {_innermost(error)}",
            remedy="The endpoint is the S3 API's address, not its web console; for path-style servers without a path.",
            code="s3-not-s3",
        )
    return StepFailedError(
        f"cannot {doing} {where}: {_innermost(error)}",
        remedy="The connection failed on the way; run the same command again.",
        code="s3-connection",
        transient=is_transient(error),
    )


_ACCESS = (
    "the {user} may not {doing} s3://{bucket}/{prefix}",
    "Allow s3:ListBucket on the bucket and s3:GetObject on its objects for this user.",
)
_REGION = ("bucket {bucket!r} is not in region {region!r}", "Write {meant}.")
_TIME = ("this machine's clock differs from {endpoint}'s{skew}", "Set the clock (NTP); S3 allows 15 minutes.")
_TOKEN = ("the session token of the {user} has expired", "Get fresh session keys and run again.")
_GONE = ("an object of {where} has gone", "Somebody changes the source; plan again when it is quiet.")
_CHANGED = (
    "an object of {where} was replaced since it was listed",
    "Plan again: the new content is a new set.",
)

_REFUSALS = {
    "InvalidAccessKeyId": (
        "{endpoint} does not know the {user}",
        "Correct `credentials.access_key`; keys of another server or of a deleted user look like this.",
    ),
    "SignatureDoesNotMatch": (
        "the secret key does not belong to the {user} (the signature does not match)",
        "Correct `credentials.secret_key`: a stray space or newline, or the keys of two users mixed.",
    ),
    "ExpiredToken": _TOKEN,
    "TokenRefreshRequired": _TOKEN,
    "InvalidToken": (
        "the session token does not belong to the {user}",
        "Correct or remove `credentials.session_token`.",
    ),
    "RequestTimeTooSkewed": _TIME,
    "RequestExpired": _TIME,
    "NoSuchBucket": ("bucket {bucket!r} does not exist at {endpoint}", "Correct `bucket`, or create it."),
    "AccessDenied": _ACCESS,
    "AllAccessDisabled": _ACCESS,
    "Forbidden": _ACCESS,
    "403": _ACCESS,
    "PermanentRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "301": _REGION,
    "NoSuchKey": _GONE,
    "404": _GONE,
    "PreconditionFailed": _CHANGED,
    "412": _CHANGED,
}
"""S3's error codes (Amazon S3 API Reference, "Error responses") → what it means here, and what to do."""


def _refusal(error: Exception, target: S3Target, doing: str) -> WeighbridgeError:
    source, code = target.source, _code(error)
    response: dict[str, Any] = getattr(error, "response", {})
    metadata = response.get("ResponseMetadata", {})
    status = metadata.get("HTTPStatusCode", 0)
    if is_transient(error):
        return StepFailedError(
            f"{source.endpoint} answered {status} {code} when asked to {doing} {source.bucket}",
            remedy="The server is overloaded or failing; run the same command again later.",
            code="s3-unavailable",
            transient=True,
        )
    said = str(response.get("Error", {}).get("Message", ""))[:200]
    region = response.get("Error", {}).get("Region") or metadata.get("HTTPHeaders", {}).get(
        "x-amz-bucket-region"
    )
    what, remedy = _REFUSALS.get(
        code,
        ("cannot {doing} {where}: {status} {code} {said}", "See the server's documentation of this code."),
    )
    facts = {
        "bucket": source.bucket, "prefix": source.prefix, "endpoint": source.endpoint, "region": source.region,
        "where": target.where, "doing": doing, "status": status, "code": code, "said": said,
        "user": f"access key {_hint(target.keys.access_key)}",
        "skew": _skew(metadata.get("HTTPHeaders", {}).get("date")),
        "meant": f"`region: {region}`" if region else "the bucket's `region`, and the endpoint of that region",
    }  # fmt: skip
    return PreconditionError(
        what.format_map(facts), remedy=remedy.format_map(facts), code=f"s3-{_kebab(code or str(status))}"
    )


def _hint(access_key: str) -> str:
    """Enough of an access key to recognise it; never the whole of a short one."""
    return f"{access_key[:4]}…" if len(access_key) >= 12 else "of this source"  # noqa: PLR2004


def _skew(date: str | None) -> str:
    """`` by N minutes (ahead)`` from the server's Date header, or nothing where there is none."""
    try:
        seconds = (dt.datetime.now(dt.UTC) - parsedate_to_datetime(date or "")).total_seconds()
    except ValueError:
        return ""
    return f" by {abs(seconds) / 60:.0f} minutes ({'ahead' if seconds > 0 else 'behind'})"


def _kebab(code: str) -> str:
    return "".join(f"-{char.lower()}" if char.isupper() else char for char in code).lstrip("-")


def _innermost(error: BaseException) -> str:
    """The last sentence of a chain of wrapped network errors, on one line."""
    text = str(error)
    inner = getattr(error, "kwargs", {}).get("error")
    while inner is not None:
        text = str(inner)
        inner = (
            getattr(inner, "reason", None)
            if isinstance(getattr(inner, "reason", None), BaseException)
            else None
        )
    return (
        " ".join(text.rpartition(">: ")[2].rpartition("object at 0x")[2].split())[:300]
        or type(error).__name__
    )
