"""Resolved credentials: values that never show themselves."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class S3Keys:
    """Keys of an S3 user, in memory only. Neither ``repr`` nor ``str`` shows them."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no message may show."""
        return tuple(text for text in (self.access_key, self.secret_key, self.session_token) if text)
