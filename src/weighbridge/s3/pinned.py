"""Read one version of an object: the one that was listed, or none."""

from http import HTTPStatus
from typing import Any

from weighbridge.domain.listing import folder_prefix
from weighbridge.domain.weights import SourceFile
from weighbridge.errors import PreconditionError
from weighbridge.mover.sources.s3.pages import identity
from weighbridge.s3.client import S3Client
from weighbridge.s3.failures import foreign_errors
from weighbridge.s3.target import S3Target


def get_pinned(client: S3Client, target: S3Target, file: SourceFile, **more: Any) -> dict[str, Any]:
    """Get the file as it was listed: by ``If-Match``, or, if the server has no conditions, by the ETag in its answer."""
    request = {"Bucket": target.source.bucket, "Key": folder_prefix(target.source.prefix) + file.path, **more}
    try:
        return client.get_object(IfMatch=f'"{file.etag}"', **request)
    except foreign_errors() as error:
        response: dict[str, Any] = getattr(error, "response", {})
        if response.get("ResponseMetadata", {}).get("HTTPStatusCode") != HTTPStatus.NOT_IMPLEMENTED:
            raise
    answer = client.get_object(**request)
    found = identity(str(answer.get("ETag", "")))
    if found == file.etag:
        return answer
    answer["Body"].close()
    raise PreconditionError(
        f"{file.path} of {target.where} {'has another ETag than was listed' if found else 'comes without an ETag, and without conditions'}",
        remedy="Plan again where somebody changes the source; a server without both can swap a file unseen: use another endpoint of it.",
        code="s3-source-changed",
    )
