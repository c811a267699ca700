import argparse
from pathlib import Path

import pytest
import yaml

from weighbridge_sandbox.demo import DemoError, check_disk, not_arrived, size_argument, synthetic_environment
from weighbridge_sandbox.feed import Fed, pieces_of_folder, pieces_of_synthetic
from weighbridge_sandbox.models import Synthetic, sha256

GIB = 1 << 30
SANDBOX = Path(__file__).parents[3] / "environments" / "sandbox.yaml"


def test_sizes_as_people_write_them() -> None:
    assert size_argument("8GiB") == size_argument("8Gi") == 8 * GIB
    assert size_argument("1GB") == 10**9
    for wrong in ("lots", "-1GiB", ""):
        with pytest.raises(argparse.ArgumentTypeError, match="8GiB"):
            size_argument(wrong)


def test_the_disk_must_hold_source_spool_volume_and_a_reserve() -> None:
    ask = {"source": 8 * GIB, "spool": 2 * GIB, "volume": 17 * GIB}
    check_disk(free=28 * GIB, volumes=[], **ask)
    with pytest.raises(DemoError, match=r"28\.0 GiB") as refused:
        check_disk(free=28 * GIB - 1, volumes=[16 * GIB], **ask)
    assert refused.value.exit_code == 3
    check_disk(free=11 * GIB, volumes=[17 * GIB], **ask)
    check_disk(free=GIB, volumes=[17 * GIB], source=0, spool=2 * GIB, volume=17 * GIB)


def test_the_generated_environment_differs_in_name_login_and_model_only() -> None:
    differs = {"name", "cluster", "models"}
    sandbox = yaml.safe_load(SANDBOX.read_text())
    made = synthetic_environment(sandbox)
    assert made["name"] == "sandbox-synthetic"
    assert made["cluster"] == {**sandbox["cluster"], "context": "weighbridge-sandbox-synthetic"}
    assert {key: value for key, value in made.items() if key not in differs} == {
        key: value for key, value in sandbox.items() if key not in differs
    }
    models = made["models"]
    assert isinstance(models, list)
    assert [model["id"] for model in models] == ["synthetic"]
    assert models[0]["source"]["s3"]["prefix"] == "synthetic/"
    assert sandbox["models"][0]["source"]["s3"]["prefix"] == "tiny-llama/", "the original is untouched"


def test_a_synthetic_model_is_made_a_shard_at_a_time(tmp_path: Path) -> None:
    model = Synthetic(1 << 20)
    written = []
    for piece in pieces_of_synthetic(model, tmp_path):
        path, digest = piece.write()
        assert path.stat().st_size == piece.size
        assert digest == sha256(path)
        written.append(piece.path)
        if not piece.keep:
            path.unlink()
    assert {"config.json", "tokenizer.json", *(name for name, _ in model.shards())} <= set(written)


def test_a_folder_is_taken_with_its_nested_files(tmp_path: Path) -> None:
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"x" * 10)
    assert [(piece.path, piece.size) for piece in pieces_of_folder(tmp_path)] == [
        ("1_Pooling/config.json", 2),
        ("model.safetensors", 10),
    ]


def test_a_model_counts_as_arrived_only_with_its_digest_and_registered() -> None:
    fed = [Fed("a", 1, 1, 1, "sha256:aa"), Fed("b", 1, 1, 1, "sha256:bb")]

    def said(model: str, digest: str | None, *, registered: bool) -> dict[str, object]:
        return {"model": model, "registered": registered, "receipt": digest and {"set_digest": digest}}

    right = [said("a", "sha256:aa", registered=True), said("b", "sha256:bb", registered=True)]
    assert not_arrived({"models": right}, fed) == []
    other = [said("a", "sha256:xx", registered=True), said("b", "sha256:bb", registered=False)]
    assert not_arrived({"models": other}, fed) == [
        "a is sha256:xx in the cluster and sha256:aa in S3",
        "b is not registered",
    ]
    assert not_arrived({"models": [said("a", None, registered=False)]}, fed) == [
        "a is absent in the cluster and sha256:aa in S3",
        "b is absent in the cluster and sha256:bb in S3",
    ]
