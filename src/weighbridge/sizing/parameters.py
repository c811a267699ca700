"""How many parameters a model has: counted from its safetensors headers, or reckoned from its ``config.json``."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from weighbridge.domain.digest import Json
from weighbridge.mover.safetensors_header import BITS, Tensor
from weighbridge.sizing.precision import Precision

_NO_PARAMETERS: Final = frozenset({
    "scales", "qzeros", "g_idx", "weight_scale", "weight_scale_inv", "weight_zero_point", "weight_g_idx", "weight_shape", "input_scale",
    "k_scale", "v_scale", "absmax", "nested_absmax", "quant_map", "nested_quant_map", "inv_freq", "masked_bias", "SCB",
})  # fmt: skip
"""Last parts of the names of tensors that go with parameters and are none: scales, zero points and other tables."""
_NO_PARAMETERS_ENDS: Final = ("_scales", "bitsandbytes__nf4", "bitsandbytes__fp4")
_PACKING: Final = frozenset({"U8", "I8", "U16", "I16", "U32", "I32"})
"""Types that hold parameters only where several are packed into one value."""
_NEVER: Final = frozenset({"BOOL", "I64", "U64"})
"""Masks and positions."""


def counted(tensors: Iterable[tuple[str, Tensor]], precision: Precision | None) -> int:
    """Return the number of parameters in tensors, by name.

    A quantized model packs several parameters into one integer (GPTQ and AWQ: eight of 4 bits into 32): with its
    ``precision`` an integer counts as so many. In any other model integers are positions and masks, and do not count.
    Nor do the tables that go with packed integers.
    """
    bits = precision.bits if precision is not None and precision.quantized else None
    total = 0
    for name, tensor in tensors:
        last = name.rpartition(".")[2]
        if last in _NO_PARAMETERS or last.endswith(_NO_PARAMETERS_ENDS):
            continue
        if tensor.dtype in _PACKING:
            total += tensor.elements * BITS[tensor.dtype] // bits if bits is not None else 0
        elif tensor.dtype not in _NEVER:
            total += tensor.elements
    return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What of a decoder's configuration its size follows from."""

    hidden: int
    layers: int
    heads: int
    key_value_heads: int
    head_width: int
    inner: int
    """``intermediate_size``: of one expert, where there are several."""
    vocabulary: int
    tied: bool
    """The first and the last matrix are one."""
    experts: int = 1
    biased: bool = False
    """Query, key and value have a bias (Qwen 2)."""


def shape_of(config: Mapping[str, Json]) -> Shape | None:
    """Return the shape of a decoder like Llama (gated MLP, RMS norms); ``None`` if the configuration says another or too little.

    Keys are those of transformers' configuration classes. A model of text and image has them in ``text_config``.
    """
    inner = config.get("text_config")
    part = inner if isinstance(inner, dict) else config
    if part.get("model_type") not in _LIKE_LLAMA:
        return None
    numbers = {key: _whole(part.get(key)) for key in _NEEDED}
    if not all(numbers.values()):
        return None
    hidden, heads = numbers["hidden_size"], numbers["num_attention_heads"]
    return Shape(
        hidden=hidden,
        layers=numbers["num_hidden_layers"],
        heads=heads,
        key_value_heads=_whole(part.get("num_key_value_heads")) or heads,
        head_width=_whole(part.get("head_dim")) or hidden // heads,
        inner=numbers["intermediate_size"],
        vocabulary=numbers["vocab_size"],
        tied=part.get("tie_word_embeddings", config.get("tie_word_embeddings", False)) is True,
        experts=_whole(part.get("num_local_experts")) or 1,
        biased=part.get("model_type") == "qwen2",
    )


_NEEDED: Final = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "vocab_size",
)
_LIKE_LLAMA: Final = frozenset({"llama", "mistral", "mixtral", "qwen2", "phi3", "granite"})
"""``model_type``s whose layers are those that ``reckoned`` adds up."""


def reckoned(shape: Shape) -> int:
    """Return the number of parameters that follows from a shape."""
    queries, keys = shape.heads * shape.head_width, shape.key_value_heads * shape.head_width
    attention = (
        2 * shape.hidden * queries + 2 * shape.hidden * keys + (queries + 2 * keys if shape.biased else 0)
    )
    router = shape.hidden * shape.experts if shape.experts > 1 else 0
    mlp = 3 * shape.hidden * shape.inner * shape.experts + router
    layer = attention + mlp + 2 * shape.hidden
    matrices = shape.vocabulary * shape.hidden * (1 if shape.tied else 2)
    return matrices + shape.layers * layer + shape.hidden


def cache_bytes(shape: Shape, *, tokens: int, sequences: int, value_bytes: int = 2) -> int:
    """Return the bytes of keys and values that ``sequences`` of ``tokens`` each need at once: an estimate beside IBM's formulas
    (vLLM's ``FullAttentionSpec``: two values a layer, head and token).
    """
    return 2 * shape.layers * shape.key_value_heads * shape.head_width * value_bytes * tokens * sequences


def _whole(value: Json) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
