import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from tokenizers import Tokenizer

from weighbridge_sandbox import models, tiny_tokenizer
from weighbridge_sandbox.models import (
    HEADER_BYTES,
    TINY,
    ModelError,
    Noise,
    Synthetic,
    write_small_llama,
    write_synthetic,
)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_equal_seeds_give_equal_bytes_and_others_do_not(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_small_llama(tmp_path / name, seed=seed, shape=TINY)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert contents(tmp_path / "a") != contents(tmp_path / "c")


def test_the_small_llama_is_laid_out_as_transformers_saves_one(tmp_path: Path) -> None:
    write_small_llama(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    shards = sorted(path.name for path in tmp_path.glob("*.safetensors"))
    assert len(shards) == 4
    assert set(index["weight_map"].values()) == set(shards)
    total = 0
    for shard in shards:
        with safe_open(tmp_path / shard, framework="numpy") as file:
            assert file.metadata() == {"format": "pt"}
            for name in file.keys():  # noqa: SIM118 - not a mapping
                assert index["weight_map"][name] == shard
                tensor = file.get_tensor(name)
                assert tensor.dtype == np.float16
                total += tensor.nbytes
        assert (tmp_path / shard).stat().st_mode & 0o777 == 0o644
    assert total == index["metadata"]["total_size"]
    assert config["vocab_size"] == tiny_tokenizer.SIZE
    assert len(index["weight_map"]) == 3 + 9 * config["num_hidden_layers"]


@given(st.text())
def test_the_tokenizer_gives_back_any_text(text: str) -> None:
    tokenizer = tiny_tokenizer.build()
    assert tokenizer.get_vocab_size() == 300
    if not any(special in text for special in tiny_tokenizer.SPECIAL):
        assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_the_tokenizer_file_loads(tmp_path: Path) -> None:
    tiny_tokenizer.write(tmp_path)
    assert Tokenizer.from_file(str(tmp_path / "tokenizer.json")).token_to_id("</s>") == tiny_tokenizer.EOS
    assert "assistant" in json.loads((tmp_path / "tokenizer_config.json").read_text())["chat_template"]


@given(st.integers(2 * HEADER_BYTES, 40 << 30))
def test_synthetic_shards_add_up_and_stay_below_two_gib(size: int) -> None:
    shards = Synthetic(size).shards()
    assert sum(length for _, length in shards) == size
    assert max(length for _, length in shards) <= 2 << 30
    assert len({name for name, _ in shards}) == len(shards)


@settings(deadline=None, max_examples=8)
@given(st.integers(2 * HEADER_BYTES, 20 << 20))
def test_synthetic_files_are_valid_and_of_the_size_asked_for(
    tmp_path_factory: pytest.TempPathFactory, size: int
) -> None:
    folder = tmp_path_factory.mktemp("synthetic")
    write_synthetic(folder, size)
    shards = sorted(folder.glob("*.safetensors"))
    assert sum(shard.stat().st_size for shard in shards) == size
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    for shard in shards:
        with safe_open(shard, framework="numpy") as file:
            assert {name for name, where in index["weight_map"].items() if where == shard.name} == set(
                file.keys()
            )
    assert {"config.json", "tokenizer.json"} <= {path.name for path in folder.iterdir()}


def test_noise_does_not_repeat_itself() -> None:
    blocks = [bytes(block) for block in Noise(0).blocks(3 * models.BLOCK_BYTES + 5)]
    assert [len(block) for block in blocks] == [models.BLOCK_BYTES] * 3 + [5]
    assert len(set(blocks)) == 4
    assert bytes(next(Noise(1).blocks(16))) != blocks[0][:16]


def test_too_small_and_too_large_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="too small"):
        write_synthetic(tmp_path, 100)
    with pytest.raises(ModelError, match="do not fit"):
        write_synthetic(tmp_path, 1 << 60)
    assert list(tmp_path.iterdir()) == []
