"""The small files of a model: are they valid, and do they agree with how the model is registered?"""

import json
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Final, Protocol

from weighbridge.domain.digest import Json
from weighbridge.domain.model.flaws import Flaw, warning
from weighbridge.domain.model.kinds import LFS_POINTER, NEEDED, is_sidecar, suffix_of
from weighbridge.domain.model.looked_at import LookedAt, Peek
from weighbridge.domain.names import named, printable

READ_BY_SERVERS: Final = frozenset({
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "preprocessor_config.json", "processor_config.json", "chat_template.json", "tsfm_config.json", "quantize_config.json",
    "modules.json", "config_sentence_transformers.json", "sentence_bert_config.json", "video_preprocessor_config.json",
})  # fmt: skip
"""JSON files of the top directory. A server does not start if one is missing or broken."""
_READ_BESIDE: Final = frozenset({
    "vocab.txt", "merges.txt", "vocab.bpe", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "tekken.json", "chat_template.jinja",
})  # fmt: skip
_LISTS: Final = frozenset({"modules.json"})
"""Files that hold a list."""
_AGAIN: Final = "Upload the file itself"

CONFIG: Final = "config.json"
LENGTHS: Final = ("max_sequence_length", "max_model_length")
_DTYPE: Final = "dtype"

_POSITIONS: Final = (
    "max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "model_max_length", "max_sequence_length", "max_seq_length",
)  # fmt: skip
"""Keys in configurations for the number of tokens that the model has positions for (as vLLM reads them)."""
_STRETCHED: Final = frozenset({"linear", "dynamic", "yarn"})
"""Kinds of ``rope_scaling`` whose ``factor`` multiplies that number."""
_ABSURD: Final = 1e12
_COMPUTES_IN: Final = {"awq": "float16", "gptq": "float16"}
"""``quant_method`` → the only type that its plain kernels compute in (vLLM, "Supported activation dtypes")."""
_SELF_NAMED: Final = ("auto", _COMPUTES_IN["awq"], "half")


class Parameter(Protocol):
    """One parameter of a registration, from the environment file."""

    @property
    def default(self) -> object: ...

    @property
    def max(self) -> float | None: ...

    @property
    def options(self) -> tuple[object, ...] | None: ...


def parse_json(content: bytes) -> tuple[Json] | None:
    """Return the document, or ``None`` if it is not JSON. Read it as servers do: UTF-8, without a byte order mark."""
    try:
        return (json.loads(content.decode()),)
    except (ValueError, RecursionError):
        return None


def look_order(path: str) -> tuple[bool, bool, bool, str]:
    """Return a sort key: files that servers read come first, in every directory, because the number is limited."""
    named_by_servers = PurePosixPath(path).name in READ_BY_SERVERS | _READ_BESIDE
    return (not named_by_servers, "/" in path, suffix_of(path) not in NEEDED, path)


def judge_settings(seen: LookedAt) -> Iterator[Flaw]:
    for path, peek in seen.peeks.items():
        if is_sidecar(path):
            continue
        if peek.head.startswith(LFS_POINTER):
            yield _pointer(path)
        elif "/" not in path and suffix_of(path) == ".json":
            yield from _json(path, peek, seen)
    yield from _own_code(seen.documents)


def _pointer(path: str) -> Flaw:
    what = f"{printable(path)} is a Git LFS pointer, not the file that it stands for"
    remedy = "Run `git lfs pull` before the upload, and upload the file itself"
    return Flaw("source-lfs-pointer", what, remedy, refused=suffix_of(path) in NEEDED)


def _json(path: str, peek: Peek, seen: LookedAt) -> Iterator[Flaw]:
    refused = path in READ_BY_SERVERS
    if not seen.sizes[path]:
        yield Flaw("source-bad-json", f"{path} is empty", _AGAIN, refused)
    elif peek.whole and path not in seen.documents:
        yield Flaw("source-bad-json", f"{path} is not JSON", f"{_AGAIN}, in UTF-8", refused)
    elif path in seen.documents:
        due: type = list if path in _LISTS else dict
        if path in READ_BY_SERVERS and not isinstance(seen.documents[path], due):
            yield Flaw(
                "source-bad-json", f"{path} holds no JSON {'list' if due is list else 'object'}", _AGAIN
            )
    elif not peek.head.lstrip().startswith((b"{", b"[")) or not peek.tail.rstrip().endswith((b"}", b"]")):
        yield Flaw(
            "source-bad-json",
            f"{path} does not begin and end as JSON does: half a file, it seems",
            _AGAIN,
            refused,
        )


