"""Keys of an S3 user by the names that AWS's tools know them by, as a Secret of ours or of others holds them."""

from collections.abc import Mapping
from typing import Final

from weighbridge.domain.credentials import S3Keys
from weighbridge.environment.base import KubernetesSecretReference, SecretReference
from weighbridge.s3.settings import S3Credentials

REQUIRED: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
OPTIONAL: Final = ("AWS_SESSION_TOKEN",)


def key_references(credentials: S3Credentials) -> dict[str, SecretReference]:
    """Name → where this process finds the value; nothing where a Secret of the cluster holds them."""
    if isinstance(credentials, KubernetesSecretReference):
        return {}
    token = credentials.session_token
    return {
        "AWS_ACCESS_KEY_ID": credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
        **({"AWS_SESSION_TOKEN": token} if token else {}),
    }


def keys_from(values: Mapping[str, str]) -> S3Keys:
    """The keys, once their values are known."""
    return S3Keys(
        access_key=values["AWS_ACCESS_KEY_ID"],
        secret_key=values["AWS_SECRET_ACCESS_KEY"],
        session_token=values.get("AWS_SESSION_TOKEN") or None,
    )
