"""In how many bits a model's parameters are stored, as its ``config.json`` says it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Final

from weighbridge.domain.digest import Json
from weighbridge.mover.safetensors_header import Tensor


class Precision(StrEnum):
    """Bits of one parameter, as people name them."""

    FP32 = "fp32"
    FP16 = "fp16"
    """Or bfloat16: the same size."""
    INT8 = "8-bit"
    """Also fp8."""
    INT4 = "4-bit"

    @property
    def bits(self) -> int:
        """Bits of one parameter in the files."""
        return _BITS[self]

    @property
    def served_bytes(self) -> Decimal:
        """Bytes of one parameter in the GPU's memory by IBM's formulas. Weights in fp32 are served in 16 bits."""
        return Decimal(min(self.bits, Precision.FP16.bits)) / 8

    @property
    def quantized(self) -> bool:
        return self.bits < Precision.FP16.bits


_BITS: Final = {Precision.FP32: 32, Precision.FP16: 16, Precision.INT8: 8, Precision.INT4: 4}
_OF_BITS: Final = {precision.bits: precision for precision in Precision}
_METHODS: Final = {"fp8": 8, "mxfp4": 4, "awq": 4}
"""``quant_method`` → bits, if the configuration says nothing else."""
_DTYPES: Final = {"float32": 32, "float": 32, "float16": 16, "half": 16, "bfloat16": 16}
_BIT_KEYS: Final = ("bits", "w_bit", "num_bits")


def precision_of(config: Mapping[str, Json]) -> Precision | None:
    """Return the precision that a model's configuration names; ``None`` if it names none that is known.

    ``quantization_config`` (transformers, "Quantization") comes before ``torch_dtype`` or ``dtype``. A model of text and
    image may hold the latter in ``text_config``.
    """
    quantization = config.get("quantization_config")
    if isinstance(quantization, dict):
        return _OF_BITS.get(next(_bits(quantization), 0))
    for part in (config, config.get("text_config")):
        if isinstance(part, dict):
            named = part.get("torch_dtype", part.get("dtype"))
            if isinstance(named, str) and (bits := _DTYPES.get(named.removeprefix("torch."))):
                return _OF_BITS[bits]
    return None


def precision_held(tensors: Iterable[Tensor]) -> Precision | None:
    """Return the precision in which most values are stored; ``None`` if that is no type of weights.

    Only for a model that is not quantized by its configuration: integers may hold several parameters each.
    """
    held: Counter[str] = Counter()
    for tensor in tensors:
        held[tensor.dtype] += tensor.elements
    return _HELD.get(held.most_common(1)[0][0]) if held else None


_HELD: Final = {
    "F32": Precision.FP32, "F16": Precision.FP16, "BF16": Precision.FP16, "F8_E4M3": Precision.INT8, "F8_E5M2": Precision.INT8,
}  # fmt: skip


def _bits(quantization: Mapping[str, Json]) -> Iterator[int]:
    for key in _BIT_KEYS:
        value = quantization.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            yield value
    if quantization.get("load_in_4bit") is True:
        yield 4
    if quantization.get("load_in_8bit") is True:
        yield 8
    groups = quantization.get("config_groups")  # compressed-tensors
    for group in groups.values() if isinstance(groups, dict) else ():
        weights = group.get("weights") if isinstance(group, dict) else None
        if isinstance(weights, dict):
            yield from _bits(weights)
    method = str(quantization.get("quant_method", "")).lower()
    if method in _METHODS:
        yield _METHODS[method]
