"""S3 keys from a mounted Secret, read again for every request so that a rotated Secret is noticed."""

from __future__ import annotations

from pathlib import Path

from ...errors import RefusedError
from ...secret_text import LARGEST, flaw, header_flaw, trimmed
from .sigv4 import Keys

ACCESS_KEY = "AWS_ACCESS_KEY_ID"
SECRET_KEY = "AWS_SECRET_ACCESS_KEY"  # noqa: S105 - the name of a file, not a secret
SESSION_TOKEN = "AWS_SESSION_TOKEN"  # noqa: S105 - the name of a file, not a secret


class MountedKeys:
    """A directory with one file for each key, as Kubernetes mounts a Secret; ``None``: anonymous access."""

    def __init__(self, directory: str | None) -> None:
        self._directory = directory

    def read(self) -> Keys | None:
        """Return the present keys. Raise ``RefusedError`` naming the file that is missing, empty or holds what no key can."""
        if self._directory is None:
            return None
        return Keys(
            self._file(ACCESS_KEY), self._file(SECRET_KEY), self._file(SESSION_TOKEN, required=False) or None
        )

    def _file(self, name: str, *, required: bool = True) -> str:
        path = Path(self._directory or "", name)
        try:
            with path.open(encoding="utf-8") as stream:
                value = trimmed(stream.read(LARGEST + 1))
        except FileNotFoundError:
            value = ""
        except (OSError, UnicodeDecodeError) as error:
            raise RefusedError(
                "credentials-missing",
                f"{name} in {self._directory} cannot be read: {type(error).__name__}",
                remedy=_REMEDY,
            ) from error
        if not value and required:
            raise RefusedError(
                "credentials-missing", f"{name} is absent from {self._directory}, or empty", remedy=_REMEDY
            )
        wrong = "more than a key can be" if len(value) > LARGEST else self._flaw(name, value)
        if wrong:
            raise RefusedError(
                "credentials-malformed",
                f"{name} in {self._directory} holds {wrong}",
                remedy="write the value alone, in one line, into that key of the Secret; white space around it does no harm",
            )
        return value

    @staticmethod
    def _flaw(name: str, value: str) -> str | None:
        return flaw(value) if name == SECRET_KEY else header_flaw(value)


_REMEDY = f"the credentials Secret needs the keys {ACCESS_KEY} and {SECRET_KEY} (and {SESSION_TOKEN} for temporary ones)"
