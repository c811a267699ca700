"""Files in memory, for libraries and programs that only accept a path: never on a disk."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from weighbridge.errors import PreconditionError


def in_memory(name: str, text: str) -> int:
    """Return a descriptor of a file that no other process finds. The caller closes it; children inherit it if they
    are told to. Raise ``PreconditionError`` if the system has no memory files (only Linux has them).
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
    """Return the path of a descriptor, for this process."""
    return f"/proc/self/fd/{descriptor}"


@contextmanager
def memory_file(name: str, text: str) -> Iterator[str]:
    """Yield the path of such a file, which ends with the block."""
    descriptor = in_memory(name, text)
    try:
        yield path_of(descriptor)
    finally:
        os.close(descriptor)
