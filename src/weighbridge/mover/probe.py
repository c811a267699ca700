"""Check the image, the volume and the connection to the source, from where the movers work. Move nothing."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import sys
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from .endpoint import Endpoint, Finding, failed, look, passed
from .order import parse_source


def look_at_volume(root: Path) -> Finding:
    """Check whether this user can create and delete a file at the volume's root, where the mover works."""
    groups = ",".join(map(str, sorted({os.getgid(), *os.getgroups()})))
    who = f"user {os.getuid()}, groups {groups}"
    try:
        status = root.stat()
        who += f"; the root is {status.st_uid}:{status.st_gid} mode {status.st_mode & 0o7777:04o}"
        with _scratch(root / f".weighbridge-probe-{uuid.uuid4().hex}") as folder:
            (folder / "written").write_bytes(b"weighbridge")
            (folder / "written").rename(folder / "renamed")
        free = shutil.disk_usage(root).free
    except OSError as error:
        return failed("volume", "volume-unwritable", f"{error.strerror or error} ({who})")
    return passed("volume", f"writable for {who}; {free >> 20} MiB free", free=free)


@contextlib.contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """Yield a folder that is deleted afterwards with its content."""
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def look_at_image(*, rsync: bool) -> list[Finding]:
    """Return Python's version, and rsync's if the order needs rsync."""
    found = [passed("python", f"{platform.python_implementation()} {platform.python_version()}")]
    if rsync:
        place = shutil.which("rsync")
        found.append(
            passed("rsync", place) if place else failed("rsync", "rsync-missing", "the image has no rsync")
        )
    return found


def main(
    order_file: str, *, volume: str, credentials: str | None, ca_file: str | None, termination: str | None
) -> int:
    """Check all that the order names; write findings to the termination message. Return 0: findings are not failures."""
    order = json.loads(Path(order_file).read_text(encoding="utf-8"))
    found = look_at_image(rsync=bool(order.get("rsync")))
    if order.get("volume"):
        found.append(look_at_volume(Path(volume)))
    if order.get("source"):
        source = parse_source(order["source"])
        endpoint = Endpoint(source.endpoint, ca_file=ca_file, seconds=float(order.get("seconds", 10)))
        found += look(endpoint, partial(source.login, endpoint, credentials) if credentials else None)
    message = {"schema": 1, "outcome": "probed", "stages": found}
    text = json.dumps(message, separators=(",", ":"))
    sys.stdout.write(text + "\n")
    if termination:
        Path(termination).write_text(text, encoding="utf-8")
    return 0
