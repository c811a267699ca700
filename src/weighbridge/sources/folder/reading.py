"""What a folder holds now, and its bytes.

A file's identity is the SHA-256 of its content, ``file:<64 hex digits>``. Times and inodes belong to one machine:
with them, the same weights on a mounted share seen from another machine, or in a fresh checkout of a pipeline, would
be a new set, and every byte would move again. So the first look reads everything, at the speed of the disk (a few
minutes for 300 GB), and remembers the digests with what shows that a file changed (``digests.py``). Later looks read
nothing. If the memory is lost, all is read once more.

What is sent is copied, never linked, because the file may be changed while it waits in the spool. The copy is hashed
during the copying, and its digest must be the planned one.
"""

import difflib
import hashlib
import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from weighbridge.domain import human
from weighbridge.domain.listing import check_required, to_listing
from weighbridge.domain.names import named
from weighbridge.domain.weights import SourceFile, SourceListing
from weighbridge.errors import PreconditionError, StepFailedError, VerificationError
from weighbridge.sources.folder.digests import Digests, identity, now
from weighbridge.sources.folder.settings import FolderSource
from weighbridge.sources.folder.walking import Found, Walk
from weighbridge.sources.interface import Advance, Around

PREFIX = "file:"
"""Prefix of a file's identity."""

CHUNK_BYTES = 1024 * 1024
SAID_FROM_BYTES = 1024**3
"""Report progress only if at least this much has to be read."""
SAID_EVERY_SECONDS = 10.0
KEPT_EVERY_BYTES = 1024**3
"""At most this much is read again after an interrupted look."""

_AGAIN = "Somebody writes to the folder; run the same command again when it is quiet."


def open_folder(settings: FolderSource, around: Around) -> "FolderPlace":
    """Raise ``PreconditionError`` if there is no such folder."""
    written = around.folder / settings.path
    try:
        written = around.folder / Path(settings.path).expanduser()
        root = written.resolve(strict=True)
        is_folder = root.is_dir()
    except (OSError, RuntimeError) as error:  # RuntimeError: no such user, or links in a circle
        raise _no_folder(written) from error
    if not is_folder:
        raise PreconditionError(
            f"{written} is a file; a folder with the model's files is due",
            remedy="Write `path:` of the folder that holds config.json.",
            code="source-no-folder",
        )
    return FolderPlace(root, around)


