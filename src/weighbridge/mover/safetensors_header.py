"""Check the header of a safetensors file: is it valid, and does it describe exactly the bytes that follow? Without
side effects.

Format: https://github.com/huggingface/safetensors, "Format": eight bytes little-endian length N, N bytes of JSON,
then the buffer, which the tensors cover without holes or overlaps. This module accepts what the reference reader
(safetensors 0.8) accepts, with these exceptions: what the format itself forbids (a header that does not begin with
``{``, a key that is there twice), and a dtype written as an object. It refuses what the reference reader refuses,
except nesting beyond 127 levels in a field that nobody reads.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PREFIX = 8
"""Bytes of the length field."""
MAX_HEADER = 8 << 20
"""Bytes. The reference implementation allows 100 MB. But parsing takes up to 24 times the header's size (for lists of
empty lists, which only an attacker writes), and a mover's pod has 512 MiB. A tensor takes about 120 bytes.
"""

BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


_FIELDS = {"dtype", "shape", "data_offsets"}
"""Fields that every tensor has; or all its fields, in this order, if it is written as a list."""
_LONGEST = 20
"""Most digits of a 64-bit integer."""
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
"""Half a character as an escape. Valid only if both halves follow each other."""
_DTYPE = re.compile(r"[A-Z][A-Z0-9_]{0,31}\Z")


class HeaderError(ValueError):
    """The file is not a complete, well-formed safetensors file; the message says why."""


@dataclass(frozen=True)
class Tensor:
    """Type and number of values of one tensor."""

    dtype: str
    elements: int


@dataclass(frozen=True)
class Header:
    """The content of a header: tensors by name, and free-form string metadata (usually ``{"format": "pt"}``)."""

    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str]


def header_length(prefix: bytes, size: int) -> int:
    """Return the bytes of JSON after the 8-byte ``prefix`` of a file of ``size`` bytes. Raise ``HeaderError`` if impossible."""
    if size < PREFIX or len(prefix) < PREFIX:
        message = f"only {min(size, len(prefix))} bytes: too short for a header"
        raise HeaderError(message)
    length = int.from_bytes(prefix[:PREFIX], "little")
    if length > MAX_HEADER:
        message = f"header length {length} exceeds {MAX_HEADER} bytes, the most that Weighbridge reads; save the weights in more files"
        raise HeaderError(message)
    if PREFIX + length > size:
        message = f"header length {length} reaches beyond the file's {size} bytes"
        raise HeaderError(message)
    return length


def check(head: bytes, size: int) -> Header:
    """Check the header in ``head`` (the file's first bytes, at least 8 + header length) of a file of ``size`` bytes.

    Raise ``HeaderError`` for malformed JSON, a tensor outside the file, holes or overlaps, a size that contradicts
    its shape and dtype, or a buffer that is longer or shorter than the tensors say.
    """
    length = header_length(head[:PREFIX], size)
    if len(head) < PREFIX + length:
        message = f"header is cut short: {len(head) - PREFIX} of {length} bytes"
        raise HeaderError(message)
    document = _parse(bytes(head[PREFIX : PREFIX + length]))
    metadata = _metadata(document.pop("__metadata__", None))
    tensors: dict[str, Tensor] = {}
    spans: list[tuple[int, int, str]] = []
    for name, entry in document.items():
        begin, end, tensors[name] = _tensor(name, entry)
        spans.append((begin, end, name))
    position = 0
    for begin, end, name in sorted(spans):
        if begin != position:
            message = f"tensor {name[:200]!r} begins at {begin} where {position} is next: holes and overlaps are not allowed"
            raise HeaderError(message)
        position = end
    if position != size - PREFIX - length:
        message = f"tensors cover {position} bytes, the file holds {size - PREFIX - length}"
        raise HeaderError(message)
    return Header(tensors, metadata)


def _parse(text: bytes) -> dict[str, Any]:
    if not text.startswith(b"{"):
        message = "header does not begin with '{'"
        raise HeaderError(message)
    try:
        document = json.loads(
            text.decode(),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_int=_integer,
            parse_float=_float,
        )
        if _SURROGATE.search(text):
            json.dumps(document, ensure_ascii=False).encode()
    except RecursionError as error:
        message = "header is nested too deeply"
        raise HeaderError(message) from error
    except HeaderError:
        raise
    except ValueError as error:  # includes UnicodeDecodeError and JSONDecodeError
        message = f"header is not JSON: {error}"
        raise HeaderError(message) from error
    if not isinstance(document, dict):  # pragma: no cover - text that begins with '{' parses to an object
        message = "header is not a JSON object"
        raise HeaderError(message)
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        message = "header names a key twice"
        raise HeaderError(message)
    return result


def _integer(text: str) -> int | float:
    """Read a number as the reference reader does: minus zero, and an integer beyond 64 bits, are fractions."""
    return _float(text) if text == "-0" or len(text) > _LONGEST else int(text)


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        message = "header holds a number that is out of range"
        raise HeaderError(message)
    return value


def _no_constant(name: str) -> None:
    message = f"header holds {name}"
    raise HeaderError(message)


def _metadata(value: object) -> Mapping[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        message = "__metadata__ is not a map of strings"
        raise HeaderError(message)
    return value


def _tensor(name: str, entry: object) -> tuple[int, int, Tensor]:
    """Return where it begins and ends in the buffer, and what it is."""
    if isinstance(entry, dict) and entry.keys() >= _FIELDS:
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    elif isinstance(entry, list) and len(entry) == len(_FIELDS):
        dtype, shape, offsets = entry
    else:
        message = f"tensor {name[:200]!r} lacks dtype, shape or data_offsets"
        raise HeaderError(message)
    known = isinstance(dtype, str) and _DTYPE.match(dtype) is not None
    if not known or not _sizes(shape) or not _sizes(offsets) or len(offsets) != 2:  # noqa: PLR2004 - a pair
        message = f"tensor {name[:200]!r} has a malformed dtype, shape or data_offsets"
        raise HeaderError(message)
    begin, end = offsets
    if begin > end:
        message = f"tensor {name[:200]!r} ends before it begins"
        raise HeaderError(message)
    bits, elements = BITS.get(dtype), _elements(shape)
    # a dtype missing in the table is judged only by its offsets
    if bits is not None and elements * bits != (end - begin) * 8:
        message = f"tensor {name[:200]!r}: {dtype} {shape} does not fill {end - begin} bytes"
        raise HeaderError(message)
    return begin, end, Tensor(dtype, elements)


def _elements(shape: list[int]) -> int:
    product = 1
    for extent in shape:
        product *= extent
        if product >= 1 << 64:  # no file is that large: stop before a hostile shape costs hours of arithmetic
            break
    return product


def _sizes(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, int) and not isinstance(item, bool) and 0 <= item < 1 << 64 for item in value
    )
