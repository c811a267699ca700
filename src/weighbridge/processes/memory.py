"""Secrets for libraries that take nothing but a path: in memory, never on a disk."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from weighbridge.errors import PreconditionError


@contextmanager
def memory_file(name: str, text: str) -> Iterator[str]:
    """A path that this process can open and nobody else finds; gone with the block. ``PreconditionError`` where the system has
    no memory files (Linux alone has them).
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
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
