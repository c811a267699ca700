"""Keys of an S3 user under the names that AWS's tools use. A Secret, ours or another's, holds them under these names."""

from collections.abc import Mapping
from typing import Final

from weighbridge.domain.credentials import S3Keys
from weighbridge.environment.base import KubernetesSecretReference, SecretReference
from weighbridge.errors import PreconditionError
from weighbridge.mover.secret_text import header_flaw
from weighbridge.s3.settings import S3Credentials

REQUIRED: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
OPTIONAL: Final = ("AWS_SESSION_TOKEN",)
_FIELDS: Final = {"AWS_ACCESS_KEY_ID": "access_key", "AWS_SESSION_TOKEN": "session_token"}


def key_references(credentials: S3Credentials) -> dict[str, SecretReference]:
    """Return name → where this process finds the value; nothing if a Secret of the cluster holds the keys."""
    if isinstance(credentials, KubernetesSecretReference):
        return {}
    token = credentials.session_token
    return {
        "AWS_ACCESS_KEY_ID": credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
        **({"AWS_SESSION_TOKEN": token} if token else {}),
    }


def keys_from(values: Mapping[str, str]) -> S3Keys:
    """Return the keys from their values. Raise ``PreconditionError`` for one that is sent and that no header could carry."""
    for name in ("AWS_ACCESS_KEY_ID", *OPTIONAL):
        if wrong := header_flaw(values.get(name, "")):
            raise PreconditionError(
                f"the value for {name} holds {wrong}",
                remedy=f"Correct credentials.{_FIELDS[name]}: the value alone, in one line.",
                code="secret-malformed",
            )
    return S3Keys(
        access_key=values["AWS_ACCESS_KEY_ID"],
        secret_key=values["AWS_SECRET_ACCESS_KEY"],
        session_token=values.get("AWS_SESSION_TOKEN") or None,
    )