class FolderPlace:
    """Implement ``sources.interface.OpenSource``: every file below one folder."""

    def __init__(self, root: Path, around: Around) -> None:
        self._root = root
        self._around = around

    @property
    def where(self) -> str:
        return f"folder {self._root}"

    def list(self, exclude: Sequence[str] = ()) -> SourceListing:
        """Return each file with its digest. Report first what can be judged without reading the files."""
        walk = Walk(self._root, exclude, self.where)
        found = {one.path: one for one in walk.files()}
        rows = [SourceFile(one.path, one.status.st_size, PREFIX) for one in found.values()]
        left = [SourceFile(path, 0, PREFIX) for path in walk.excluded]
        bare = to_listing([*rows, *left], exclude, self.where)
        if not bare.files:
            raise PreconditionError(
                f"{self.where} holds no file",
                remedy="Put the model there, or correct `path`.",
                code="source-empty",
            )
        check_required(bare, self.where)
        digests = self._digests([found[file.path] for file in bare.files])
        return SourceListing(
            tuple(
                SourceFile(file.path, file.size, f"{PREFIX}{digests[file.path]}", sha256=digests[file.path])
                for file in bare.files
            )
        )

    def read(self, file: SourceFile, start: int, stop: int) -> bytes:
        with self._opened(file.path) as stream:
            if os.fstat(stream.fileno()).st_size != file.size:
                raise self._moved(file.path)
            stream.seek(start)
            content = b"".join(self._chunks(stream, file.path, stop - start))
        if len(content) != stop - start:
            raise self._moved(file.path)
        return content

    def download(self, file: SourceFile, into: Path, *, deadline: float, advance: Advance) -> str:
        """Copy the file, always from the beginning: checking an earlier part would cost as much."""
        wanted = file.etag.removeprefix(PREFIX)
        sha256, copied = hashlib.sha256(), 0
        with self._opened(file.path) as stream, _writing(into) as copy:
            for chunk in self._chunks(stream, file.path):
                with _disk(into):
                    copy.write(chunk)
                sha256.update(chunk)
                copied += len(chunk)
                advance(len(chunk), resumed=False)
                if copied > file.size:
                    break
                if time.monotonic() > deadline:
                    raise _too_late(file, self.where, copied)
        found = sha256.hexdigest()
        if (copied, found) != (file.size, wanted):
            raise VerificationError(
                f"{file.path} of {self.where} is not what was planned: its SHA-256 is {found[:12]}…, planned was {wanted[:12]}…",
                remedy="It was changed since; plan again: the new content is a new set.",
                code="source-changed",
            )
        return found

    def close(self) -> None:
        """Do nothing: no file stays open between two reads."""

    def _digests(self, files: Sequence[Found]) -> dict[str, str]:
        """Return the digests by path. Read the files whose digest is not known."""
        memory = Digests(self._around.cache, self._root)
        known = {one.path: memory.known(one.path, one.status) for one in files}
        unread = [one for one in files if known[one.path] is None]
        progress = _Progress(self._around, self.where, sum(one.status.st_size for one in unread))
        found = {path: digest for path, digest in known.items() if digest is not None}
        kept = 0
        try:
            for one in unread:
                began = now()
                found[one.path] = self._digest(one, progress)
                memory.remember(one.path, one.status, found[one.path], began)
                kept += one.status.st_size
                if kept >= KEPT_EVERY_BYTES:
                    memory.keep()
                    kept = 0
        finally:
            if unread:
                memory.keep()
        return found

    def _digest(self, one: Found, progress: "_Progress") -> str:
        sha256 = hashlib.sha256()
        with self._opened(one.path) as stream:
            for chunk in self._chunks(stream, one.path, one.status.st_size):  # it may grow without end
                sha256.update(chunk)
                progress.advance(len(chunk))
            if identity(os.fstat(stream.fileno())) != identity(one.status):
                raise self._moved(one.path)
        return sha256.hexdigest()

    def _opened(self, path: str) -> IO[bytes]:
        """Open the file as it is now. Refuse a path that now leads out of the folder."""
        place = self._root / path
        with self._way(path):
            if not place.resolve(strict=True).is_relative_to(self._root):
                raise self._moved(path)
            # If a pipe or a device has replaced the file, opening must not block.
            stream = os.fdopen(os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", 0)
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            stream.close()
            raise self._moved(path)
        return stream

    def _chunks(self, stream: IO[bytes], path: str, count: int | None = None) -> Iterator[bytes]:
        """Yield the rest of the file, or its next ``count`` bytes."""
        left = count
        while left is None or left > 0:
            with self._way(path):
                chunk = stream.read(CHUNK_BYTES if left is None else min(CHUNK_BYTES, left))
            if not chunk:
                return
            left = None if left is None else left - len(chunk)
            yield chunk

    @contextmanager
    def _way(self, path: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise self._moved(path) from error
        except OSError as error:
            raise StepFailedError(
                f"{path} of {self.where} cannot be read: {error.strerror or error}",
                remedy="Is the disk sound, is the share mounted, and may this user read the file?",
                code="source-unreadable",
            ) from error

    def _moved(self, path: str) -> PreconditionError:
        return PreconditionError(
            f"{path} of {self.where} changes while it is looked at", remedy=_AGAIN, code="source-changing"
        )


class _Progress:
    """Report how far reading has come, if it takes long."""

    def __init__(self, around: Around, where: str, total: int) -> None:
        self._around, self._where, self._total = around, where, total
        self._read = 0
        self._said = time.monotonic()
        if total >= SAID_FROM_BYTES:
            around.say(f"reading {human.size(total)} of {where}, to know the files by their content")

    def advance(self, count: int) -> None:
        self._read += count
        if self._total >= SAID_FROM_BYTES and time.monotonic() - self._said >= SAID_EVERY_SECONDS:
            self._said = time.monotonic()
            self._around.say(f"read {human.size(self._read)} of {human.size(self._total)} of {self._where}")


def _no_folder(path: Path) -> PreconditionError:
    """Return the error with the nearest existing folders: most causes are typing mistakes, or a share that is not mounted."""
    try:
        beside = sorted(one.name for one in path.parent.iterdir() if one.is_dir())
    except OSError:
        beside = []
    near = difflib.get_close_matches(path.name, beside, n=3, cutoff=0.6)
    hint = f"There is {named(near)} beside it: is that what you mean?" if near else "Is a share not mounted?"
    return PreconditionError(
        f"there is no folder {path}",
        remedy=f"Correct `path`; relative paths start at the environment file. {hint}",
        code="source-no-folder",
    )


def _too_late(file: SourceFile, where: str, have: int) -> StepFailedError:
    return StepFailedError(
        f"the deadline passed while {file.path} of {where} was copied, at byte {have} of {file.size}",
        remedy="Run the same command again. A slow disk needs a longer deadline.",
        code="deadline",
        transient=True,
    )


@contextmanager
def _writing(into: Path) -> Iterator[IO[bytes]]:
    with _disk(into):
        into.parent.mkdir(parents=True, exist_ok=True)
        stream = into.open("wb")
    try:
        yield stream
    finally:
        with _disk(into):
            stream.close()


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
