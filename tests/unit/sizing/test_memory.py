"""IBM's worked examples are the oracles; what they leave open is held by properties."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.sizing.memory import adapter_gb, dividing, hardware, mig_partition_gb, whole
from weighbridge.sizing.precision import Precision

BILLION = 10**9
ADAPTERS = [adapter_gb(128)] * 2


@pytest.mark.parametrize(
    ("precision", "exact", "rounded"),
    [(Precision.FP16, "30.375", 31), (Precision.INT4, "7.875", 8), (Precision.INT8, "15.375", 16)],
)
def test_the_three_examples_of_ibms_page(precision: Precision, exact: str, rounded: int) -> None:
    """10 billion parameters, 2 adapters of 128 MB. The page's third example prints 0.128; its result needs 0.125."""
    found = hardware(10 * BILLION, precision, ADAPTERS)
    assert found.gpu_memory_gb == Decimal(exact)
    assert (found.memory_gb, found.gpus, found.cpus) == (rounded, 1, 2)
    assert sum(term.gb for term in found.terms) == found.gpu_memory_gb


@pytest.mark.parametrize(
    ("billions", "precision", "weights_gb"),
    [
        ("70", Precision.FP16, 140), ("8", Precision.FP16, 16), ("3.8", Precision.FP16, 8), ("14", Precision.FP16, 28),
        ("70", Precision.INT8, 70), ("8", Precision.INT8, 8), ("3.8", Precision.INT8, 4), ("14", Precision.INT8, 14),
        ("70", Precision.INT4, 35), ("8", Precision.INT4, 4), ("3.8", Precision.INT4, 2),
        ("14", Precision.INT4, 7),  # the table prints 14, which is its column for 8 bits
    ],
)  # fmt: skip
def test_the_table_of_llama_3_and_phi_3(billions: str, precision: Precision, weights_gb: int) -> None:
    weights = hardware(int(Decimal(billions) * BILLION), precision).terms[0]
    assert whole(weights.gb) == weights_gb


SIZES = st.integers(min_value=1, max_value=2_000 * BILLION)
PRECISIONS = st.sampled_from(Precision)
GPU_SIZES = st.sampled_from([24, 48, 80, 141])


@given(SIZES, SIZES, PRECISIONS, GPU_SIZES)
def test_more_parameters_never_need_less(one: int, other: int, precision: Precision, gpu_gb: int) -> None:
    small, large = (hardware(size, precision, gpu_gb=gpu_gb) for size in sorted((one, other)))
    assert small.gpu_memory_gb <= large.gpu_memory_gb
    assert (small.gpus, small.cpus, small.memory_gb) <= (large.gpus, large.cpus, large.memory_gb)


@given(SIZES, GPU_SIZES, st.lists(st.integers(1, 4096), max_size=5))
def test_fewer_bits_and_fewer_adapters_never_need_more(
    parameters: int, gpu_gb: int, megabytes: list[int]
) -> None:
    adapters = [adapter_gb(size) for size in megabytes]
    by_bits = [hardware(parameters, precision, adapters, gpu_gb=gpu_gb) for precision in Precision]
    needs = [found.gpu_memory_gb for found in by_bits]
    assert needs == sorted(needs, reverse=True)
    for found, precision in zip(by_bits, Precision, strict=True):
        assert hardware(parameters, precision, adapters[1:], gpu_gb=gpu_gb).gpus <= found.gpus


@given(SIZES, PRECISIONS, GPU_SIZES)
def test_the_gpus_hold_what_they_are_for_and_one_fewer_would_not(
    parameters: int, precision: Precision, gpu_gb: int
) -> None:
    found = hardware(parameters, precision, gpu_gb=gpu_gb)
    assert found.gpus * gpu_gb >= found.gpu_memory_gb
    assert found.gpus == 1 or (found.gpus - 1) * gpu_gb < found.gpu_memory_gb


@pytest.mark.parametrize(
    ("gpus", "heads", "most", "expected"), [(3, 32, 8, 4), (1, 32, 8, 1), (3, 40, 8, 4), (5, 28, 6, None)]
)
def test_the_number_of_gpus_divides_the_attention_heads(
    gpus: int, heads: int, most: int, expected: int | None
) -> None:
    assert dividing(gpus, heads, most) == expected


def test_a_partition_holds_three_gb_for_each_billion() -> None:
    assert [mig_partition_gb(billions * BILLION) for billions in (1, 3, 13)] == [3, 9, 39]
