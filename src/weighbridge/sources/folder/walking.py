"""Find the files below a folder. Anything that is neither file nor folder is named and refused, unless it is excluded."""

import fnmatch
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from weighbridge.domain.names import named
from weighbridge.errors import PreconditionError

MAX_FILES = 100_000
"""More files mean that the path is a mistake (such as a home folder). The limit also bounds memory."""

_REMEDIES = {
    "source-link": "Put the files themselves there (`cp -rL`; `hf download --local-dir`), or leave these behind with `exclude:`.",
    "source-special": "Remove them, or leave them behind with `exclude:`.",
    "source-unreadable": "Give this user the right to read them, or leave them behind with `exclude:`.",
}


@dataclass(frozen=True, slots=True)
class Found:
    """One file, and its status when it was found."""

    path: str
    """Relative to the folder."""
    status: os.stat_result


@dataclass(slots=True)
class Walk:
    """One look at a folder. ``where``: the folder in words."""

    root: Path
    """With all links resolved."""
    exclude: Sequence[str]
    where: str
    excluded: list[str] = field(default_factory=list, init=False)
    """The excluded files, without those in folders that are excluded as a whole."""
    _wrong: dict[str, list[str]] = field(default_factory=dict, init=False)

    def files(self) -> list[Found]:
        """Return every file that is not excluded. Raise ``PreconditionError`` that names what cannot be a file of a set."""
        found = []
        for one in self._found():
            found.append(one)
            if len(found) > MAX_FILES:
                raise PreconditionError(
                    f"{self.where} holds more than {MAX_FILES} files",
                    remedy="A model is one folder: is the path too short?",
                    code="source-too-many",
                )
        for code, words in self._wrong.items():
            raise PreconditionError(
                f"{self.where} holds what cannot be a file of a weight set: {named(sorted(words))}",
                remedy=_REMEDIES[code],
                code=code,
            )
        return found

    def _found(self) -> Iterator[Found]:
        """Yield files in no particular order. Links to folders are not followed, so this ends."""
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            for entry in self._entries(folder):
                path = f"{folder}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    if not self._all_excluded(f"{path}/"):
                        waiting.append(f"{path}/")
                elif any(fnmatch.fnmatchcase(path, pattern) for pattern in self.exclude):
                    self.excluded.append(path)
                elif (status := self._judged(path)) is not None:
                    yield Found(path, status)

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self.root / folder) as rows:
                return list(rows)
        except OSError as error:
            self._refuse(
                "source-unreadable", folder or "the folder itself", error.strerror or "cannot be read"
            )
            return []

    def _all_excluded(self, folder: str) -> bool:
        """Return whether one pattern excludes everything below: then the folder need not be read (``lost+found/*``)."""
        return any(pattern.endswith("*") and fnmatch.fnmatchcase(folder, pattern) for pattern in self.exclude)

    def _judged(self, path: str) -> os.stat_result | None:
        """Return the status of the path's target, if it is a readable file of this folder."""
        place = self.root / path
        try:
            status = place.stat()
            if place.is_symlink() and not self._stays(place):
                self._refuse("source-link", path, "leads out of the folder")
            elif stat.S_ISDIR(status.st_mode):
                self._refuse("source-link", path, "is a link to a folder")
            elif not stat.S_ISREG(status.st_mode):
                self._refuse("source-special", path, _kind(status.st_mode))
            elif not os.access(place, os.R_OK):
                self._refuse("source-unreadable", path, "may not be read")
            else:
                return status
        except FileNotFoundError:
            self._refuse("source-link", path, "leads nowhere")
        except OSError as error:
            self._refuse("source-unreadable", path, error.strerror or "cannot be looked at")
        return None

    def _stays(self, link: Path) -> bool:
        return link.resolve().is_relative_to(self.root)

    def _refuse(self, code: str, path: str, why: str) -> None:
        self._wrong.setdefault(code, []).append(
            f"{path!a} {why}" if not path.isprintable() else f"{path} {why}"
        )


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFIFO: "is a pipe",
        stat.S_IFSOCK: "is a socket",
        stat.S_IFCHR: "is a device",
        stat.S_IFBLK: "is a device",
    }
    return kinds.get(stat.S_IFMT(mode), "is no file")
