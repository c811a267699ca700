"""The volume as a tree. Only plain files and directories are read and written.

Every path is opened one component at a time with ``O_NOFOLLOW``, so a symbolic link anywhere below the root is
refused, not followed: others who can write to a shared volume cannot lead the mover elsewhere.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Callable

from .errors import FailedError, MoverError, RefusedError
from .paths import OURS

DEEPEST = 200
"""Levels of directories below a listed one. A set has fewer, and an attacker's tree must not exhaust us."""
_OF_ONE_MODEL = 2
"""Slashes in the name of a directory of ours that serves one model (``.weighbridge/staging/MODEL``). Those above serve all."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Entry:
    """An item below a directory: anything but a directory, or an empty directory."""

    path: str
    kind: str
    """``file``, ``directory`` (empty) or ``other`` (symbolic link, device, socket …)."""
    size: int


class Volume:
    """A mounted volume. Paths are relative to its root, ``/``-separated and already checked. ``note`` gets reports of
    what had to be removed. An ``OSError`` names the whole path.
    """

    def __init__(self, root: str, note: Callable[[str], None] = lambda _: None) -> None:
        self.root = root
        self._note = note

    @contextlib.contextmanager
    def directory(self, path: str, *, create: bool = False) -> Iterator[int]:
        """Yield a descriptor of the directory ``path`` (``""`` is the root). With ``create``, create missing directories."""
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for place in _downwards(path):
                with _naming(place):
                    below = _enter(_split(place)[1], descriptor, create=create)
                os.close(descriptor)
                descriptor = below
            yield descriptor
        finally:
            os.close(descriptor)

    def open(self, path: str, flags: int, *, create_directories: bool = False) -> int:
        """Return a descriptor of the plain file ``path``. Refuse anything else with that name."""
        parent, name = _split(path)
        with self.directory(parent, create=create_directories) as above, _naming(path):
            descriptor = os.open(
                name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o664, dir_fd=above
            )
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise RefusedError(
                "volume-strange-file", f"{path} on the volume is not a plain file", files=[path]
            )
        return descriptor

    def open_sole(self, path: str) -> int:
        """Return a descriptor for reading and writing the plain file ``path``; create it if it is missing. First
        remove anything else with that name, also a file with a second name: through it we would write into a file of
        others.
        """
        found = self.lstat(path)
        if found is not None and not (stat.S_ISREG(found.st_mode) and found.st_nlink <= 1):
            self.remove_tree(path)
        flags = os.O_RDWR | os.O_CREAT
        try:
            descriptor = self.open(path, flags, create_directories=True)
        except PermissionError:
            if found is None:
                raise
            self.remove_tree(path)  # another user's file
            descriptor = self.open(path, flags, create_directories=True)
        if os.fstat(descriptor).st_nlink > 1:
            os.close(descriptor)
            raise RefusedError(
                "volume-strange-file", f"{path} on the volume was given a second name meanwhile", files=[path]
            )
        return descriptor

    def lstat(self, path: str) -> os.stat_result | None:
        """Return the status of ``path`` itself, or ``None``."""
        parent, name = _split(path)
        try:
            with self.directory(parent) as above:
                return os.stat(name, dir_fd=above, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def is_directory(self, path: str) -> bool:
        """Return whether ``path`` is a real directory. Refuse a link or a file in its place or above it."""
        try:
            with self.directory(path):
                return True
        except FileNotFoundError:
            return False
        except OSError as error:
            raise (self.explain(error) if strange(error) else error) from error

    def make_way(self, path: str, clear: set[str] | None = None) -> None:
        """Remove anything but a directory at ``path`` or above it: a link itself, never its target. Put aside
        directories of one model that we may not write to. Only for our own places, where nobody else keeps anything.
        ``clear``: directories that were checked; new ones are added.
        """
        clear = set() if clear is None else clear
        for place in _downwards(path):
            if place in clear:
                continue
            found = self.lstat(place)
            if found is not None and not stat.S_ISDIR(found.st_mode):
                self.remove(place)
                self._note(f"removed from the volume: {place}, which was no directory")
            elif found is not None and place.count("/") >= _OF_ONE_MODEL and not self._admits(place):
                self.put_aside(place)
            clear.add(place)

    def writable(self, path: str) -> bool:
        """Return whether this process may change the content of the directory ``path`` and of all directories below it."""
        try:
            entries = [(f"{path}/{entry.path}", entry.kind) for entry in self.tree(path)]
        except PermissionError:
            return False
        below = {place if kind == "directory" else _split(place)[0] for place, kind in entries}
        return all(self._admits(place) for place in {path, *below})

    def _admits(self, path: str) -> bool:
        parent, name = _split(path)
        with self.directory(parent) as above:
            return os.access(name, os.W_OK | os.X_OK, dir_fd=above)

    def put_aside(self, path: str) -> None:
        """Rename it within the same directory: the system lets us move no directory that we may not write to."""
        aside = next(
            name for name in map(f"{path}.not-ours-{{}}".format, itertools.count(1)) if not self.lstat(name)
        )
        parent, name = _split(path)
        with self.directory(parent) as above, _naming(path):
            os.rename(name, _split(aside)[1], src_dir_fd=above, dst_dir_fd=above)
            os.fsync(above)
        self._note(f"put aside on the volume, since it is another user's: {path} is {aside} now")

    def tree(self, path: str) -> list[Entry]:
        """Return every file, special file and empty directory below ``path``, by relative path, sorted."""
        found: list[Entry] = []
        try:
            with self.directory(path) as descriptor:
                self._collect(descriptor, "", found)
        except FileNotFoundError:
            return []
        return sorted(found, key=lambda entry: entry.path)

    def _collect(self, descriptor: int, prefix: str, found: list[Entry]) -> None:
        with os.scandir(descriptor) as entries:
            names = sorted(entry.name for entry in entries)
        for name in names:
            try:
                status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            except FileNotFoundError:  # removed meanwhile
                continue
            if stat.S_ISDIR(status.st_mode):
                if prefix.count("/") >= DEEPEST:
                    raise RefusedError(
                        "volume-strange-file",
                        f"directories on the volume are nested more than {DEEPEST} deep, below {prefix[:100]}…",
                        remedy="remove them from the volume: no weight set holds such",
                    )
                below = os.open(name, _DIRECTORY, dir_fd=descriptor)
                before = len(found)
                try:
                    self._collect(below, f"{prefix}{name}/", found)
                finally:
                    os.close(below)
                if len(found) == before:
                    found.append(Entry(prefix + name, "directory", 0))
            else:
                found.append(
                    Entry(prefix + name, "file" if stat.S_ISREG(status.st_mode) else "other", status.st_size)
                )

    def read(self, path: str, limit: int) -> bytes | None:
        """Return the whole content of a plain file of at most ``limit`` bytes, else ``None``."""
        try:
            descriptor = self.open(path, os.O_RDONLY)
        except (FileNotFoundError, NotADirectoryError, RefusedError):
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:
                return None
            raise
        if os.fstat(descriptor).st_size > limit:
            os.close(descriptor)
            return None
        with os.fdopen(descriptor, "rb") as stream:
            content = stream.read(limit + 1)
        return content if len(content) <= limit else None

    def write_atomically(self, path: str, content: bytes) -> None:
        """Make ``path`` hold ``content``. After a crash at any moment it holds either the old or the new bytes."""
        fresh = path + ".new"
        self.remove_tree(fresh)
        with os.fdopen(
            self.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, create_directories=True), "wb"
        ) as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        self.rename(fresh, path)

    def rename(self, old: str, new: str) -> None:
        """Rename, replace anything at ``new``, and fsync both directories."""
        there_now = self.lstat(new)
        if there_now is not None and stat.S_ISDIR(there_now.st_mode):
            self.remove_tree(new)
        old_parent, old_name = _split(old)
        new_parent, new_name = _split(new)
        with (
            self.directory(old_parent) as here,
            self.directory(new_parent, create=True) as there,
            _naming(new),
        ):
            os.rename(old_name, new_name, src_dir_fd=here, dst_dir_fd=there)
            os.fsync(there)
            os.fsync(here)

    def remove(self, path: str) -> None:
        """Remove a file, link or empty directory. Do nothing if it is missing."""
        parent, name = _split(path)
        with contextlib.suppress(FileNotFoundError), self.directory(parent) as above, _naming(path):
            if stat.S_ISDIR(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode):
                os.rmdir(name, dir_fd=above)
            else:
                os.unlink(name, dir_fd=above)

    def remove_tree(self, path: str) -> None:
        """Remove ``path`` and everything below it; do nothing if it does not exist. Put aside what another user's
        rights prevent from being removed. Raise ``PermissionError`` if that is not allowed either.
        """
        try:
            self._remove_tree(path)
        except PermissionError:
            self.put_aside(path)

    def _remove_tree(self, path: str) -> None:
        found = self.lstat(path)
        while found is not None and stat.S_ISDIR(found.st_mode):
            entries = self.tree(path)
            for entry in entries:
                self.remove(f"{path}/{entry.path}")
            if not entries:
                break
        self.remove(path)

    def prune_upwards(self, path: str, stop: str) -> None:
        """Remove the directory ``path`` and its parents below ``stop``, as long as they are empty."""
        while path.startswith(stop + "/"):
            try:
                self.remove(path)
            except OSError as error:
                if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
                    return
                raise
            path = _split(path)[0]

    def sync_tree(self, path: str) -> None:
        """Fsync ``path`` and every file and directory below it, so that all survives a power cut."""
        with self.directory(path) as descriptor:
            self._sync(descriptor)

    def _sync(self, descriptor: int) -> None:
        with os.scandir(descriptor) as entries:
            names = sorted(entry.name for entry in entries)
        for name in names:
            status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            directory = stat.S_ISDIR(status.st_mode)
            flags = _DIRECTORY if directory else os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            below = os.open(name, flags, dir_fd=descriptor)
            try:
                if directory:
                    self._sync(below)
                else:
                    os.fsync(below)
            finally:
                os.close(below)
        os.fsync(descriptor)

    def free_bytes(self) -> int:
        """Return the bytes that a process without privileges can still write."""
        status = os.statvfs(self.root)
        return status.f_bavail * status.f_frsize

    def explain(self, error: OSError) -> MoverError:
        """Turn an operating system's error on the volume into a failure for people. Only this method does so."""
        detail = f"{error.strerror or error}{f' ({error.filename!r})' if error.filename else ''}"
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return self.full(f"the volume is full: {detail}", error)
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            return RefusedError("volume-not-writable", f"{detail}; {self._identity()}", remedy=_WRITABLE)
        if error.errno in {errno.ELOOP, errno.ENOTDIR}:
            ours = str(error.filename).startswith(f"{OURS}/") or error.filename == OURS
            return RefusedError(
                "volume-strange-file",
                f"a symbolic link or a file stands on the volume where a directory or a file belongs: {detail}",
                remedy=_PLANTED if ours else _SOMEBODYS,
                files=[error.filename] if error.filename else [],
            )
        transient = error.errno in {
            errno.ESTALE,
            errno.ETIMEDOUT,
            errno.EINTR,
            errno.ENOTCONN,
            errno.EHOSTDOWN,
            errno.EAGAIN,
        }
        return FailedError(
            "volume-io",
            f"the volume failed: {detail}",
            remedy="look at the storage behind the claim, then run again",
            transient=transient,
        )

    def full(self, message: str, error: OSError, *, needed: int | None = None) -> MoverError:
        """Return what ran out: bytes (``needed`` are still to be written), inodes, or a quota of either."""
        try:
            status = os.statvfs(self.root)
        except OSError:
            return volume_full(message, needed=needed, free=None)
        free = status.f_bavail * status.f_frsize
        if error.errno == errno.EDQUOT:
            return RefusedError(
                "volume-full",
                f"{message}: a quota is used up, though the file system has {free} bytes and {status.f_favail} inodes free",
                remedy="have the quota of this user, group or project raised, then run again (it resumes)",
            )
        if status.f_files and not status.f_favail:
            return RefusedError(
                "volume-full",
                f"{message}: all {status.f_files} inodes are in use, so that no further file fits ({free} bytes are free)",
                remedy="use a volume with more inodes (a larger one, for most file systems), or remove old weight sets, then "
                "run again (it resumes)",
            )
        return volume_full(message, needed=needed, free=free)

    def _identity(self) -> str:
        try:
            status = os.stat(self.root)  # noqa: PTH116 - descriptors and plain paths all over this module
        except OSError as error:
            return f"{self.root} cannot even be looked at: {error.strerror}"
        groups = ",".join(map(str, sorted({os.getgid(), *os.getgroups()})))
        return (
            f"this process is uid {os.getuid()} with groups {groups}; the volume's root belongs to "
            f"{status.st_uid}:{status.st_gid} with mode {stat.S_IMODE(status.st_mode):04o}"
        )


