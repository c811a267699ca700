"""Credentials once resolved: values that never show themselves."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class S3Keys:
    """Keys of an S3 user, in memory only. Neither ``repr`` nor ``str`` shows them."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
