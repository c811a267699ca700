"""Which files a model server needs, and which can carry code: by name, and by their first bytes. Tables, and one
function.

The table of needed files is an allow-list: other files are examined and reported. Formats that run code when they are
loaded are refused, whatever their name. Sources: Hugging Face Hub, "Pickle Scanning"; Python, "pickletools"; NumPy's
NEP 1; Keras, "Whole model saving" (``.keras`` is a ZIP with code for Lambda layers); PKWARE APPNOTE 4.3; the ELF, PE,
Mach-O and WebAssembly specifications; RFC 1740 (AppleDouble).
"""

import contextlib
import glob
import io
import pickletools
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from weighbridge.domain import human
from weighbridge.domain.model.flaws import Flaw, warning
from weighbridge.domain.model.looked_at import HEAD_BYTES, LookedAt, Peek
from weighbridge.domain.names import named, patterns
from weighbridge.mover.paths import REFUSED_SUFFIXES

NEEDED: Final = frozenset({
    ".safetensors", ".json", ".jsonl", ".jinja", ".txt", ".model", ".tiktoken", ".vocab", ".merges", ".bpe", ".spm",
})  # fmt: skip
"""What model servers read: weights, configurations, tokenizers, chat templates."""
HARMLESS: Final = frozenset({
    ".md", ".rst", ".pdf", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".csv", ".tsv", ".yaml", ".yml", ".toml", ".cfg", ".ini",
    ".html", ".bib", ".cff", ".log",
})  # fmt: skip
"""Documentation, which no program loads."""
KNOWN_NAMES: Final = re.compile(
    r"(?i)(licen[cs]e|notice|readme|copying|use_policy|acceptable_use_policy|authors|changelog|version)([-_.].*)?|\.gitattributes|\.gitignore"
)

_CODE: Final = {
    "code of Python": (".py", ".pyc", ".pyo", ".pyd", ".pyz", ".pyw", ".ipynb", ".whl", ".egg"),
    "code of the machine": (".so", ".dll", ".dylib", ".exe", ".o", ".a", ".ko", ".elf", ".engine", ".plan", ".wasm", ".deb", ".rpm"),
    "a script": (".sh", ".bash", ".zsh", ".bat", ".cmd", ".ps1", ".js", ".mjs", ".rb", ".pl", ".lua", ".r", ".jar", ".class"),
    "objects that run code when they are loaded": (
        ".npy", ".npz", ".keras", ".h5", ".hdf5", ".pb", ".ot", ".pdparams", ".pdmodel", ".params", ".nemo", ".mlmodel", ".mlpackage",
        ".rds", ".rdata", ".cloudpickle", ".pk", *REFUSED_SUFFIXES,
    ),
    "an archive, in which anything can lie": (
        ".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar", ".lz4", ".iso",
    ),
}  # fmt: skip
CODE: Final = {suffix: what for what, suffixes in _CODE.items() for suffix in suffixes}
"""By the last suffix."""

OTHER_WEIGHTS: Final = frozenset({
    ".gguf", ".ggml", ".onnx", ".onnx_data", ".msgpack", ".tflite", ".mlmodelc", ".llamafile",
})  # fmt: skip
"""Weights in formats that a server of safetensors does not read."""

SIDECARS: Final = re.compile(r"(.*/)?(\._[^/]*|\.DS_Store)|(.*/)?__MACOSX/.*")
"""Files that macOS writes beside others on foreign disks, and into archives."""
SIDECAR_PATTERNS: Final = ("._*", "*/._*", "*.DS_Store", "*__MACOSX/*")

