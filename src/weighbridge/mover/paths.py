"""Which paths a weight set may hold, and which files it must hold. Pure."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence

REFUSED_SUFFIXES = (
    ".bin", ".ckpt", ".dill", ".joblib", ".mar", ".pickle", ".pkl", ".pt", ".pt2", ".pth",
)  # fmt: skip
"""Formats that hold, or commonly hold, Python pickles: loading one runs code. Weights are data (safetensors).

Refused whatever else is so, by the plan and by the mover. The plan refuses more of a new set (``domain.model.kinds.CODE``, of which this is
a part); a set that is in place with such files is verified and repaired as it is.
"""

MAX_PATH_BYTES = 1024
"""S3's limit of a key (S3 User Guide, "Naming Amazon S3 objects"); Linux allows longer paths."""
MAX_NAME_BYTES = 255
"""NAME_MAX of every usual Linux file system."""

OURS = ".weighbridge"
"""Top directory of the volume that holds receipts, locks and what is in flight."""


_CONTROL = re.compile("[\\x00-\\x1f\\x7f]")


class UnsafePathError(ValueError):
    """The path could reach outside its directory, or no file system would hold it."""


def safe_relative(path: str) -> str:
    """Return ``path`` if it is a plain relative path, or raise ``UnsafePathError`` that says what is wrong with it."""
    try:
        encoded = path.encode()
    except UnicodeEncodeError as error:
        message = f"path {path!a} is not Unicode text"
        raise UnsafePathError(message) from error
    problem = None
    parts = path.split("/")
    if not path:
        problem = "is empty"
    elif len(encoded) > MAX_PATH_BYTES:
        problem = f"is longer than {MAX_PATH_BYTES} bytes"
    elif path.startswith("/"):
        problem = "is absolute"
    elif "\\" in path:
        problem = "holds a backslash"
    elif _CONTROL.search(path):
        problem = "holds a control character"
    elif any(part in {"", ".", ".."} for part in parts):
        problem = "holds an empty, '.' or '..' component"
    elif any(len(part.encode()) > MAX_NAME_BYTES for part in parts):
        problem = f"holds a name longer than {MAX_NAME_BYTES} bytes"
    if problem:
        message = f"path {path[:200]!r} {problem}"
        raise UnsafePathError(message)
    return path


def safe_set(paths: Iterable[str]) -> tuple[str, ...]:
    """Return the paths of one set sorted, or raise ``UnsafePathError``: each safe, none twice, none inside another."""
    ordered = tuple(sorted(safe_relative(path) for path in paths))
    known = set(ordered)
    if len(known) != len(ordered):
        twice = next(path for path, after in zip(ordered, ordered[1:]) if path == after)
        message = f"path {twice!r} stands twice"
        raise UnsafePathError(message)
    for path in ordered:
        parts = path.split("/")
        for depth in range(1, len(parts)):
            parent = "/".join(parts[:depth])
            if parent in known:
                message = f"path {path!r} lies inside {parent!r}, which is a file"
                raise UnsafePathError(message)
    return ordered


def of_set(path: str, size: int, exclude: Sequence[str]) -> bool:
    """Whether what a source lists belongs to the set: folder markers (no bytes, path empty or ending in ``/``) do not, nor
    what a pattern of ``exclude`` matches (``*`` also matches ``/``).
    """
    if size == 0 and (not path or path.endswith("/")):
        return False
    return not any(fnmatch.fnmatchcase(path, pattern) for pattern in exclude)


def printable(text: str) -> str:
    """A name as somebody else wrote it, fit for logs: control characters and what is not Unicode are escaped. Paths of a
    set hold neither (``safe_relative``), so theirs stay as they are.
    """
    return "".join(
        character.encode("unicode_escape").decode()
        if ord(character) < ord(" ") or ord(character) == 0x7F or 0xD800 <= ord(character) < 0xE000  # noqa: PLR2004 - DEL, surrogates
        else character
        for character in text
    )


def refused_suffix(path: str) -> str | None:
    """The suffix for which a file is refused as code rather than data, or ``None``."""
    lowered = path.lower()
    return next((suffix for suffix in REFUSED_SUFFIXES if lowered.endswith(suffix)), None)


def missing_required(paths: Iterable[str]) -> tuple[str, ...]:
    """What IBM requires of a custom foundation model and this set lacks, as text for a person.

    ``config.json``, ``tokenizer.json`` (a time series model has ``tsfm_config.json`` instead) and at least one
    ``*.safetensors``, all in the set's top directory (IBM watsonx.ai, "Preparing to deploy a custom foundation model").
    """
    top = {path for path in paths if "/" not in path}
    missing = []
    if "config.json" not in top:
        missing.append("config.json")
    if not top & {"tokenizer.json", "tsfm_config.json"}:
        missing.append("tokenizer.json (or tsfm_config.json)")
    if not any(path.endswith(".safetensors") for path in top):
        missing.append("*.safetensors")
    return tuple(missing)
