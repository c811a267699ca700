"""Files that a sender has put into staging (the push route), against what the sender says of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from .errors import FailedError, RefusedError, VerificationError
from .order import OrderFile
from .run import Run
from .survey import survey

_MAX_MANIFEST = 64 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


def pushed_rows(run: Run) -> dict[str, str]:
    """Path to SHA-256 as the sender's manifest says; empty where there is no manifest.

    Raises ``RefusedError`` for a manifest that is malformed or is of other files, sizes or ETags than the order's. It
    may still lack rows: the sender rewrites it after each file.
    """
    content = run.volume.read(run.layout.manifest, _MAX_MANIFEST)
    if content is None:
        return {}
    ordered = {file.path: file for file in run.order.files}
    rows: dict[str, str] = {}
    try:
        for item in json.loads(content.decode())["files"]:
            path, sha256 = _row(item, ordered)
            if path in rows:
                raise _refused(f"it names {path!r} twice")
            rows[path] = sha256
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _refused(f"it is malformed: {type(error).__name__}") from error
    return rows


def _row(item: Any, ordered: Mapping[str, OrderFile]) -> tuple[str, str]:
    path, sha256 = item["path"], item["sha256"]
    file = ordered.get(path)
    if file is None:
        raise _refused(f"it names {path!r}, which the order does not")
    if (item["size"], str(item["etag"]).strip('"')) != (file.size, file.etag):
        raise _refused(
            f"it has another size or ETag of {path!r} than the order: the source changed since the plan"
        )
    if not isinstance(sha256, str) or not _SHA256.match(sha256):
        raise _refused(f"it has no SHA-256 of {path!r}")
    if file.sha256 and file.sha256 != sha256:
        raise _refused(f"it has another SHA-256 of {path!r} than the order")
    return path, sha256


def _refused(why: str) -> RefusedError:
    return RefusedError(
        "push-refused",
        f"the manifest of the pushed files cannot be used: {why}",
        remedy="plan and apply again",
    )


def verify_pushed(
    run: Run, files: Sequence[OrderFile], rows: Mapping[str, str], attested: Mapping[str, str]
) -> dict[str, str]:
    """Read these files in staging and return path to SHA-256.

    Raises ``FailedError`` (transient) when files are not there yet, ``VerificationError`` when bytes are not those that
    were sent: such files are removed, since rsync would take one of the right size and time for sent.
    """
    volume, layout = run.volume, run.layout
    contradicted = [path for path in attested if path in rows and attested[path] != rows[path]]
    if contradicted:
        raise VerificationError(
            "content-differs",
            f"the sender's SHA-256 of {contradicted[0]} is not the one that is known of it",
            remedy="the source now serves other bytes under the same ETag: find out which ones are right",
            files=contradicted,
        )
    sizes = {file.path: file.size for file in files}
    found = survey(run, layout.staging, sizes, rows)
    there = {entry.path: entry for entry in volume.tree(layout.staging)}
    absent = sorted(
        path for path in sizes if path not in rows or path in found.missing or there[path].size < sizes[path]
    )
    if absent:
        raise FailedError(
            "push-incomplete",
            f"{len(absent)} of {len(sizes)} files have not been sent whole",
            remedy="run again: sending continues where it stopped",
            files=absent,
            transient=True,
        )
    if found.damaged:
        for path in found.damaged:
            volume.remove(f"{layout.staging}/{path}")
        raise VerificationError(
            "push-damaged",
            f"{len(found.damaged)} files on the volume are not what was sent",
            remedy="run again: they have been removed and are sent anew",
            files=found.damaged,
            transient=True,
        )
    return {path: found.digests[path] for path in sizes}
