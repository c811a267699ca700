"""What a push has to do, decided from what is known: pure.

Three things tell what is on the volume already: the receipt of the published set, this machine's memory of what it sent, and the
sizes of the files in flight. A row is remembered before its file is sent, so a file counts as there when its row matches the order
and its size is whole. Others write to the volume: its receipt is believed where the cluster's record has the same digest, and
its manifest is never read. ``publish`` reads every byte anyway, and compares it with what the sender tells it.
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
"""Small files travel together, up to these; a larger file travels alone. One rsync a batch."""


@dataclass(frozen=True, slots=True)
class Row:
    """One file of a manifest or receipt on the volume."""

    path: str
    size: int
    sha256: str
    etag: str
    keep: bool = False
    """It lies in the published set, verified there, and is not sent."""


class Manner(StrEnum):
    """How a file is sent, by what lies in flight on the volume."""

    WHOLE = "whole"
    """Nothing: sent as it is."""
    APPEND = "append"
    """A shorter file: only the rest is sent, the beginning is compared by checksum."""
    DELTA = "delta"
    """A whole file of unknown or damaged content: only blocks that differ are sent."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Files that one rsync sends."""

    manner: Manner
    files: tuple[SourceFile, ...]
    present: int = 0
    """Bytes that lie in flight already and can be continued."""

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class PushPlan:
    """What stays, what is there, what is sent, in order."""

    rows: tuple[Row, ...]
    """Files that need no sending: kept in the published set, or whole in flight."""
    batches: tuple[Batch, ...]
    attested: Mapping[str, str]
    """Path to sha256, as the published set's receipt knows it under the order's size and ETag."""


def plan(
    files: Sequence[SourceFile],
    *,
    published: Mapping[str, Row],
    staged: Mapping[str, Row],
    staged_sizes: Mapping[str, int],
    damaged: Collection[str] = (),
) -> PushPlan:
    """``damaged`` names files whose bytes on the volume are known to be wrong, wherever they lie."""
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
    """Rows of a manifest or receipt by path; empty when it is absent or not one (it is then written anew)."""
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
    """Rows of the volume's receipt, if they make up the set that the cluster has on record."""
    rows = read_rows(receipt)
    return rows if recorded is not None and rows and digest_of(rows.values()) == recorded else {}


def memory_line(row: Row) -> str:
    """A row as a line of the memory; what is torn is passed over when it is read (``read_memory``)."""
    return json.dumps([row.path, row.size, row.sha256, row.etag]) + "\n"


def read_memory(text: str) -> dict[str, Row]:
    """By path; of several lines of one file the last counts."""
    rows: dict[str, Row] = {}
    for line in text.splitlines():
        try:
            path, size, sha256, etag = json.loads(line)
            rows[path] = Row(str(path), int(size), str(sha256), str(etag))
        except (ValueError, TypeError):
            continue
    return rows


def manifest(rows: Collection[Row]) -> bytes:
    """What lies in flight, for people and as a mark that a push is under way: sorted by path, ``keep`` only where true."""
    files: list[Json] = []
    for row in sorted(rows, key=lambda row: row.path):
        entry: dict[str, Json] = {"path": row.path, "size": row.size, "sha256": row.sha256, "etag": row.etag}
        if row.keep:
            entry["keep"] = True
        files.append(entry)
    return canonical_json({"files": files}) + b"\n"


def digest_of(rows: Collection[Row]) -> str:
    """The set's digest, as the mover computes it."""
    return set_digest((row.path, row.size, row.sha256) for row in rows)
