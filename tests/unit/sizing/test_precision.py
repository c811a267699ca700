"""Configurations as their publishers wrote them, cut to what names the precision."""

from typing import Any

import pytest

from weighbridge.mover.safetensors_header import Tensor
from weighbridge.sizing.precision import Precision, precision_held, precision_of


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"torch_dtype": "bfloat16"}, Precision.FP16),
        ({"dtype": "float32"}, Precision.FP32),
        ({"torch_dtype": "torch.float16"}, Precision.FP16),
        ({"text_config": {"torch_dtype": "bfloat16"}}, Precision.FP16),
        ({"torch_dtype": "float16", "quantization_config": {"quant_method": "gptq", "bits": 4}}, Precision.INT4),
        ({"torch_dtype": "float16", "quantization_config": {"quant_method": "gptq", "bits": 8}}, Precision.INT8),
        ({"quantization_config": {"quant_method": "awq", "w_bit": 4}}, Precision.INT4),
        ({"quantization_config": {"quant_method": "awq"}}, Precision.INT4),
        ({"quantization_config": {"quant_method": "fp8", "activation_scheme": "dynamic"}}, Precision.INT8),
        ({"quantization_config": {"quant_method": "mxfp4"}}, Precision.INT4),
        ({"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}, Precision.INT4),
        ({"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}}, Precision.INT8),
        (
            {"quantization_config": {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": 8}}}}},
            Precision.INT8,
        ),
        ({"quantization_config": {"quant_method": "gptq", "bits": 3}}, None),
        ({"quantization_config": {"quant_method": "new"}, "torch_dtype": "float16"}, None),
        ({}, None),
        ({"torch_dtype": 7, "text_config": []}, None),
        ({"quantization_config": {"bits": True, "config_groups": [1]}}, None),
    ],
)  # fmt: skip
def test_the_precision_that_a_configuration_names(config: dict[str, Any], expected: Precision | None) -> None:
    assert precision_of(config) is expected


def test_what_most_values_are_stored_in_decides_where_the_configuration_is_silent() -> None:
    assert precision_held([Tensor("F32", 10), Tensor("BF16", 90)]) is Precision.FP16
    assert precision_held([Tensor("F8_E4M3", 90), Tensor("F32", 2)]) is Precision.INT8
    assert precision_held([Tensor("I32", 90), Tensor("F16", 2)]) is None
    assert precision_held([]) is None
