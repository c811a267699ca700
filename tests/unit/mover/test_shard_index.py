"""One reading of shard indexes, for the plan and for the mover."""

import json

import pytest

from weighbridge.mover.shard_index import MAX_INDEX, ShardIndexError, parse_index


def test_shards_lie_beside_their_index() -> None:
    content = json.dumps({"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}).encode()
    assert parse_index("model.safetensors.index.json", content) == {
        "a": "1.safetensors",
        "b": "2.safetensors",
    }
    assert parse_index("x/y/m.safetensors.index.json", content) == {
        "a": "x/y/1.safetensors",
        "b": "x/y/2.safetensors",
    }


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"[" * 100_000, "no JSON object"),
        (b'{"weight_map": []}', "no JSON object"),
        ('{"weight_map": {}}'.encode("utf-16"), "no JSON object"),
        (b'\xef\xbb\xbf{"weight_map": {}}', "no JSON object"),
        (b'{"weight_map": {"a": 1}}', "no file's name"),
        (b" " * (MAX_INDEX + 1), "too large"),
    ],
)
def test_what_is_no_index_is_said(content: bytes, why: str) -> None:
    with pytest.raises(ShardIndexError, match=why):
        parse_index("model.safetensors.index.json", content)
