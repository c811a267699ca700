"""Numbers of parameters: public models' configurations against the number that their publishers' files hold."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.mover.safetensors_header import Tensor
from weighbridge.sizing.parameters import cache_bytes, counted, reckoned, shape_of
from weighbridge.sizing.precision import Precision


def config(  # noqa: PLR0913, PLR0917 - columns of a table
    kind: str, hidden: int, layers: int, heads: tuple[int, int], inner: int, vocab: int, **more: Any
) -> dict[str, Any]:
    return {
        "model_type": kind,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads[0],
        "num_key_value_heads": heads[1],
        "intermediate_size": inner,
        "vocab_size": vocab,
        **more,
    }


TIED = {"tie_word_embeddings": True}
PUBLIC = {
    "meta-llama/Meta-Llama-3-8B": (config("llama", 4096, 32, (32, 8), 14336, 128256), 8_030_261_248),
    "meta-llama/Meta-Llama-3-70B": (config("llama", 8192, 80, (64, 8), 28672, 128256), 70_553_706_496),
    "meta-llama/Llama-3.2-1B": (config("llama", 2048, 16, (32, 8), 8192, 128256, head_dim=64, **TIED), 1_235_814_400),
    "TinyLlama/TinyLlama-1.1B-Chat-v1.0": (config("llama", 2048, 22, (32, 4), 5632, 32000), 1_100_048_384),
    "mistralai/Mistral-7B-v0.1": (config("mistral", 4096, 32, (32, 8), 14336, 32000), 7_241_732_096),
    "mistralai/Mixtral-8x7B-v0.1": (config("mixtral", 4096, 32, (32, 8), 14336, 32000, num_local_experts=8), 46_702_792_704),
    "Qwen/Qwen2.5-7B-Instruct": (config("qwen2", 3584, 28, (28, 4), 18944, 152064), 7_615_616_512),
    "Qwen/Qwen2.5-0.5B-Instruct": (config("qwen2", 896, 24, (14, 2), 4864, 151936, **TIED), 494_032_768),
    "microsoft/Phi-3-mini-4k-instruct": (config("phi3", 3072, 32, (32, 32), 8192, 32064), 3_821_079_552),
    "microsoft/Phi-3-medium-4k-instruct": (config("phi3", 5120, 40, (40, 10), 17920, 32064), 13_960_238_080),
}  # fmt: skip
"""Configuration as published, and the number of parameters that the hub shows for the model's safetensors files."""


@pytest.mark.parametrize("model", PUBLIC)
def test_a_configuration_gives_the_number_that_the_files_hold(model: str) -> None:
    published, expected = PUBLIC[model]
    shape = shape_of(published)
    assert shape is not None
    assert reckoned(shape) == expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"model_type": "bert"}, {"hidden_size": 0}, {"hidden_size": "4096"}, {"num_hidden_layers": None}, {"vocab_size": True},
        {"intermediate_size": -1},
    ],
)  # fmt: skip
def test_of_another_kind_or_too_little_nothing_is_reckoned(wrong: dict[str, Any]) -> None:
    assert shape_of(PUBLIC["meta-llama/Meta-Llama-3-8B"][0] | wrong) is None


def test_a_model_of_text_and_image_has_it_in_its_text_part() -> None:
    published, _ = PUBLIC["mistralai/Mistral-7B-v0.1"]
    assert shape_of({"model_type": "llava", "text_config": published}) == shape_of(published)


def test_packed_integers_count_as_the_parameters_that_they_hold() -> None:
    gptq = {
        "l.q_proj.qweight": Tensor("I32", 512 * 4096),
        "l.q_proj.qzeros": Tensor("I32", 32 * 512),
        "l.q_proj.scales": Tensor("F16", 32 * 4096),
        "l.q_proj.g_idx": Tensor("I32", 4096),
        "norm.weight": Tensor("F16", 4096),
    }
    assert counted(gptq.items(), Precision.INT4) == 4096 * 4096 + 4096
    nf4 = {"w.weight": Tensor("U8", 50), "w.weight.absmax": Tensor("F32", 2), "w.weight.quant_state.bitsandbytes__nf4": Tensor("U8", 80)}  # fmt: skip
    assert counted(nf4.items(), Precision.INT4) == 100
    fp8 = {"w.weight": Tensor("F8_E4M3", 64), "w.weight_scale_inv": Tensor("F32", 1)}
    assert counted(fp8.items(), Precision.INT8) == 64
    mxfp4 = {
        "e.gate_up_proj_blocks": Tensor("U8", 16),
        "e.gate_up_proj_scales": Tensor("U8", 1),
        "e.bias": Tensor("BF16", 3),
    }
    assert counted(mxfp4.items(), Precision.INT4) == 35


def test_positions_and_masks_are_no_parameters() -> None:
    bert = {"e.position_ids": Tensor("I64", 512), "e.mask": Tensor("BOOL", 512), "e.ids": Tensor("I32", 9), "e.w": Tensor("F32", 7)}  # fmt: skip
    assert counted(bert.items(), Precision.FP32) == 7
    assert counted(bert.items(), None) == 7


def test_the_cache_of_llama_3_8b() -> None:
    """128 KiB a token in 16 bits: 2 x 32 layers x 8 heads x 128 values x 2 bytes."""
    shape = shape_of(PUBLIC["meta-llama/Meta-Llama-3-8B"][0])
    assert shape is not None
    assert cache_bytes(shape, tokens=1, sequences=1) == 128 * 1024
    assert cache_bytes(shape, tokens=8192, sequences=4) == 4 * 1024**3


@given(
    st.dictionaries(st.text("abc.", min_size=1), st.integers(0, 2**40)), st.sampled_from([None, *Precision])
)
def test_plain_tensors_count_their_elements(tensors: dict[str, int], precision: Precision | None) -> None:
    assert counted(((name, Tensor("BF16", size)) for name, size in tensors.items()), precision) == sum(
        tensors.values()
    )
