"""Download one object of S3 into one local file: hashed during the download, continued where it stopped.

The file only grows at its end, so its length says how much of it is there. After a restart, this part is read once to
continue the hash. ``If-Match`` demands the content that was listed: a replaced object is refused, never mixed with
the old one.
"""

import hashlib
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from weighbridge.domain.weights import SourceFile
from weighbridge.errors import PreconditionError, StepFailedError
from weighbridge.s3 import failures
from weighbridge.s3.client import S3Client
from weighbridge.s3.pinned import get_pinned
from weighbridge.s3.target import S3Target

CHUNK_BYTES = 1024 * 1024
FRUITLESS_TRIES = 8
"""Tries in a row without a new byte before giving up: about a minute of refused connections."""

LONGEST_PAUSE_SECONDS = 20.0


class Advance(Protocol):
    """Called with the bytes gained: over the network, or ``resumed`` from an earlier try. May raise to stop the download."""

    def __call__(self, gained: int, *, resumed: bool) -> None: ...


def download(  # noqa: PLR0913 - one call needs all of it
    client: S3Client,
    target: S3Target,
    file: SourceFile,
    into: Path,
    *,
    deadline: float,
    advance: Advance,
) -> str:
    """Complete ``into`` to the whole of ``file`` and return its sha256 as 64 hex digits.

    ``deadline`` is a ``time.monotonic`` value. Raise ``PreconditionError`` if the source refuses or has changed, and
    ``StepFailedError`` if the connection kept failing (``transient``) or the disk is full.
    """
    fruitless = 0
    with _Part(into, file.size) as part:
        part.recall(advance)
        while part.have < file.size:
            before = part.have
            try:
                _stream(client, target, file, part, deadline, advance)
            except failures.foreign_errors() as error:
                fruitless = 0 if part.have > before else fruitless + 1
                if not failures.is_transient(error) or fruitless == FRUITLESS_TRIES:
                    raise failures.translate(error, target, "read") from error
                if failures.is_damage(error):
                    advance(-part.restart(), resumed=True)
                pause = min(LONGEST_PAUSE_SECONDS, 0.25 * 2**fruitless) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries
                if time.monotonic() + pause > deadline:
                    raise _too_late(target, file, part.have) from error
                time.sleep(pause)
        return part.sha.hexdigest()


class _Part:
    """The growing file and the hash of its content."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size
        self.sha = hashlib.sha256()
        self.have = 0

    def __enter__(self) -> Self:
        with _disk(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = self._path.open("a+b")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _disk(self._path):
            self._handle.close()

    def recall(self, advance: Advance) -> None:
        """Hash what an earlier try left. Drop it if it is longer than the file can be."""
        with _disk(self._path):
            left = self._path.stat().st_size
            if left > self._size:
                self._handle.truncate(0)
                left = 0
            self._handle.seek(0)
            while self.have < left and (chunk := self._handle.read(min(CHUNK_BYTES, left - self.have))):
                self.sha.update(chunk)
                self.have += len(chunk)
                advance(len(chunk), resumed=True)

    def append(self, chunk: bytes) -> None:
        with _disk(self._path):
            self._handle.write(chunk)
        self.sha.update(chunk)
        self.have += len(chunk)

    def restart(self) -> int:
        """Drop the whole content and return how many bytes it had."""
        dropped = self.have
        with _disk(self._path):
            self._handle.truncate(0)
        self.sha, self.have = hashlib.sha256(), 0
        return dropped


def _stream(  # noqa: PLR0913, PLR0917 - the loop's body, under a name
    client: S3Client, target: S3Target, file: SourceFile, part: _Part, deadline: float, advance: Advance
) -> None:
    """Send one request, for everything after the bytes that are there."""
    answer = get_pinned(client, target, file, **({"Range": f"bytes={part.have}-"} if part.have else {}))
    body = answer["Body"]
    try:
        if part.have and not str(answer.get("ContentRange", "")).startswith(f"bytes {part.have}-"):
            advance(-part.restart(), resumed=True)  # a server without ranges sends the whole object
        if answer["ContentLength"] != file.size - part.have:
            raise PreconditionError(
                f"{file.path} of {target.where} is {part.have + answer['ContentLength']} bytes, listed were {file.size}",
                remedy="Somebody changes the source; plan again when it is quiet.",
                code="s3-source-changed",
            )
        while chunk := body.read(CHUNK_BYTES):
            part.append(chunk)
            advance(len(chunk), resumed=False)
            if time.monotonic() > deadline:
                raise _too_late(target, file, part.have)
    finally:
        body.close()


def _too_late(target: S3Target, file: SourceFile, have: int) -> StepFailedError:
    return StepFailedError(
        f"the deadline passed while {file.path} of {target.where} was read, at byte {have} of {file.size}",
        remedy="Run the same command again: it goes on from there. A slow source needs a longer deadline.",
        code="deadline",
        transient=True,
    )


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StepFailedError(
            f"cannot keep {path}: {error.strerror}",
            remedy="Free space there, or name another folder for the spool.",
            code="spool-disk",
        ) from error
