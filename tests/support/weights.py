"""A small model as files: enough for whatever looks at a source."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path


def safetensors(size: int, tensor: str = "w") -> bytes:
    """One tensor of ``size`` bytes."""
    header = json.dumps({tensor: {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(index % 251 for index in range(size))


MODEL: Mapping[str, bytes] = {
    "config.json": b"{}",
    "tokenizer.json": b"{}",
    "model-00001-of-00002.safetensors": safetensors(5000, "a"),
    "model-00002-of-00002.safetensors": safetensors(300, "b"),
    "model.safetensors.index.json": json.dumps(
        {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    ).encode(),
    "1_Pooling/config.json": b"{}",
    "empty.txt": b"",
    "naïve name [1].txt": b"x",
}


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
