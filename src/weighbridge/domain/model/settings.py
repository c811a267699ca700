"""The small files of a model: are they there in truth, and do they agree with how the model is registered?"""

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
"""JSON files of the top directory without which, or with a broken one, a server does not start."""
_READ_BESIDE: Final = frozenset({
    "vocab.txt", "merges.txt", "vocab.bpe", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "tekken.json", "chat_template.jinja",
})  # fmt: skip
_LISTS: Final = frozenset({"modules.json"})
"""Those that hold a list."""
_AGAIN: Final = "Upload the file itself"

CONFIG: Final = "config.json"
_LENGTHS: Final = ("max_sequence_length", "max_model_length")
_DTYPE: Final = "dtype"

_POSITIONS: Final = (
    "max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "model_max_length", "max_sequence_length", "max_seq_length",
)  # fmt: skip
"""Keys under which configurations say how many tokens the model knows places for (as vLLM reads them)."""
_STRETCHED: Final = frozenset({"linear", "dynamic", "yarn"})
"""Kinds of ``rope_scaling`` whose ``factor`` multiplies them."""
_ABSURD: Final = 1e12
_COMPUTES_IN: Final = {"awq": "float16", "gptq": "float16"}
"""``quant_method`` → the one type that its plain kernels compute in (vLLM, "Supported activation dtypes")."""
_SELF_NAMED: Final = ("auto", _COMPUTES_IN["awq"], "half")


class Parameter(Protocol):
    """One parameter of a registration, as the environment file has it."""

    @property
    def default(self) -> object: ...

    @property
    def max(self) -> float | None: ...

    @property
    def options(self) -> tuple[object, ...] | None: ...


def parse_json(content: bytes) -> tuple[Json] | None:
    """The document, or ``None`` where it is not JSON. As servers read it: UTF-8, a byte order mark refused."""
    try:
        return (json.loads(content.decode()),)
    except (ValueError, RecursionError):
        return None


def look_order(path: str) -> tuple[bool, bool, bool, str]:
    """What servers read comes first, in the top directory and below it: only so many files are looked at."""
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
    """``auto_map``: classes of the repository's own (transformers, "Building custom models")."""
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
    """Of a table, a list (as older tokenizers have it) or a name, however they are nested."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, list | dict):
            left.extend(one.values() if isinstance(one, dict) else one)


def are_judged(parameters: Mapping[str, Parameter]) -> bool:
    """Whether ``judge_parameters`` could have anything to say of them."""
    return not parameters.keys().isdisjoint((*_LENGTHS, _DTYPE))


def judge_parameters(seen: LookedAt, parameters: Mapping[str, Parameter]) -> Iterator[Flaw]:
    """How it is registered, against what the model says of itself. Warnings: a server may know better."""
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
    for name in _LENGTHS:
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
    """The key and how many places it comes to, ``rope_scaling`` counted in; models of text and image keep it in ``text_config``."""
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
