"""Which paths a weight set may hold, and which files it must hold. Without side effects."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence

REFUSED_SUFFIXES = (
    ".bin", ".ckpt", ".dill", ".joblib", ".mar", ".pickle", ".pkl", ".pt", ".pt2", ".pth",
)  # fmt: skip
"""Formats that hold, or often hold, Python pickles: loading one runs code. Weights are data (safetensors).

Always refused, by the plan and by the mover. The plan refuses more in a new set (``domain.model.kinds.CODE``, which
includes these). A set in place that has such files is verified and repaired as it is.
"""

MAX_PATH_BYTES = 1024
"""S3's limit for a key (S3 User Guide, "Naming Amazon S3 objects"); Linux allows longer paths."""
MAX_NAME_BYTES = 255
"""NAME_MAX of every usual Linux file system."""

OURS = ".weighbridge"
"""Top directory on the volume for receipts, locks and files in transfer."""


_CONTROL = re.compile("[\\x00-\\x1f\\x7f]")


class UnsafePathError(ValueError):
    """The path could lead out of its directory, or no file system could hold it."""


def safe_relative(path: str) -> str:
    """Return ``path`` if it is a plain relative path. Else raise ``UnsafePathError`` that says what is wrong."""
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
    """Return the paths of one set sorted. Raise ``UnsafePathError`` for one that is unsafe, there twice, or inside another."""
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
    """Return whether a listed object belongs to the set. Folder markers do not (no bytes, path empty or ending in
    ``/``), nor does what a pattern of ``exclude`` matches (``*`` also matches ``/``).
    """
    if size == 0 and (not path or path.endswith("/")):
        return False
    return not any(fnmatch.fnmatchcase(path, pattern) for pattern in exclude)


def printable(text: str) -> str:
    """Return a name written by others in a form fit for logs: escape control characters and what is not Unicode. The
    paths of a set have neither (``safe_relative``), so they stay unchanged.
    """
    return "".join(
        character.encode("unicode_escape").decode()
        if ord(character) < ord(" ") or ord(character) == 0x7F or 0xD800 <= ord(character) < 0xE000  # noqa: PLR2004 - DEL, surrogates
        else character
        for character in text
    )


def refused_suffix(path: str) -> str | None:
    """Return the suffix for which a file is refused as code, or ``None``."""
    lowered = path.lower()
    return next((suffix for suffix in REFUSED_SUFFIXES if lowered.endswith(suffix)), None)


def missing_required(paths: Iterable[str]) -> tuple[str, ...]:
    """Return what IBM requires of a custom foundation model and this set lacks, as text for a person.

    ``config.json``, ``tokenizer.json`` (a time series model has ``tsfm_config.json`` instead) and at least one
    ``*.safetensors``, all in the set's top directory (IBM watsonx.ai, "Preparing to deploy a custom foundation
    model").
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
