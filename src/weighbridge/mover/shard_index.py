"""The index of a model in shards: which file holds which tensor. Without side effects.

Names and form are those that transformers writes (``save_pretrained``): ``model.safetensors.index.json``, a JSON
object with a ``weight_map``.
"""

from __future__ import annotations

import json

SUFFIX = ".safetensors.index.json"
MAX_INDEX = 16 << 20
"""Bytes of a shard index; each tensor takes about 100."""
TOO_LARGE = f"it has more than {MAX_INDEX} bytes, too large for a shard index"


class ShardIndexError(ValueError):
    """The content is not a shard index; the message says why."""


def parse_index(path: str, content: bytes) -> dict[str, str]:
    """Return tensor to its shard, both as named in the index ``path``, the shard as a path of the set. Read as UTF-8,
    as servers do.

    Raise ``ShardIndexError``.
    """
    if len(content) > MAX_INDEX:
        raise ShardIndexError(TOO_LARGE)
    try:
        weight_map = json.loads(content.decode())["weight_map"]
        pairs = list(weight_map.items())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ShardIndexError("it is no JSON object with a `weight_map`") from error
    if not all(isinstance(shard, str) for _, shard in pairs):
        raise ShardIndexError("its `weight_map` places a tensor in what is no file's name")
    folder = path.rpartition("/")[0]
    return {name: f"{folder}/{shard}" if folder else shard for name, shard in pairs}