_WRITABLE = (
    "give the pod's fsGroup or a supplemental group write access to the volume: a CSI driver with fsGroupPolicy File does it itself; "
    "for NFS export with that gid and mode 2775; IBM Cloud file storage takes uid and gid as parameters of its StorageClass"
)
_PLANTED = "find out who else writes to this volume, then run again: what is no directory in a place of ours is removed first"
_SOMEBODYS = (
    "find out whose it is, remove or rename it on the volume, then run again; the mover never follows links"
)


def strange(error: Exception) -> bool:
    """Return whether something else than our file or directory is at the path or above it."""
    if isinstance(error, OSError):
        return error.errno in {errno.ELOOP, errno.ENOTDIR}
    return isinstance(error, RefusedError) and error.code == "volume-strange-file"


def volume_full(message: str, *, needed: int | None, free: int | None) -> RefusedError:
    """Return the error for a full volume. ``needed`` and ``free`` in bytes, if known."""
    if needed is not None and free is not None:
        message = (
            f"{message}: {needed} bytes still to be written, {free} free, {max(0, needed - free)} missing"
        )
    elif free is not None:
        message = f"{message}; {free} bytes are free"
    return RefusedError(
        "volume-full",
        message,
        remedy="enlarge the claim or remove old weight sets, then run again (it resumes)",
    )


@contextlib.contextmanager
def _naming(path: str) -> Iterator[None]:
    """Put the whole path into the error: the system names only its last part."""
    try:
        yield
    except OSError as error:
        error.filename = path
        raise


def _enter(name: str, above: int, *, create: bool) -> int:
    try:
        return os.open(name, _DIRECTORY, dir_fd=above)
    except FileNotFoundError:
        if not create:
            raise
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o775, dir_fd=above)
    os.fsync(above)
    return os.open(name, _DIRECTORY, dir_fd=above)


def _downwards(path: str) -> list[str]:
    """Return every directory above ``path``, and ``path``."""
    return list(itertools.accumulate(path.split("/"), "{}/{}".format)) if path else []


def _split(path: str) -> tuple[str, str]:
    parent, _, name = path.rpartition("/")
    return parent, name
