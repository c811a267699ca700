"""IBM's formulas for the hardware that serves a model.

Sources: IBM watsonx documentation, "Creating customized hardware specifications" (GPU memory of LoRA and QLoRA models, GPUs,
CPUs, CPU memory); "Requirements for deploying custom foundation models" (the same without adapters); IBM Software Hub 5.4,
"Partitioning GPU processors" (3 GB of a MIG partition for each billion parameters).

GB here are 10^9 bytes. IBM's page calls an adapter of 128 MB 0.125 GB in two examples and 0.128 in the third, whose result
needs 0.125: so an adapter's MB are divided by 1024, as in all three results.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Final

from weighbridge.sizing.precision import Precision

BILLION: Final = Decimal(10) ** 9
OVERHEAD: Final = Decimal("0.5")
"""IBM: 50 % additional memory."""
USUAL_GPU_GB: Final = 80
"""IBM: 1 GPU = 80 GB."""
MIG_GB_A_BILLION: Final = 3
_MB_OF_AN_ADAPTERS_GB: Final = 1024


@dataclass(frozen=True, slots=True)
class Term:
    """One line of a sum."""

    what: str
    how: str
    """The calculation, with its numbers."""
    gb: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """What serves a model, by IBM's formulas."""

    terms: tuple[Term, ...]
    """They add up to ``gpu_memory_gb``."""
    gpu_memory_gb: Decimal
    """Exact."""
    gpus: int
    cpus: int
    memory_gb: int
    """Of the CPUs: the GPU memory, rounded up to whole GB."""


def adapter_gb(megabytes: int) -> Decimal:
    """Return the size of an adapter in GB, as IBM's examples reckon."""
    return Decimal(megabytes) / _MB_OF_AN_ADAPTERS_GB


def hardware(
    parameters: int, precision: Precision, adapters_gb: Sequence[Decimal] = (), *, gpu_gb: int = USUAL_GPU_GB
) -> Hardware:
    """Return GPU memory, GPUs of ``gpu_gb``, CPUs and memory for ``parameters`` (a number, not billions)."""
    billions, each = Decimal(parameters) / BILLION, precision.served_bytes
    terms = [Term("weights", f"{_plain(billions)} billion parameters * {each} bytes", billions * each)]
    if adapters_gb:
        sizes = " + ".join(_plain(size) for size in adapters_gb)
        terms.append(Term("adapters", f"{sizes} GB", sum(adapters_gb, Decimal())))
    held = sum((term.gb for term in terms), Decimal())
    terms.append(Term("overhead", f"50 % of {_plain(held)} GB", held * OVERHEAD))
    total = held * (1 + OVERHEAD)
    gpus = max(1, whole(total / gpu_gb))
    return Hardware(
        terms=tuple(terms), gpu_memory_gb=total, gpus=gpus, cpus=gpus + 1, memory_gb=max(1, whole(total))
    )


def mig_partition_gb(parameters: int) -> int:
    """Return the least GB of a MIG partition that may hold the model alone."""
    return max(1, whole(Decimal(parameters) / BILLION * MIG_GB_A_BILLION))


def dividing(gpus: int, attention_heads: int, most: int) -> int | None:
    """Return the least number from ``gpus`` to ``most`` that divides the attention heads: a server spreads whole heads over
    GPUs (vLLM, "Distributed inference"). ``None`` if there is none.
    """
    return next((number for number in range(gpus, most + 1) if attention_heads % number == 0), None)


def whole(amount: Decimal) -> int:
    """Round up, as IBM's examples do (30.375 → 31)."""
    return int(amount.to_integral_value(ROUND_CEILING))


def _plain(amount: Decimal) -> str:
    text = f"{amount:.3f}"
    return text.rstrip("0").rstrip(".")
