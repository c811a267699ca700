"""Recognize answers that are not S3's: pages for people, and redirects that no client of S3 follows. Without side
effects, apart from the hook into botocore.

A redirect is not followed: the keys are signed for one host and are sent to no other. Without this module, botocore
asks HEAD of the bucket for its region, is redirected again, and so on without end.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

_LISTS: Final = frozenset({"ListObjectsV2", "ListObjects"})
_OF_REGIONS: Final = frozenset({"PermanentRedirect", "TemporaryRedirect"})
"""Codes with which S3 itself redirects to another region. botocore follows them, within the same endpoint."""


class StrangeAnswerError(Exception):
    """An answer that is not S3's. ``location``: the target of a redirect; ``None``: the answer is a page for people."""

    def __init__(self, status: int, location: str | None = None) -> None:
        super().__init__(f"an answer of status {status}")
        self.status = status
        self.location = location

    @property
    def is_redirect(self) -> bool:
        return self.status // 100 == HTTPStatus.MULTIPLE_CHOICES // 100

    @property
    def host(self) -> str:
        """Scheme and host of the redirect's target, without path and query, which may be signed; empty if there is none."""
        try:
            parts = urlsplit(self.location or "")
            port = f":{parts.port}" if parts.port else ""
        except ValueError:
            return ""
        return f"{parts.scheme}://{parts.hostname}{port}" if parts.scheme and parts.hostname else ""


def strange(
    operation: str, status: int, headers: Mapping[str, str], error: Mapping[str, Any]
) -> StrangeAnswerError | None:
    """Return an error unless the answer is S3's. ``error``: the answer's error document, as parsed."""
    if status // 100 == HTTPStatus.MULTIPLE_CHOICES // 100 and status != HTTPStatus.NOT_MODIFIED:
        known = headers.get("x-amz-bucket-region") or error.get("Region") or error.get("Code") in _OF_REGIONS
        return None if known else StrangeAnswerError(status, headers.get("location", ""))
    page = headers.get("content-type", "").lower().startswith("text/html")
    refused = (
        HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
        and status != HTTPStatus.TOO_MANY_REQUESTS
    )
    return (
        StrangeAnswerError(status)
        if page and (refused or (status == HTTPStatus.OK and operation in _LISTS))
        else None
    )


def refuse_strange_answers(client: Any) -> None:
    """Make botocore's ``client`` raise ``StrangeAnswerError`` before it does anything else with such an answer."""

    def look(response: Any, operation: Any, **_: Any) -> None:
        if response is not None and (found := strange(operation.name, *_parts(response))) is not None:
            raise found

    client.meta.events.register_first("needs-retry.s3", look)


def _parts(response: tuple[Any, Mapping[str, Any]]) -> tuple[int, Mapping[str, str], Mapping[str, Any]]:
    """Return status, headers and error. The status is the original: botocore turns a 200 with an unreadable body into a 500."""
    raw, parsed = response
    status = int(getattr(raw.raw, "status", raw.status_code))
    return (
        status,
        {name.lower(): value for name, value in raw.headers.items()},
        parsed.get("Error", {}),
    )
