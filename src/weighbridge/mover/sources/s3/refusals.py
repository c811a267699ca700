"""The meaning of an S3 server's refusal, for people."""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from datetime import timedelta

from ...document import OrderFile
from ...errors import FailedError, MoverError, RefusedError
from .answers import CHANGED, changed, skew_text
from .location import Location, redirect_host

EXPIRED = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken", "RequestExpired"}
_UNKNOWN_KEY = {"InvalidAccessKeyId", "XAdminUserNotFound"}
"""The second one is versitygw's, which sends it with status 404."""


@dataclass(frozen=True)
class Answer:
    """A refusal, with code and message of its error document in a form that may be shown."""

    response: http.client.HTTPResponse
    code: str
    text: str


def denied(location: Location, answer: Answer, file: OrderFile | None, skew: timedelta) -> MoverError:
    """Return why the answer was 400, 401 or 403. ``skew``: how far this node's clock is from the source's."""
    code, text = answer.code, answer.text
    files = [] if file is None else [file.path]
    where = f"{location.endpoint}, bucket {location.bucket}"
    if code == "RequestTimeTooSkewed":
        return RefusedError("clock-skew", f"{where}: the clocks differ too much: {skew_text(skew)}",
                            remedy="set the node's clock (NTP)", files=files)  # fmt: skip
    if code in EXPIRED:
        return RefusedError("credentials-expired", f"{where}: the credentials have expired ({code})",
                            remedy="renew the keys in the credentials Secret, then run again (it resumes)", transient=True)  # fmt: skip
    if code in {
        "AuthorizationHeaderMalformed",
        "PermanentRedirect",
        "IllegalLocationConstraintException",
    }:
        return RefusedError("source-region", f"{where} is not in region {location.region}: {text or code}",
                            remedy="set the source's region and the endpoint that belongs to it")  # fmt: skip
    if code == "InvalidObjectState":
        return RefusedError("source-archived", f"{where}: {', '.join(files)} is archived and cannot be read",
                            remedy="restore it, or copy it to storage class STANDARD, then plan again", files=files)  # fmt: skip
    if answer.response.status == http.client.BAD_REQUEST:
        return FailedError("source-refused", f"{where}: 400 {code}: {text}", files=files)
    return RefusedError(
        "credentials-refused",
        f"{where}: {answer.response.status} {code or answer.response.reason}{f': {text}' if text else ''}",
        remedy="check access key, secret key, and the permissions s3:GetObject and, for very many files, s3:ListBucket on the prefix",
        files=files,
    )


def _redirected(location: Location, answer: Answer, file: OrderFile) -> RefusedError:
    """Return the error for a redirect. It is not followed: the keys are for one server only. Show only the target's
    host, because the rest may be signed.
    """
    region = answer.response.getheader("x-amz-bucket-region")
    if region or answer.code in {"PermanentRedirect", "TemporaryRedirect"}:
        return RefusedError(
            "source-region",
            f"{location.endpoint} sends bucket {location.bucket} elsewhere{f': to region {region}' if region else ''}",
            remedy="set the source's region and the endpoint that belongs to it",
        )
    return RefusedError(
        "source-redirect",
        f"{location.endpoint} sends {file.path} on to {redirect_host(answer.response)} ({answer.response.status}); redirects are not followed",
        remedy="write the endpoint that serves the bytes itself, or bring them in by the route push",
        files=[file.path],
    )


def refused(location: Location, answer: Answer, file: OrderFile, skew: timedelta) -> MoverError:
    """Return why the server did not send the bytes of a file."""
    code, text = answer.code, answer.text
    if answer.response.status in {
        http.client.PRECONDITION_FAILED,
        http.client.REQUESTED_RANGE_NOT_SATISFIABLE,
    }:
        return changed(
            file,
            "its ETag is another"
            if answer.response.status == http.client.PRECONDITION_FAILED
            else "it has become shorter",
        )
    if code in _UNKNOWN_KEY:
        return denied(location, answer, file, skew)
    if answer.response.status == http.client.NOT_FOUND:
        thing = f"bucket {location.bucket}" if code == "NoSuchBucket" else f"{location.prefix}{file.path}"
        return RefusedError(
            "source-missing",
            f"{location.endpoint} has no {thing} (any more)",
            remedy=CHANGED,
            files=[file.path],
        )
    if 300 <= answer.response.status < 400:  # noqa: PLR2004 - redirections
        return _redirected(location, answer, file)
    return FailedError(
        "source-refused",
        f"{location.endpoint} answers {answer.response.status} {code or answer.response.reason} to {file.path}: {text}",
    )
