"""The order: what one run of the mover has to do, read strictly from ``order.json``. Pure, apart from reading the file."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from .document import Document, OrderError, OrderFile
from .limits import Limits
from .paths import OURS, UnsafePathError, missing_required, refused_suffix, safe_relative, safe_set
from .proxies import ProxySettings
from .sources import SOURCES
from .sources.interface import OrderedSource

_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")


@dataclass(frozen=True)
class Listed:
    """Replaces a list of files too long for an order: what the plan saw. The mover lists the source again and compares."""

    count: int
    exclude: tuple[str, ...]
    """Patterns of paths that are not part of the set (``paths.of_set``)."""


@dataclass(frozen=True)
class Order:
    model_id: str
    sub_path: str
    fingerprint: str
    route: str
    source: OrderedSource | None
    files: tuple[OrderFile, ...]
    """Sorted by path."""
    limits: Limits
    proxy: ProxySettings
    expect_set_digest: str | None
    """The digest that the set must have, if it is known already (from a lock, an earlier receipt, or a sender)."""
    recorded_set_digest: str | None = None
    """The digest in the cluster's own record: a receipt on the volume counts only if it attests this set."""
    listed: Listed | None = None

    @property
    def total_bytes(self) -> int:
        return sum(file.size for file in self.files)


def read_order(path: str) -> Order:
    """Read and parse the file. Raise ``OrderError`` if the order is incomplete or invalid."""
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise OrderError(path, f"cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise OrderError(path, f"is not JSON: {error}") from error
    return parse_order(document)


def parse_order(document: object) -> Order:
    """Return the JSON document as an ``Order``. Refuse unknown keys: a typing mistake must not become a default."""
    body = Document(document, "the document")
    if body.take("schema") != 1:
        raise OrderError(
            "schema", "is not 1", remedy="use the mover that was rendered together with the order"
        )
    model_id = _safe(body.text("model_id"), "model_id")
    fingerprint = body.text("fingerprint")
    if not _DIGEST.match(fingerprint):
        raise OrderError("fingerprint", "is not 'sha256:' and 64 hex digits")
    sub_path = _safe(body.text("sub_path"), "sub_path")
    short = fingerprint[len("sha256:") :][:12]
    if sub_path != f"{model_id}/{short}" or sub_path.split("/")[0] == OURS:
        raise OrderError("sub_path", f"is not <model_id>/<first 12 of the fingerprint>, {model_id}/{short}")
    route = body.text("route")
    if route not in {"fetch", "push"}:
        raise OrderError("route", "is neither 'fetch' nor 'push'")
    expected, recorded = _digest(body, "expect_set_digest"), _digest(body, "recorded_set_digest")
    source = body.take("source", None)
    listed = _listed(body.take("listed", None))
    order = Order(
        model_id=model_id,
        sub_path=sub_path,
        fingerprint=fingerprint,
        route=route,
        source=None if source is None else parse_source(source),
        files=_files(body.take("files"), known_otherwise=expected is not None or listed is not None),
        limits=_limits(body.take("limits", {})),
        proxy=_proxy(body.take("proxy", {})),
        expect_set_digest=expected,
        recorded_set_digest=recorded,
        listed=listed,
    )
    body.finish()
    if listed is not None and order.files:
        raise OrderError("listed", "stands beside a list of files")
    return order


def parse_source(document: object) -> OrderedSource:
    """Parse the ``source`` of an order."""
    body = Document(document, "source")
    kind = body.text("kind")
    parse = SOURCES.get(kind)
    if parse is None:
        raise OrderError("source.kind", f"is not {' or '.join(map(repr, SOURCES))}")
    source = parse(body)
    body.finish()
    return source


def _digest(body: Document, key: str) -> str | None:
    value = body.take(key, None)
    if value is not None and not (isinstance(value, str) and _DIGEST.match(value)):
        raise OrderError(key, "is not 'sha256:' and 64 hex digits")
    return value


def _listed(document: object) -> Listed | None:
    if document is None:
        return None
    body = Document(document, "listed")
    count, exclude = body.natural("count"), body.take("exclude", [])
    if not isinstance(exclude, list) or not all(isinstance(pattern, str) for pattern in exclude):
        raise OrderError("listed.exclude", "is not a list of text")
    body.finish()
    return Listed(count, tuple(exclude))


def _files(document: object, *, known_otherwise: bool) -> tuple[OrderFile, ...]:
    if document == [] and known_otherwise:
        return ()  # the source lists them; or, if a digest says that it is the right one, the receipt on the volume
    if not isinstance(document, list) or not document:
        raise OrderError("files", "is not a list of at least one file")
    files = []
    for index, item in enumerate(document):
        row = Document(item, f"files[{index}]")
        sha256 = row.take("sha256", None)
        if sha256 is not None and not (isinstance(sha256, str) and _SHA256.match(sha256)):
            raise OrderError(f"files[{index}].sha256", "is not 64 hex digits")
        files.append(OrderFile(row.text("path"), row.natural("size"), row.text("etag").strip('"'), sha256))
        row.finish()
    return sound_files(files)


def sound_files(files: list[OrderFile]) -> tuple[OrderFile, ...]:
    """Return the files sorted by path. Raise ``OrderError`` if they are not a set that could be served."""
    files = sorted(files, key=lambda file: file.path)
    try:
        paths = safe_set(file.path for file in files)
    except UnsafePathError as error:
        raise OrderError("files", str(error)) from error
    for path in paths:
        if refused_suffix(path):
            raise OrderError("files", f"names {path!r}: a {refused_suffix(path)} file may run code when it is loaded",
                             remedy="keep it out with `exclude`; weights come as safetensors")  # fmt: skip
    missing = missing_required(paths)
    if missing:
        raise OrderError("files", f"lacks what a custom foundation model needs: {', '.join(missing)}")
    return tuple(files)


def _limits(document: object) -> Limits:
    body = Document(document, "limits")
    default = Limits()
    limits = Limits(
        chunk_bytes=body.natural("chunk_bytes", default.chunk_bytes),
        workers=body.natural("workers", default.workers),
        stall_seconds=body.seconds("stall_seconds", default.stall_seconds),
        patience_seconds=body.seconds("patience_seconds", default.patience_seconds),
        deadline_seconds=body.seconds("deadline_seconds", default.deadline_seconds),
        lock_wait_seconds=body.seconds("lock_wait_seconds", default.lock_wait_seconds),
        rotation_seconds=body.seconds("rotation_seconds", default.rotation_seconds),
        check_etag=body.text("check_etag", default.check_etag),
    )
    body.finish()
    if limits.chunk_bytes < 1 << 16:
        raise OrderError("limits.chunk_bytes", "is below 65536")
    if not 1 <= limits.workers <= 64:  # noqa: PLR2004 - more would cost memory and load the server, and save no time
        raise OrderError("limits.workers", "is not between 1 and 64")
    if limits.check_etag not in {"auto", "single", "all", "none"}:
        raise OrderError("limits.check_etag", "is none of auto, single, all, none")
    return limits


def _proxy(document: object) -> ProxySettings:
    body = Document(document, "proxy")
    hosts = body.take("no_proxy", None)
    if hosts is not None and not (isinstance(hosts, list) and all(isinstance(host, str) for host in hosts)):
        raise OrderError("proxy.no_proxy", "is not a list of text")
    http, https = body.text("http", "") or None, body.text("https", "") or None
    body.finish()
    return ProxySettings(
        http, https, None if hosts is None else tuple(hosts), alone=bool(http or https) and hosts is not None
    )


def _safe(path: str, where: str) -> str:
    try:
        return safe_relative(path)
    except UnsafePathError as error:
        raise OrderError(where, str(error)) from error
