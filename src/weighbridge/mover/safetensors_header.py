"""The header of a safetensors file: is it sane, and does it describe exactly the bytes that follow? Pure.

Format: https://github.com/huggingface/safetensors, "Format": eight bytes little-endian length N, N bytes of JSON, then
the buffer, which the tensors cover without holes or overlaps. What its reference reader (safetensors 0.8) takes is taken here, but for
what the format itself forbids (a header that begins with something else than ``{``, a key that stands twice) and a dtype that is
written as an object. What it refuses is refused here, but for nesting beyond 127 levels in a field that nobody reads.
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
"""Bytes. The reference implementation takes 100 MB, but a header takes up to 24 times its size while it is parsed (lists of
lists of nothing, as nobody but an attacker writes them), and a mover's pod has 512 MiB. A tensor takes some 120 bytes.
"""

_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


_FIELDS = {"dtype", "shape", "data_offsets"}
"""Of a tensor, at least; or just these, in this order, where it is written as a list."""
_LONGEST = 20
"""Digits of an integer of 64 bits."""
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
"""Half a character as an escape: fine where both halves stand together."""
_DTYPE = re.compile(r"[A-Z][A-Z0-9_]{0,31}\Z")


class HeaderError(ValueError):
    """The file is not a whole, well-formed safetensors file; the message says why."""


@dataclass(frozen=True)
class Header:
    """What a header says: tensor names, and the free-form string metadata (``{"format": "pt"}`` as a rule)."""

    tensors: frozenset[str]
    metadata: Mapping[str, str]


def header_length(prefix: bytes, size: int) -> int:
    """Bytes of JSON that follow the 8-byte ``prefix`` of a file of ``size`` bytes; ``HeaderError`` if absurd."""
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

    Raises ``HeaderError``: malformed JSON, a tensor outside the file, holes or overlaps, a size that its shape and
    dtype contradict, a buffer that is longer or shorter than the tensors say.
    """
    length = header_length(head[:PREFIX], size)
    if len(head) < PREFIX + length:
        message = f"header is cut short: {len(head) - PREFIX} of {length} bytes"
        raise HeaderError(message)
    document = _parse(bytes(head[PREFIX : PREFIX + length]))
    metadata = _metadata(document.pop("__metadata__", None))
    spans = sorted(_span(name, entry) for name, entry in document.items())
    position = 0
    for begin, end, name in spans:
        if begin != position:
            message = f"tensor {name[:200]!r} begins at {begin} where {position} is next: holes and overlaps are not allowed"
            raise HeaderError(message)
        position = end
    if position != size - PREFIX - length:
        message = f"tensors cover {position} bytes, the file holds {size - PREFIX - length}"
        raise HeaderError(message)
    return Header(frozenset(document), metadata)


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
    except ValueError as error:  # also UnicodeDecodeError and JSONDecodeError
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
    """As the reference reader has it, minus zero is a fraction, and so is what no integer of its own can hold."""
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


def _span(name: str, entry: object) -> tuple[int, int, str]:
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
    bits = _BITS.get(dtype)  # a dtype that is newer than this table is judged by its offsets alone
    if bits is not None and _elements(shape) * bits != (end - begin) * 8:
        message = f"tensor {name[:200]!r}: {dtype} {shape} does not fill {end - begin} bytes"
        raise HeaderError(message)
    return begin, end, name


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
