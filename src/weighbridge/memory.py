"""Files in memory, for libraries and programs that take nothing but a path: never on a disk."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from weighbridge.errors import PreconditionError


def in_memory(name: str, text: str) -> int:
    """A descriptor of a file that nobody else finds, to be closed; children inherit it where they are told to. ``PreconditionError``
    where the system has no memory files (Linux alone has them).
    """
    if not hasattr(os, "memfd_create"):
        raise PreconditionError(
            f"this system has no files in memory, and {name} would have to be written to a disk",
            remedy="name files instead of data in the kubeconfig (client-certificate, client-key), or run it on Linux",
            code="no-memory-files",
        )
    descriptor = os.memfd_create(f"weighbridge-{name}", os.MFD_CLOEXEC)
    try:
        data = text.encode()
        while data:
            data = data[os.write(descriptor, data) :]
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def path_of(descriptor: int) -> str:
    """For this process."""
    return f"/proc/self/fd/{descriptor}"


@contextmanager
def memory_file(name: str, text: str) -> Iterator[str]:
    """The path of such a file, gone with the block."""
    descriptor = in_memory(name, text)
    try:
        yield path_of(descriptor)
    finally:
        os.close(descriptor)
