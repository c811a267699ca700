"""``weighbridge size`` over a model in a folder: what a user sees, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file

from weighbridge.cli import parser, run
from weighbridge.sizing.memory import USUAL_GPU_GB

LLAMA = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "intermediate_size": 128,
    "vocab_size": 100,
    "torch_dtype": "float16",
}


def environment(folder: Path, config: dict[str, Any] | None, **tensors: Any) -> str:
    model = folder / "m"
    model.mkdir()
    if config is not None:
        (model / "config.json").write_text(json.dumps(config))
    (model / "tokenizer.json").write_text("{}")
    save_file(tensors or {"w": np.zeros((10, 10), np.float16)}, model / "model.safetensors")
    file = folder / "e.yaml"
    file.write_text(
        yaml.safe_dump(
            {
                "name": "e",
                "cluster": {"context": "nowhere", "namespace": "cpd"},
                "platform": {"version": "5.2"},
                "state": {"backend": "file:///nowhere", "passphrase": {"env": "PASS"}},
                "pods": {"image": f"r.example.com/p@sha256:{'0' * 64}"},
                "models": [
                    {
                        "id": "own",
                        "source": {"folder": {"path": str(model)}},
                        "storage": {"storage_class": "x"},
                        "parameters": {"max_sequence_length": {"default": 1024}},
                    }
                ],
            }
        )
    )
    return str(file)


@pytest.fixture(autouse=True)
def _var(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIGHBRIDGE_VAR", str(tmp_path / "var"))


def sized(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    assert run(["size", *argv, "--json"]) == 0
    [model] = json.loads(capsys.readouterr().out)["models"]
    assert isinstance(model, dict)
    return model


def test_parameters_are_counted_and_the_sum_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = environment(tmp_path, LLAMA)
    assert run(["size", file]) == 0
    screen = capsys.readouterr().out
    assert "own: 100 parameters (counted in the headers of 1 safetensors file), fp16 (config.json)" in screen
    assert "1 GPU of 80 GB" in screen
    # 2 values x 2 layers x 2 heads x 8 values x 2 bytes x 1024 tokens
    assert "128.0 KiB for 1024 tokens of 1 sequence" in screen
    assert '"num_gpu": 1' in screen


def test_ibms_example_with_adapters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = environment(tmp_path, LLAMA)
    told = ["--parameters", "10000000000", "--adapter", "128", "--adapter", "128"]
    found = sized(capsys, file, "own", *told)
    assert (found["gpu_memory_gb"], found["gpus"], found["cpus"], found["memory_gb"]) == ("30.3750", 1, 2, 31)
    assert found["hardware_specification"]["nodes"] == {
        "cpu": {"units": "2"},
        "mem": {"size": "31Gi"},
        "gpu": {"num_gpu": 1},
    }


def test_gpus_that_cannot_share_the_heads_are_named_with_what_can(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = sized(capsys, environment(tmp_path, LLAMA), "--parameters", "100000000000")
    assert found["gpus"] == 4
    assert found["warnings"] == ["4 GPUs cannot share 6 attention heads evenly, as servers do: take 6"]
    assert found["mig_gb"] is None


def test_without_a_word_of_the_configuration_the_tensors_decide(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = environment(tmp_path, {"model_type": "bert"}, w=np.zeros((3, 5), np.float32))
    found = sized(capsys, file)
    assert (found["parameters"], found["precision"], found["precision_from"]) == (15, "fp32", "most tensors")
    assert found["cache_bytes"] is None


def test_what_a_quantized_model_would_need_in_16_bits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quantized = {**LLAMA, "quantization_config": {"quant_method": "gptq", "bits": 4}}
    file = environment(tmp_path, quantized, **{"q.qweight": np.zeros((8, 8), np.int32)})
    assert (sized(capsys, file)["parameters"], sized(capsys, file)["precision"]) == (512, "4-bit")
    wider = sized(capsys, file, "--precision", "fp16")
    assert (wider["parameters"], wider["precision"]) == (512, "fp16")


def test_weights_that_lie_there_twice_count_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = environment(tmp_path, LLAMA)
    save_file({"other": np.zeros((10, 10), np.float16)}, tmp_path / "m" / "consolidated.safetensors")
    assert sized(capsys, file)["parameters"] == 100


def test_a_quantization_of_unknown_bits_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = environment(tmp_path, {**LLAMA, "quantization_config": {"quant_method": "new"}})
    assert run(["size", file]) == 3
    assert "--precision fp32|fp16|8-bit|4-bit" in capsys.readouterr().err


def test_a_model_that_the_file_does_not_have_is_wrong_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["size", environment(tmp_path, LLAMA), "other"]) == 2
    assert "models: own" in capsys.readouterr().err


def test_the_usual_gpu_is_ibms() -> None:
    assert parser().parse_args(["size", "stage"]).gpu == USUAL_GPU_GB


@pytest.mark.parametrize(
    "wrong", [["--parameters", "0"], ["--gpu", "-3"], ["--precision", "3-bit"], ["--tokens", "x"]]
)
def test_wrong_numbers_are_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(["size", "stage", *wrong])
    assert ended.value.code == 2
    assert wrong[0] in capsys.readouterr().err
