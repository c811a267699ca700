"""Translate botocore's errors for the user. Their text is shown only if it cannot hold a secret (``mover/secret_text.py``)."""

import datetime as dt
import re
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from weighbridge.errors import PreconditionError, StepFailedError, WeighbridgeError
from weighbridge.mover.secret_text import told
from weighbridge.s3.answers import StrangeAnswerError
from weighbridge.s3.target import S3Target


@contextmanager
def s3_errors(target: S3Target, doing: str) -> Iterator[None]:
    """Turn botocore's exceptions into ours; ``doing`` completes "cannot … WHERE"."""
    try:
        yield
    except foreign_errors() as error:
        raise translate(error, target, doing) from error


def _known() -> Any:
    """Return botocore's exceptions, imported at the first use."""
    import botocore.exceptions  # noqa: PLC0415

    return botocore.exceptions


def _unparsable() -> type[Exception]:
    """Return botocore's error for an answer that no S3 server gives. Its parsers define it, not its exceptions."""
    from botocore.parsers import ResponseParserError  # noqa: PLC0415

    found: type[Exception] = ResponseParserError
    return found


def foreign_errors() -> tuple[type[Exception], ...]:
    """Return what botocore, urllib3 and the sockets below raise. botocore raises ``ValueError`` for a malformed endpoint."""
    known = _known()
    import urllib3.exceptions  # noqa: PLC0415 - botocore passes its errors on while a body is read

    return (
        known.BotoCoreError,
        known.ClientError,
        _unparsable(),
        StrangeAnswerError,
        urllib3.exceptions.HTTPError,
        ConnectionError,
        TimeoutError,
        ValueError,
    )


def is_damage(error: BaseException) -> bool:
    """Return whether the received bytes contradict the server's own checksum: then none of them can be trusted."""
    known = _known()
    return isinstance(error, known.FlexibleChecksumError)


