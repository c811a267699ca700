"""The mover as a zipapp: the same sources always give the same bytes."""

import io
import zipfile
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

_ENTRY = b"import sys\n\nfrom mover.__main__ import main\n\nsys.exit(main())\n"
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a ZIP file can hold."""


@cache
def mover_archive() -> bytes:
    """Return ``mover.pyz``, to be run as ``python3 mover.pyz``. Its entries are sorted and have fixed times.

    Stored, not compressed: zlib's implementations give different bytes, and a ConfigMap holds 1 MiB.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, "__main__.py", _ENTRY)
        for name, content in sorted(_sources(files("weighbridge.mover"), "mover")):
            _add(archive, name, content)
    return b"#!/usr/bin/env python3\n" + buffer.getvalue()


def _sources(folder: Traversable, name: str) -> Iterator[tuple[str, bytes]]:
    """Yield name in the archive and content of every module, also of packages below."""
    for item in folder.iterdir():
        if item.is_dir() and item.name != "__pycache__":
            yield from _sources(item, f"{name}/{item.name}")
        elif item.name.endswith(".py"):
            yield f"{name}/{item.name}", item.read_bytes()


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.create_system = 3  # Unix, also if it is built on another system
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, content)