_MAGIC: Final = (
    (b"\x7fELF", "a program (ELF)"),
    (b"\xfe\xed\xfa\xce", "a program (Mach-O)"), (b"\xfe\xed\xfa\xcf", "a program (Mach-O)"), (b"\xcf\xfa\xed\xfe", "a program (Mach-O)"),
    (b"\xce\xfa\xed\xfe", "a program (Mach-O)"), (b"\xca\xfe\xba\xbe", "a program (Mach-O or Java)"), (b"\x00asm", "a program (WebAssembly)"),
    (b"PK\x03\x04", "a ZIP archive, as PyTorch, Keras and NumPy write them"), (b"PK\x05\x06", "a ZIP archive"), (b"PK\x07\x08", "a ZIP archive"),
    (b"\x1f\x8b", "a compressed file (gzip)"), (b"BZh", "a compressed file (bzip2)"), (b"\xfd7zXZ\x00", "a compressed file (xz)"),
    (b"\x28\xb5\x2f\xfd", "a compressed file (zstd)"), (b"7z\xbc\xaf\x27\x1c", "a 7z archive"), (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x93NUMPY", "a NumPy array, which may hold pickles"), (b"\x89HDF\r\n\x1a\n", "an HDF5 file, which may hold code of Keras"),
)  # fmt: skip
_PICKLE: Final = re.compile(rb"\x80[\x01-\x05]")
"""PROTO, the first opcode of protocols 2 to 5."""
_IMPORTS: Final = frozenset({"GLOBAL", "INST", "STACK_GLOBAL"})
"""Opcodes that name an import."""
_CALLS: Final = frozenset({"REDUCE", "NEWOBJ", "NEWOBJ_EX", "BUILD"})
"""Opcodes that call it with the top of the stack."""
_CALLS_FROM_MARK: Final = frozenset({"INST", "OBJ"})
"""Opcodes that call it with everything above the last mark."""
_ARGUMENTS: Final = (pickletools.pytuple, pickletools.pydict, pickletools.anyobject)
_NO_ARGUMENTS: Final = _IMPORTS | {"PERSID"}
"""Opcodes that take any text, and leave a value that cannot be an argument of a call."""
_TAR: Final = slice(257, 262)
_ZIP_END: Final = re.compile(rb"PK\x05\x06.{18}\Z", re.DOTALL)
_DOS_SIGNATURE_AT: Final = 0x3C
LFS_POINTER: Final = b"version https://git-lfs.github.com/spec/"


def is_sidecar(path: str) -> bool:
    return SIDECARS.fullmatch(path) is not None


def is_weights(path: str) -> bool:
    """Return whether servers read it as safetensors: exactly this suffix. Other spellings are judged like any other file."""
    return path.endswith(".safetensors") and not is_sidecar(path)


def is_known(path: str) -> bool:
    """Return whether a model server, or a reader of the documentation, can use it."""
    if suffix_of(path) == ".safetensors":
        return is_weights(path)
    return suffix_of(path) in NEEDED | HARMLESS or KNOWN_NAMES.fullmatch(PurePosixPath(path).name) is not None


def suffix_of(path: str) -> str:
    return PurePosixPath(path).suffix.lower()


def sniffed(peek: Peek) -> str | None:
    """Return in words what the bytes are, if they are code or can carry code."""
    told = (
        *((peek.head.startswith(magic), what) for magic, what in _MAGIC),
        (_PICKLE.match(peek.head) or _is_early_pickle(peek), "a pickle, which runs code when it is loaded"),
        (peek.head.startswith(b"#!") and b"\n" in peek.head, "a script"),
        (peek.head[:2] == b"MZ" and b"\x00" in peek.head[:_DOS_SIGNATURE_AT], "a program (PE)"),
        (peek.head[_TAR] == b"ustar", "a tar archive"),
        (_ZIP_END.search(peek.tail), "a ZIP archive with something in front of it"),
    )
    return next((what for is_it, what in told if is_it), None)


def _is_early_pickle(peek: Peek) -> bool:
    """Return whether it is a pickle of protocol 0 or 1 (which have no magic number) that calls what it imports: its
    opcodes are valid from the first byte to that call. The words of a vocabulary sometimes look like an import
    (``c``), but never like its call.
    """
    stack: list[object] = []
    imported = False
    with contextlib.suppress(ValueError, Warning):  # not an opcode, the end, or text with invalid escapes
        for opcode, argument, _ in pickletools.genops(io.BytesIO(peek.head[:HEAD_BYTES])):
            if opcode.name in _IMPORTS and not _names_something(argument):
                return False
            imported = imported or opcode.name in _IMPORTS
            taken = opcode.stack_before
            if pickletools.markobject in taken:
                if pickletools.markobject not in stack:
                    return False
                if imported and opcode.name in _CALLS_FROM_MARK:
                    return True
                while stack.pop() is not pickletools.markobject:
                    pass
                taken = taken[: taken.index(pickletools.markobject)]
            if len(taken) > len(stack):
                return False
            if imported and opcode.name in _CALLS and stack[-1] in _ARGUMENTS:
                return True
            del stack[len(stack) - len(taken) :]
            stack.extend([None] if opcode.name in _NO_ARGUMENTS else opcode.stack_after)
    return False


def _names_something(argument: object) -> bool:
    """Return whether an import's module and name, if they are given with it, are identifiers."""
    return argument is None or all(
        part.isidentifier() for text in str(argument).split(" ", 1) for part in text.split(".")
    )


def judge_kinds(seen: LookedAt) -> Iterator[Flaw]:
    """Yield flaws: sidecars, code by name and by content, weights in other formats, and unknown files."""
    sidecars = [path for path in seen.sizes if is_sidecar(path)]
    if sidecars:
        yield Flaw(
            "source-sidecars",
            f"{named(sidecars)}: files that macOS writes beside others, and no part of the model",
            f"Remove them, or write `exclude: {patterns(SIDECAR_PATTERNS)}`",
        )
    code: dict[str, list[str]] = defaultdict(list)
    others, unknown = [], []
    for path in seen.sizes:
        if is_sidecar(path) or is_weights(path):
            continue
        suffix, peek = suffix_of(path), seen.peeks.get(path)
        what = CODE.get(suffix) or (sniffed(peek) if peek else None)
        if what:
            code[what].append(path)
        elif suffix in OTHER_WEIGHTS:
            others.append(path)
        elif not is_known(path):
            unknown.append(path)
    for what, paths in code.items():
        yield _code(what, paths)
    if others:
        size = human.size(sum(seen.sizes[path] for path in others))
        yield warning(
            "source-weights-twice",
            f"{named(others)}: {size} of weights in a format that is not read beside safetensors, moved and kept all the same",
            f"Leave them behind with `exclude: {patterns({f'*{suffix_of(path)}' for path in others})}` where they are not needed",
        )
    if unknown:
        yield warning(
            "source-unknown-kind",
            f"{named(unknown)}: no kind of file that a model server is known to read; moved and kept all the same",
            "Leave them behind with `exclude:` where they are not needed",
        )


def _code(what: str, paths: list[str]) -> Flaw:
    by_name = {f"*{suffix_of(path)}" if suffix_of(path) in CODE else glob.escape(path) for path in paths}
    return Flaw(
        "source-refused-kind",
        f"{named(paths)}: {what}; weights are data, not code",
        f"Leave them behind: `exclude: {patterns(by_name)}` on this model; its safetensors files are enough",
    )
