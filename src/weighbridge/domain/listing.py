"""What a source must hold to be a weight set, decided only from names and sizes.

Without side effects: adapters bring the raw rows of a bucket (or of a repository). This module turns them into a
``SourceListing``, or says what is wrong and which line of the environment file repairs it.
"""

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from weighbridge.domain.model.shards import is_index
from weighbridge.domain.names import named, patterns
from weighbridge.domain.weights import SourceFile, SourceListing
from weighbridge.errors import PreconditionError
from weighbridge.mover.paths import UnsafePathError, missing_required, of_set, refused_suffix, safe_relative
from weighbridge.mover.shard_index import ShardIndexError, parse_index


def folder_prefix(prefix: str) -> str:
    """Return the prefix as a folder: empty, or ending in one ``/``, so that ``models/a`` does not match ``models/ab/…``."""
    return prefix if not prefix or prefix.endswith("/") else f"{prefix}/"


def to_listing(rows: Iterable[SourceFile], exclude: Sequence[str], where: str) -> SourceListing:
    """Return the set of ``rows`` (path = key without the prefix) without ``exclude``, sorted by path.

    Leave out folder markers (path empty or ending in ``/``, no bytes). Raise ``PreconditionError`` for paths that
    cannot be files of a set, for kinds that can carry code, and for a path that is both a file and a folder.
    """
    files: list[SourceFile] = []
    unsafe: list[str] = []
    refused: list[SourceFile] = []
    excluded = 0
    for row in rows:
        if not of_set(row.path, row.size, ()):
            continue
        if not of_set(row.path, row.size, exclude):
            excluded += 1
            continue
        try:
            safe_relative(row.path)
        except UnsafePathError as error:
            unsafe.append(str(error))
            continue
        (refused if refused_suffix(row.path) else files).append(row)
    if unsafe:
        raise PreconditionError(
            f"{where} holds keys that cannot be files of a weight set: {named(sorted(unsafe))}",
            remedy="Rename these objects, or leave them behind with `exclude:` patterns.",
            code="source-unsafe-path",
        )
    if refused:
        paths = sorted(row.path for row in refused)
        globs = {f"*{path[-len(refused_suffix(path) or path) :]}" for path in paths}
        raise PreconditionError(
            f"{where} holds files that can carry code (weights are data, not code): {named(paths)}",
            remedy=f"Leave them behind: `exclude: {patterns(globs)}` on this model; its safetensors files are enough.",
            code="source-refused-kind",
        )
    files.sort()
    _check_no_file_is_a_folder(files, where)
    if not files and excluded:
        raise PreconditionError(
            f"{where} holds {excluded} files and `exclude` leaves all of them behind",
            remedy="Narrow the `exclude:` patterns; `*` also matches `/`.",
            code="source-all-excluded",
        )
    return SourceListing(files=tuple(files))


def _check_no_file_is_a_folder(files: Sequence[SourceFile], where: str) -> None:
    paths = {file.path for file in files}
    for file in files:
        for parent in PurePosixPath(file.path).parents:
            if str(parent) in paths:
                raise PreconditionError(
                    f"{where} holds {str(parent)!r} as a file and as the folder of {file.path!r}; no volume can hold both",
                    remedy="Rename one of the two objects, or exclude one.",
                    code="source-file-and-folder",
                )


def check_required(listing: SourceListing, where: str) -> None:
    """Raise ``PreconditionError`` if the top folder lacks what a model server needs (``mover.paths.missing_required``)."""
    paths = {file.path for file in listing.files}
    missing = missing_required(paths)
    if not missing:
        return
    deeper = sorted({path.rpartition("/")[0] for path in paths if path.endswith("/config.json")})
    hint = f" {named(deeper)} holds a config.json: is that the prefix you mean?" if deeper else ""
    if "tokenizer.model" in paths and any(name.startswith("tokenizer.json") for name in missing):
        hint += " From tokenizer.model, transformers makes it: AutoTokenizer.from_pretrained(…).save_pretrained(…)."
    raise PreconditionError(
        f"{where} lacks {named(missing)} at its root; {len(paths)} files are there",
        remedy=f"Put a whole model (Hugging Face layout, safetensors) under the prefix.{hint}",
        code="source-incomplete",
    )


def indexes(listing: SourceListing) -> tuple[SourceFile, ...]:
    """Return the shard indexes in the top folder; usually none or one."""
    return tuple(file for file in listing.files if "/" not in file.path and is_index(file.path))


def check_index(name: str, content: bytes, listing: SourceListing, where: str) -> dict[str, str]:
    """Return tensor → shard of the index ``name``. Raise ``PreconditionError`` if a shard is not in the listing."""
    try:
        found = parse_index(name, content)
    except ShardIndexError as error:
        raise PreconditionError(
            f"{name} of {where} is not a shard index: {error}",
            remedy="Upload the model again, or exclude the file when it does not belong to the model.",
            code="source-bad-index",
        ) from error
    paths = {file.path for file in listing.files}
    shards = sorted(set(found.values()))
    missing = [shard for shard in shards if shard not in paths]
    if missing:
        raise PreconditionError(
            f"{where} lacks {len(missing)} of {len(shards)} shards that {name} names: {named(missing)}",
            remedy="Finish the upload of the model, or correct `exclude:`.",
            code="source-missing-shards",
        )
    return found
