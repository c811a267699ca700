"""Decide what a push has to do. Without side effects.

Three records tell what is on the volume: the receipt of the published set, this machine's memory of what it sent, and
the sizes of the files in transfer. A row is written to the memory before its file is sent. So a file counts as sent
if its row matches the order and its size is complete. Others may write to the volume: its receipt is trusted only if
the cluster's record has the same digest, and its manifest is never read. ``publish`` reads every byte anyway and
compares it with what the sender reports.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from weighbridge.domain.digest import Json, canonical_json
from weighbridge.domain.weights import SourceFile
from weighbridge.mover.weightset import set_digest

BATCH_BYTES = 64 * 1024 * 1024
BATCH_FILES = 256
"""Limits of a batch of small files; a larger file is a batch of its own. Each batch is one run of rsync."""


@dataclass(frozen=True, slots=True)
class Row:
    """One file of a manifest or receipt on the volume."""

    path: str
    size: int
    sha256: str
    etag: str
    keep: bool = False
    """The file is in the published set, verified there, and is not sent."""


class Manner(StrEnum):
    """How a file is sent, depending on what lies in staging."""

    WHOLE = "whole"
    """Nothing is there: send the file as it is."""
    APPEND = "append"
    """A shorter file is there: send only the rest; checksums compare the beginning."""
    DELTA = "delta"
    """A file of full size with unknown or damaged content is there: send only blocks that differ."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Files that one run of rsync sends."""

    manner: Manner
    files: tuple[SourceFile, ...]
    present: int = 0
    """Bytes in staging that can be continued."""

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class PushPlan:
    """What is kept, what is there, and what is sent, in order."""

    rows: tuple[Row, ...]
    """Files that need no sending: kept in the published set, or complete in staging."""
    batches: tuple[Batch, ...]
    attested: Mapping[str, str]
    """Path to sha256, from the published set's receipt, for files with the order's size and ETag."""


def plan(
    files: Sequence[SourceFile],
    *,
    published: Mapping[str, Row],
    staged: Mapping[str, Row],
    staged_sizes: Mapping[str, int],
    damaged: Collection[str] = (),
) -> PushPlan:
    """Return what to send. ``damaged`` names files whose bytes on the volume are known to be wrong, in any folder."""
    rows: list[Row] = []
    small: list[SourceFile] = []
    alone: list[Batch] = []
    for file in sorted(files):
        size = staged_sizes.get(file.path)
        if file.path not in damaged:
            if size is None and (row := _same(published.get(file.path), file)):
                rows.append(Row(row.path, row.size, row.sha256, row.etag, keep=True))
                continue
            if size == file.size and (row := _same(staged.get(file.path), file)) and not row.keep:
                rows.append(row)
                continue
        if size is None and file.size <= BATCH_BYTES:
            small.append(file)
        elif size is None:
            alone.append(Batch(Manner.WHOLE, (file,)))
        elif 0 < size < file.size and file.path not in damaged:
            alone.append(Batch(Manner.APPEND, (file,), present=size))
        else:
            alone.append(Batch(Manner.DELTA, (file,)))
    known = {file.path: row.sha256 for file in files if (row := _same(published.get(file.path), file))}
    return PushPlan(rows=tuple(rows), batches=(*_packed(small), *alone), attested=known)


def _same(row: Row | None, file: SourceFile) -> Row | None:
    return row if row and (row.size, row.etag) == (file.size, file.etag) else None


def _packed(files: Sequence[SourceFile]) -> Iterator[Batch]:
    together: list[SourceFile] = []
    size = 0
    for file in files:
        if together and (size + file.size > BATCH_BYTES or len(together) == BATCH_FILES):
            yield Batch(Manner.WHOLE, tuple(together))
            together, size = [], 0
        together.append(file)
        size += file.size
    if together:
        yield Batch(Manner.WHOLE, tuple(together))


def read_rows(content: bytes | None) -> dict[str, Row]:
    """Return the rows of a manifest or receipt by path. Return none if it is absent or invalid; it is then written anew."""
    try:
        parsed = json.loads(content or b"{}")
        rows = [
            Row(
                str(item["path"]),
                int(item["size"]),
                str(item["sha256"]),
                str(item.get("etag") or ""),
                item.get("keep") is True,
            )
            for item in parsed.get("files", ())
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {row.path: row for row in rows}


def published_rows(receipt: bytes | None, recorded: str | None) -> dict[str, Row]:
    """Return the rows of the volume's receipt, if they are the set that the cluster has on record."""
    rows = read_rows(receipt)
    return rows if recorded is not None and rows and digest_of(rows.values()) == recorded else {}


def memory_line(row: Row) -> str:
    """Return a row as a line of the memory. ``read_memory`` skips torn lines."""
    return json.dumps([row.path, row.size, row.sha256, row.etag]) + "\n"


def read_memory(text: str) -> dict[str, Row]:
    """Return the rows by path. If a file has several lines, the last one counts."""
    rows: dict[str, Row] = {}
    for line in text.splitlines():
        try:
            path, size, sha256, etag = json.loads(line)
            rows[path] = Row(str(path), int(size), str(sha256), str(etag))
        except (ValueError, TypeError):
            continue
    return rows


def manifest(rows: Collection[Row]) -> bytes:
    """Return the manifest of files in transfer: for people, and to mark a running push. By path; ``keep`` only if true."""
    files: list[Json] = []
    for row in sorted(rows, key=lambda row: row.path):
        entry: dict[str, Json] = {"path": row.path, "size": row.size, "sha256": row.sha256, "etag": row.etag}
        if row.keep:
            entry["keep"] = True
        files.append(entry)
    return canonical_json({"files": files}) + b"\n"


def digest_of(rows: Collection[Row]) -> str:
    """Return the set's digest, as the mover computes it."""
    return set_digest((row.path, row.size, row.sha256) for row in rows)
