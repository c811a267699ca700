"""JSON that tells the mover what to do, read strictly: every key must be read, with its type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import RefusedError


class OrderError(RefusedError):
    """The order is malformed, or asks for something that the mover refuses (exit 3)."""

    def __init__(self, where: str, problem: str, *, remedy: str | None = None) -> None:
        super().__init__("order-refused", f"order: {where} {problem}", remedy=remedy)


@dataclass(frozen=True)
class OrderFile:
    """One file as the plan saw it at the source. ``sha256`` is known only if a lock, the source or a sender attests it."""

    path: str
    size: int
    etag: str
    sha256: str | None = None


_REQUIRED: Any = object()


class Document:
    """A JSON object. Every key must be read, with its type."""

    def __init__(self, document: object, where: str) -> None:
        if not isinstance(document, Mapping):
            raise OrderError(where, "is not an object")
        self._rest = dict(document)
        self._where = "" if where == "the document" else where + "."

    def take(self, key: str, default: Any = _REQUIRED) -> Any:
        value = self._rest.pop(key, default)
        if value is _REQUIRED:
            raise OrderError(self._where + key, "is missing")
        return value

    def text(self, key: str, default: Any = _REQUIRED) -> str:
        value = self.take(key, default)
        if value is None and default is not _REQUIRED:
            return str(default)
        if not isinstance(value, str) or any(ord(character) < ord(" ") for character in value):
            raise OrderError(self._where + key, "is not plain text")
        return value

    def natural(self, key: str, default: Any = _REQUIRED) -> int:
        value = self.take(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
            raise OrderError(self._where + key, "is not a natural number")
        return value

    def seconds(self, key: str, default: float) -> float:
        value = self.take(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e9:  # noqa: PLR2004 - ~30 years
            raise OrderError(self._where + key, "is not a positive number of seconds")
        return float(value)

    def finish(self) -> None:
        if self._rest:
            raise OrderError(self._where + min(map(str, self._rest)), "is not a known key")
