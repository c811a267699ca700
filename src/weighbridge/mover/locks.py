"""One mover at a time works on one set: an advisory lock that ends with its holder."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from types import TracebackType

from .control import Control
from .errors import FailedError
from .volume import Volume

_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF}


class SetLock:
    """``flock`` on an empty file of its own. The file stays: removing it would race with movers that wait for it."""

    def __init__(self, volume: Volume, path: str) -> None:
        self._volume = volume
        self._path = path
        self._descriptor: int | None = None

    def __enter__(self) -> SetLock:  # noqa: PYI034 - typing.Self is of Python 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def try_acquire(self, *, shared: bool = False) -> bool | None:
        """Return ``True`` if the lock is ours, ``False`` if another mover has it, ``None`` if this file system has no locks."""
        if self._descriptor is None:
            self._volume.make_way(self._path.rpartition("/")[0])
            self._descriptor = self._volume.open_sole(self._path)
        try:
            fcntl.flock(self._descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
                return False
            if error.errno in _UNSUPPORTED:
                return None
            raise
        return True

    def acquire(self, control: Control, wait_seconds: float, *, shared: bool = False) -> bool:
        """Wait for the lock. Return ``False`` if the file system has none. Raise ``FailedError`` (transient) if it is
        not freed.
        """
        give_up = time.monotonic() + wait_seconds
        while True:
            control.check()
            taken = self.try_acquire(shared=shared)
            if taken is not False:
                return bool(taken)
            if time.monotonic() > give_up:
                raise FailedError(
                    "busy",
                    f"another mover has been working on this set for more than {wait_seconds:g} s",
                    remedy="wait until it is done, or end it; its lock goes with it",
                    transient=True,
                )
            control.sleep(0.25)