def is_transient(error: BaseException) -> bool:
    """Return whether another try may help: after errors of the connection, the server's load, or bytes damaged in transit."""
    known = _known()
    import urllib3.exceptions  # noqa: PLC0415

    if isinstance(error, known.ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        failing = status >= HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.NOT_IMPLEMENTED
        overloaded = failing or status == HTTPStatus.TOO_MANY_REQUESTS
        return overloaded or _code(error) in {"SlowDown", "RequestTimeout", "InternalError"}
    if isinstance(error, known.SSLError | known.ProxyConnectionError) or _unsent(error):
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
"""Codes of other servers (this one is versitygw's) → Amazon's code with the same meaning."""


def _code(error: Exception) -> str:
    response: dict[str, Any] = getattr(error, "response", {})
    code = str(response.get("Error", {}).get("Code", ""))
    return _ALIASES.get(code, code) if re.fullmatch(r"[A-Za-z0-9._:-]{0,80}", code) else "(code not shown)"


def _unsent(error: BaseException) -> bool:
    """Return whether the request could not even be written. urllib3's message then quotes its headers, and so the keys."""
    inner = getattr(error, "kwargs", {}).get("error")
    return isinstance(error, _known().HTTPClientError) and isinstance(inner, ValueError)


def translate(error: Exception, target: S3Target, doing: str) -> WeighbridgeError:
    """Return our error for one of botocore's: a refusal with what to do (exit 3), or a failure, perhaps temporary (exit 4)."""
    known = _known()
    if isinstance(error, known.ClientError):
        return _refusal(error, target, doing)
    return _connection(error, target) or StepFailedError(
        f"cannot {doing} {target.where}: {_innermost(error, target)}",
        remedy="The connection failed on the way; run the same command again.",
        code="s3-connection",
        transient=is_transient(error),
    )


def _connection(error: Exception, target: S3Target) -> PreconditionError | None:
    """Return the error if the connection itself has to be repaired first, else ``None``."""
    known = _known()
    if isinstance(error, known.SSLError):
        trusts = (
            f"{target.ca_bundle} and the system's authorities were trusted"
            if target.ca_bundle
            else "the system's authorities were trusted"
        )
        return PreconditionError(
            f"TLS to {target.source.endpoint} failed ({trusts}): {_innermost(error, target)}",
            remedy="Name a PEM file that holds the certificate of the endpoint's issuer: `trust: {ca_bundle: ca.pem}`.",
            code="s3-tls",
        )
    if isinstance(error, known.ProxyConnectionError):
        return PreconditionError(
            f"the proxy on the way to {target.source.endpoint} did not let us through: {_innermost(error, target)}",
            remedy="Correct `proxy:` in the environment file (or HTTPS_PROXY); an endpoint inside belongs in `no_proxy`.",
            code="s3-proxy",
        )
    if _unsent(error):
        return PreconditionError(
            f"a request to {target.source.endpoint} could not be written: a key, or the way to the object, holds what HTTP cannot carry",
            remedy="Correct the references of `credentials`: each value alone, in one line.",
            code="s3-unsendable",
        )
    if isinstance(error, known.EndpointConnectionError | known.ConnectTimeoutError):
        return PreconditionError(
            f"cannot reach {target.source.endpoint}: {_innermost(error, target)}",
            remedy="Is the endpoint right, is the server up, and may this machine reach it (firewall, proxy)?",
            code="s3-unreachable",
        )
    return _not_s3(error, target)


def _not_s3(error: Exception, target: S3Target) -> PreconditionError | None:
    """Return the error if the answer is not from an S3 server."""
    if isinstance(error, StrangeAnswerError):
        return _strange(error, target)
    if isinstance(error, _unparsable()) and re.search(r"(?i)<(!doctype )?html", str(error)):
        return _strange(StrangeAnswerError(HTTPStatus.OK), target)
    if isinstance(error, _unparsable() | _known().InvalidProxiesConfigError | ValueError):
        return PreconditionError(
            f"{target.source.endpoint} does not answer as an S3 server does: {_innermost(error, target)}",
            remedy="The endpoint is the S3 API's address, not its web console; for path-style servers without a path.",
            code="s3-not-s3",
        )
    return None


def _strange(error: StrangeAnswerError, target: S3Target) -> PreconditionError:
    endpoint = target.source.endpoint
    if not error.is_redirect:
        return PreconditionError(
            f"{endpoint} answers with a web page (HTML, {error.status}) and not as an S3 server does",
            remedy="The endpoint is the S3 API's address, not its web console, and no login page of a proxy may stand in between.",
            code="s3-not-s3",
        )
    host = told(error.host, target.keys.secrets, 120)
    same = urlsplit(host).hostname == urlsplit(endpoint).hostname
    return PreconditionError(
        f"{endpoint} sends on to {host or 'another place'} ({error.status}); redirects are not followed, for the keys are for one server alone",
        remedy=f"Write endpoint: {host}"
        if host and same
        else "Write the endpoint of the server that answers itself.",
        code="s3-redirect",
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
    "NotImplemented": (
        "{endpoint} does not know what it was asked to {doing}: {status} {code} {said}",
        "Use another endpoint of this store, or a newer version of its S3 API.",
    ),
    "InvalidObjectState": (
        "an object of {where} is archived and cannot be read",
        "Restore it (`aws s3api restore-object`) or copy it to storage class STANDARD, then plan again.",
    ),
    "NoSuchKey": _GONE,
    "404": _GONE,
    "PreconditionFailed": _CHANGED,
    "412": _CHANGED,
}
"""S3's error codes (Amazon S3 API Reference, "Error responses") → the meaning here, and what to do."""


def _refusal(error: Exception, target: S3Target, doing: str) -> WeighbridgeError:
    source, code = target.source, told(_code(error), target.keys.secrets)
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
    said = told(str(response.get("Error", {}).get("Message", "")), target.keys.secrets, 200)
    region = response.get("Error", {}).get("Region") or metadata.get("HTTPHeaders", {}).get(
        "x-amz-bucket-region"
    )
    region = (
        told(str(region), target.keys.secrets) if re.fullmatch(r"[A-Za-z0-9-]{1,60}", str(region)) else None
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
    """Return enough of an access key to recognize it, but never a whole short one."""
    return f"{access_key[:4]}…" if len(access_key) >= 12 else "of this source"  # noqa: PLR2004


def _skew(date: str | None) -> str:
    """Return `` by N minutes (ahead)`` from the server's Date header, or nothing if there is none."""
    try:
        seconds = (dt.datetime.now(dt.UTC) - parsedate_to_datetime(date or "")).total_seconds()
    except ValueError:
        return ""
    return f" by {abs(seconds) / 60:.0f} minutes ({'ahead' if seconds > 0 else 'behind'})"


def _kebab(code: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9]+", "-", code)
    return "".join(f"-{char.lower()}" if char.isupper() else char for char in plain).strip("-")


def _innermost(error: BaseException, target: S3Target) -> str:
    """Return the last sentence of a chain of wrapped network errors, on one line and without a secret. Do not show
    the text of a ``ValueError``, because it quotes its input, unless it is botocore's about the endpoint.
    """
    text = str(error)
    if isinstance(error, ValueError) and not text.startswith("Invalid endpoint"):
        return type(error).__name__
    inner = getattr(error, "kwargs", {}).get("error")
    while inner is not None:
        text = str(inner)
        inner = (
            getattr(inner, "reason", None)
            if isinstance(getattr(inner, "reason", None), BaseException)
            else None
        )
    sentence = text.rpartition(">: ")[2].rpartition("object at 0x")[2]
    return told(sentence, target.keys.secrets) or type(error).__name__