def _own_code(documents: Mapping[str, Json]) -> Iterator[Flaw]:
    """Yield a flaw for ``auto_map``: classes of the repository's own (transformers, "Building custom models")."""
    found: dict[str, list[str]] = {}
    for path, document in documents.items():
        table = document.get("auto_map") if isinstance(document, dict) else None
        if table:
            found[path] = sorted(set(_texts(table)))
    if found:
        named_code = sorted({name for names in found.values() for name in names})
        yield warning(
            "source-own-code",
            f"{named(list(found))}: names Python code of its own (auto_map: {named(named_code)}), which a server runs only with"
            " trust_remote_code",
            "Be sure that the server knows the architecture itself: code is not brought along",
        )


def _texts(value: Json) -> Iterator[str]:
    """Yield the texts of a table, a list (in older tokenizers) or a name, in any nesting."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, list | dict):
            left.extend(one.values() if isinstance(one, dict) else one)


def are_judged(parameters: Mapping[str, Parameter]) -> bool:
    """Return whether ``judge_parameters`` can judge any of them."""
    return not parameters.keys().isdisjoint((*LENGTHS, _DTYPE))


def judge_parameters(seen: LookedAt, parameters: Mapping[str, Parameter]) -> Iterator[Flaw]:
    """Compare the registration with what the model says of itself. Only warn: a server may know better."""
    config = seen.documents.get(CONFIG)
    if not isinstance(config, dict):
        return
    yield from _length(config, parameters)
    yield from _dtype(config, parameters)


def _length(config: Mapping[str, Json], parameters: Mapping[str, Parameter]) -> Iterator[Flaw]:
    known = _positions(config)
    if known is None:
        return
    key, positions = known
    for name in LENGTHS:
        parameter = parameters.get(name)
        if parameter is None:
            continue
        above = [
            f"{which} {value}"
            for which, value in (("default", parameter.default), ("max", parameter.max))
            if isinstance(value, int | float) and value > positions
        ]
        if above:
            yield warning(
                "source-parameters",
                f"{name}: {' and '.join(above)}, and config.json says {key}: {positions}",
                f"Write at most {positions}, unless the server stretches the positions",
            )


def _positions(config: Mapping[str, Json]) -> tuple[str, int] | None:
    """Return key and number of positions, with ``rope_scaling``. Models of text and image have it in ``text_config``."""
    inner = config.get("text_config")
    for place, part in (("", config), ("text_config.", inner)):
        if not isinstance(part, dict):
            continue
        for key in _POSITIONS:
            value = part.get(key)
            if isinstance(value, int) and not isinstance(value, bool) and value > 0:
                return f"{place}{key}", _stretched(
                    value, part.get("rope_scaling") or part.get("rope_parameters")
                )
    return None


def _stretched(positions: int, scaling: Json) -> int:
    if not isinstance(scaling, dict) or scaling.get("rope_type", scaling.get("type")) not in _STRETCHED:
        return positions
    factor, original = scaling.get("factor"), scaling.get("original_max_position_embeddings", positions)
    if (
        not isinstance(factor, int | float)
        or not isinstance(original, int | float)
        or not positions < factor * original < _ABSURD
    ):
        return positions
    return int(factor * original)


def _dtype(config: Mapping[str, Json], parameters: Mapping[str, Parameter]) -> Iterator[Flaw]:
    quantization, parameter = config.get("quantization_config"), parameters.get(_DTYPE)
    if not isinstance(quantization, dict) or parameter is None:
        return
    method = str(quantization.get("quant_method", "")).lower()
    computes = _COMPUTES_IN.get(method)
    wanted = [value for value in (parameter.default, *(parameter.options or ())) if value not in _SELF_NAMED]
    if computes is not None and wanted:
        bits = quantization.get("bits", quantization.get("w_bit"))
        said = f"{method}, {bits} bits" if isinstance(bits, int) else method
        yield warning(
            "source-parameters",
            f"dtype: {', '.join(dict.fromkeys(map(str, wanted)))}, and config.json says quantization_config: {said}, which computes in {computes}",
            f"Write {computes}",
        )
