"""What is no model is found before a byte moves, with the file, what is wrong and what would be right; what is one stays one."""

import json
import pickle
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from support.places import MemoryPlace
from support.weights import MODEL
from weighbridge.domain.model.flaws import Flaw
from weighbridge.domain.model.judge import refusal
from weighbridge.domain.model.looked_at import HEAD_BYTES, LARGEST_JSON, TAIL_BYTES
from weighbridge.environment.types import Parameter
from weighbridge.errors import PreconditionError
from weighbridge.sources import looking
from weighbridge.sources.looking import look
from weighbridge_sandbox.models import TINY, Synthetic, write_small_llama

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 17477929\n"
APPLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        "


def weights(*tensors: str, metadata: Mapping[str, str] | None = None) -> bytes:
    return save(
        {name: np.zeros(4, dtype="f2") for name in tensors}, metadata=dict(metadata or {"format": "pt"})
    )


def config(**more: object) -> bytes:
    return json.dumps({"architectures": ["LlamaForCausalLM"], "model_type": "llama", **more}).encode()


def index(**places: str) -> bytes:
    return json.dumps({"metadata": {"total_size": 0}, "weight_map": places}).encode()


def model(files: Mapping[str, bytes | None]) -> dict[str, bytes]:
    """A small model that is one; ``None`` leaves a file out."""
    whole: dict[str, bytes | None] = {
        "config.json": config(max_position_embeddings=4096),
        "tokenizer.json": b'{"version": "1.0", "model": {"type": "BPE"}}',
        "tokenizer_config.json": b"{}",
        "model.safetensors": weights("a"),
        **files,
    }
    return {path: content for path, content in whole.items() if content is not None}


def flaws(files: Mapping[str, bytes | None], **parameters: Parameter) -> tuple[Flaw, ...]:
    return look(MemoryPlace(model(files)), parameters=parameters).flaws


def only(files: Mapping[str, bytes | None], **parameters: Parameter) -> Flaw:
    found = flaws(files, **parameters)
    assert len(found) == 1, found
    assert found[0].remedy
    return found[0]


def shards(*numbers: int, of: int, stem: str = "model") -> dict[str, bytes | None]:
    return {f"{stem}-{n:05d}-of-{of:05d}.safetensors": weights(f"{stem}{n}") for n in numbers}


def many(name: str) -> dict[str, bytes | None]:
    """As many small files as are looked at."""
    return {name.format(number): b"{}" for number in range(looking.MAX_PEEKS)}


TWO = {**shards(1, 2, of=2), "model.safetensors": None}
TWO_INDEX = index(model1="model-00001-of-00002.safetensors", model2="model-00002-of-00002.safetensors")

REFUSED: dict[str, tuple[dict[str, bytes | None], str, tuple[str, ...]]] = {
    "pointer": ({"tokenizer.json": POINTER}, "source-lfs-pointer", ("tokenizer.json", "Git LFS pointer", "git lfs pull")),
    "pointer of a vocabulary": ({"vocab.txt": POINTER}, "source-lfs-pointer", ("vocab.txt",)),
    "empty": ({"config.json": b""}, "source-bad-json", ("config.json is empty",)),
    "broken": ({"config.json": b'{"model_type": "llama", }'}, "source-bad-json", ("config.json is not JSON",)),
    "latin": ({"generation_config.json": b'{"a": "\xe9"}'}, "source-bad-json", ("UTF-8",)),
    "list": ({"config.json": b"[]"}, "source-bad-json", ("config.json holds no JSON object",)),
    "half of a long one": (
        {"tokenizer.json": b'{"a": "' + b"x" * LARGEST_JSON}, "source-bad-json", ("tokenizer.json", "half a file"),
    ),
    "page": ({"tokenizer.json": b"<html>" * 400_000}, "source-bad-json", ("tokenizer.json",)),
    "shard": (
        {**shards(1, 3, of=3), "model.safetensors": None}, "source-missing-shards", ("model-00002-of-00003.safetensors is not there",),
    ),
    "two uploads": ({**TWO, **shards(1, 2, 3, of=3)}, "source-two-sets", ("model-00001-of-00003", "exclude")),
    "no tensors": ({"model.safetensors": weights()}, "source-no-tensors", ("model.safetensors", "no tensor")),
    "index": (
        {**TWO, "model.safetensors.index.json": index(model1="model-00001-of-00002.safetensors", b="model-00002-of-00002.safetensors")},
        "source-index-contradicts",
        ("places tensor b in model-00002-of-00002.safetensors", "no file holds it"),
    ),
    "index the wrong way round": (
        {**TWO, "model.safetensors.index.json": index(model1="model-00002-of-00002.safetensors", model2="model-00001-of-00002.safetensors")},
        "source-index-contradicts",
        ("it lies in model-00001-of-00002.safetensors", "2 tensors"),
    ),
    "index below": (
        {"draft/model.safetensors.index.json": index(a="gone.safetensors")}, "source-missing-shards", ("draft/gone.safetensors",),
    ),
    "index below that is none": (
        {"x/e.safetensors.index.json": b'{"weight_map": {"a": 1}}'}, "source-bad-index", ("x/e.safetensors.index.json", "weight_map"),
    ),
    "index below, nested without end": ({"x/e.safetensors.index.json": b"[" * 100_000}, "source-bad-index", ("x/e.safetensors.index.json",)),
    "program behind many files": (
        {**many("{:04}.json"), "vocab.txt": b"\x7fELF" + bytes(50)}, "source-refused-kind", ("vocab.txt",),
    ),
    "pointer behind many files": (
        {**many("a/{:04}.json"), "b/vocab.txt": POINTER}, "source-lfs-pointer", ("b/vocab.txt",),
    ),
    "adapter": (
        {"model.safetensors": None, "adapter_config.json": b"{}", "adapter_model.safetensors": weights("a.lora_A.weight")},
        "source-adapter",
        ("adapter_model.safetensors", "merge"),
    ),
    "adapter under another name": (
        {"model.safetensors": weights("base.q.lora_A.weight", "base.q.lora_B.weight")}, "source-adapter", ("model.safetensors",),
    ),
    "sidecars": (
        {"._model.safetensors": APPLE, "._config.json": APPLE, "a/.DS_Store": b"x", "__MACOSX/x": b"y"},
        "source-sidecars",
        ("._model.safetensors", "a/.DS_Store", '"._*"'),
    ),
    "code": ({"modeling_weird.py": b"import os\n"}, "source-refused-kind", ("modeling_weird.py", 'exclude: ["*.py"]')),
    "pickle": ({"extra.dat": pickle.dumps({"a": print})}, "source-refused-kind", ("extra.dat: a pickle", '"extra.dat"')),
    "early pickle": ({"extra": pickle.dumps(np.zeros(1), protocol=0)}, "source-refused-kind", ("extra: a pickle",)),
    "pickle with a suffix in capitals": ({"evil.SAFETENSORS": pickle.dumps(print)}, "source-refused-kind", ("evil.SAFETENSORS: a pickle",)),
    "pickle as JSON": ({"1_Pooling/x.json": pickle.dumps(print)}, "source-refused-kind", ("1_Pooling/x.json: a pickle",)),
    "program": ({"vocab.txt": b"\x7fELF\x02\x01\x01" + bytes(50)}, "source-refused-kind", ("vocab.txt: a program (ELF)",)),
}  # fmt: skip


@pytest.mark.parametrize(("files", "code", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_model_is_refused_with_what_would_be_right(
    files: dict[str, bytes | None], code: str, words: tuple[str, ...]
) -> None:
    found = [flaw for flaw in flaws(files) if flaw.refused]
    assert [flaw.code for flaw in found] == [code]
    error = refusal(found, "model m")
    assert isinstance(error, PreconditionError)
    assert error.code == code
    for word in words:
        assert word in str(error)


SUSPECT: dict[str, tuple[dict[str, bytes | None], str, tuple[str, ...]]] = {
    "consolidated": (
        {**TWO, "model.safetensors.index.json": TWO_INDEX, "consolidated.safetensors": weights("x")},
        "source-weights-twice",
        ("consolidated.safetensors", "exclude"),
    ),
    "consolidated, one file": (
        {"consolidated.safetensors": weights("x")}, "source-weights-twice", ("consolidated.safetensors",),
    ),
    "an earlier upload": (
        {**TWO, "model.safetensors.index.json": TWO_INDEX, **shards(1, 2, 3, of=3)},
        "source-weights-twice",
        ("model-00003-of-00003.safetensors", "named by no index"),
    ),
    "the same tensor": ({"again.safetensors": weights("a")}, "source-weights-twice", ("model.safetensors",)),
    "another format": ({"model.gguf": b"GGUF" + bytes(100)}, "source-weights-twice", ("model.gguf", '"*.gguf"')),
    "no index": (TWO, "source-no-index", ("model-00001-of-00002.safetensors",)),
    "adapter beside": (
        {"adapter_config.json": b"{}", "adapter_model.safetensors": weights("z.lora_A.w")}, "source-adapter", ("adapter_model",),
    ),
    "mlx": ({"model.safetensors": weights("a", metadata={"format": "mlx"})}, "source-other-framework", ("format: mlx",)),
    "own code": (
        {"config.json": config(auto_map={"AutoModelForCausalLM": "modeling_weird.W"})},
        "source-own-code",
        ("config.json", "modeling_weird.W", "trust_remote_code"),
    ),
    "own code as a list": (
        {"tokenizer_config.json": b'{"auto_map": ["tokenization_weird.Slow", null]}'}, "source-own-code", ("tokenization_weird.Slow",),
    ),
    "own code below": (
        {"encoder/config.json": config(auto_map={"AutoModel": [["modeling_weird.W"]]}, more="x" * HEAD_BYTES)},
        "source-own-code",
        ("encoder/config.json", "modeling_weird.W"),
    ),
    "weights with a suffix in capitals": ({"model.SAFETENSORS": weights("a")}, "source-unknown-kind", ("model.SAFETENSORS",)),
    "unknown": ({"notes.xyz": b"hello"}, "source-unknown-kind", ("notes.xyz",)),
    "a picture's pointer": ({"logo.png": POINTER}, "source-lfs-pointer", ("logo.png",)),
    "no matter": ({"training_state.json": b"{"}, "source-bad-json", ("training_state.json",)),
}  # fmt: skip


@pytest.mark.parametrize(("files", "code", "words"), SUSPECT.values(), ids=SUSPECT)
def test_what_a_server_may_get_along_with_is_said_and_not_refused(
    files: dict[str, bytes | None], code: str, words: tuple[str, ...]
) -> None:
    flaw = only(files)
    assert (flaw.code, flaw.refused) == (code, False)
    for word in words:
        assert word in flaw.told


FINE: dict[str, dict[str, bytes | None]] = {
    "plain": {},
    "no metadata": {"model.safetensors": save({"a": np.zeros(4, dtype="f2")})},
    "shards": {**TWO, "model.safetensors.index.json": TWO_INDEX},
    "words": {
        "vocab.txt": b"cat\ndog\ntable\n",
        "merges.txt": b"#version: 0.2\na b\n",
        "README.md": b"# M",
        "LICENSE": b"MIT",
    },
    "empty text": {
        "empty.txt": b"",
        "tokenizer.model": b"\n\x0e\n\x05<unk>",
        "chat_template.jinja": b"{{ x }}",
    },
    "index of what is left behind": {
        "pytorch_model.bin.index.json": index(a="pytorch_model-00001-of-00002.bin")
    },
    "a long tokenizer": {"tokenizer.json": b'{"a": "' + b"x" * LARGEST_JSON + b'"}\n'},
    "sentence transformer": {
        "modules.json": b"[]",
        "1_Pooling/config.json": b"{}",
        ".gitattributes": b"* text",
    },
}


@pytest.mark.parametrize("files", FINE.values(), ids=FINE)
def test_a_model_is_one(files: dict[str, bytes | None]) -> None:
    assert flaws(files) == ()


def test_the_models_of_the_sandbox_and_of_the_tests_are_fine(tmp_path: Path) -> None:
    write_small_llama(tmp_path / "llama", shape=TINY)
    synthetic = Synthetic(1 << 20)
    synthetic.write_small_files(tmp_path / "big")
    synthetic.write_shard(tmp_path / "big", 1)
    for folder in (tmp_path / "llama", tmp_path / "big"):
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        assert look(MemoryPlace(files)).flaws == ()
    assert look(MemoryPlace(MODEL)).flaws == ()


def test_a_zip_is_found_behind_something_else() -> None:
    archive = BytesIO(b"#" * 3000)
    archive.seek(0, 2)
    with zipfile.ZipFile(archive, "a") as writing:
        writing.writestr("archive/data.pkl", pickle.dumps(print))
    assert "ZIP archive with something in front" in only({"extra.dat": archive.getvalue()}).what


@pytest.mark.parametrize(
    "name",
    [
        "m.pth.tar",
        "m.pkl.zip",
        "a.npy",
        "a.npz",
        "m.keras",
        "m.h5",
        "m.py",
        "m.so",
        "m.pyc",
        "m.pt2.gz",
        "m.onnx.tar",
        "x.dll",
        "x.sh",
        "x.ipynb",
        "x.nemo",
        "x.jar",
        "X.PY",
    ],
)
def test_what_can_carry_code_is_refused_by_its_name(name: str) -> None:
    flaw = only({name: b"nothing to see"})
    assert (flaw.code, flaw.refused) == ("source-refused-kind", True)
    assert name in flaw.what


@pytest.mark.parametrize(
    ("content", "code"), [(pickle.dumps(print), "source-refused-kind"), (POINTER, "source-lfs-pointer")]
)
def test_what_is_called_an_index_below_the_top_is_looked_at_where_it_is_none(
    content: bytes, code: str
) -> None:
    found = flaws({"x/e.safetensors.index.json": content})
    assert {(flaw.code, flaw.refused) for flaw in found} == {("source-bad-index", True), (code, True)}


def test_what_is_not_looked_at_is_counted() -> None:
    found = only({**many("part-{:04}.json"), "z.json": b"{"})
    assert (found.code, found.refused) == ("source-not-looked-at", False)
    assert "4 of 517 files were not looked at" in found.what
    assert "z.json" in found.what
    late = look(
        MemoryPlace(model({"draft/model.safetensors.index.json": index()})), deadline_seconds=-1
    ).flaws
    assert [flaw.code for flaw in late] == ["source-not-looked-at"]
    assert "5 of 5 files" in late[0].what


def test_an_adapter_that_is_left_behind_is_no_matter() -> None:
    files = model({"adapter_config.json": b"{}", "adapter_model.safetensors": weights("z.lora_A.w")})
    assert look(MemoryPlace(files), ("adapter_*",)).flaws == ()


LENGTHS = {"max_sequence_length": Parameter(default=8192, min=21, max=32768)}


def test_limits_beyond_the_models_positions_are_said_with_both_numbers() -> None:
    flaw = only({"config.json": config(max_position_embeddings=2048)}, **LENGTHS)
    assert not flaw.refused
    assert (
        flaw.what
        == "max_sequence_length: default 8192 and max 32768, and config.json says max_position_embeddings: 2048"
    )
    inner = only({"config.json": config(text_config={"max_position_embeddings": 8192})}, **LENGTHS)
    assert (
        inner.what
        == "max_sequence_length: max 32768, and config.json says text_config.max_position_embeddings: 8192"
    )


@pytest.mark.parametrize(
    "found",
    [
        {"max_position_embeddings": 32768},
        {"max_position_embeddings": 8192, "rope_scaling": {"type": "linear", "factor": 4.0}},
        {
            "max_position_embeddings": 32768,
            "rope_scaling": {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 16384},
        },
        {"max_position_embeddings": "many"},
        {},
    ],
    ids=["enough", "linear", "yarn", "no number", "unknown"],
)
def test_limits_within_them_are_not(found: dict[str, object]) -> None:
    assert flaws({"config.json": config(**found)}, **LENGTHS) == ()


def test_a_type_that_the_quantization_does_not_compute_in_is_said() -> None:
    awq = {"config.json": config(quantization_config={"quant_method": "awq", "bits": 4})}
    flaw = only(awq, dtype=Parameter(default="bfloat16"))
    assert (
        flaw.what
        == "dtype: bfloat16, and config.json says quantization_config: awq, 4 bits, which computes in float16"
    )
    assert not flaws(awq, dtype=Parameter(default="float16"))
    assert not flaws({"config.json": config()}, dtype=Parameter(default="bfloat16"))


def test_what_is_read_is_bounded() -> None:
    files = model(
        {f"part-{n:04d}.dat": bytes(100_000) for n in range(600)}
        | {"tokenizer.json": b"{" + b" " * 4_000_000 + b"}"}
    )
    place = MemoryPlace(files)
    look(place)
    read = {path for path, _, _ in place.reads}
    assert {"config.json", "tokenizer.json", "model.safetensors"} <= read
    assert len(read) <= looking.MAX_PEEKS + 1
    assert max(stop - start for path, start, stop in place.reads if path != "model.safetensors") <= HEAD_BYTES
    assert ("tokenizer.json", 4_000_002 - TAIL_BYTES, 4_000_002) in place.reads


def test_so_many_headers_are_read_and_the_others_told_of() -> None:
    one = weights("a")
    extra = {f"more/{n:04}.safetensors": one for n in range(looking.MAX_HEADERS_CHECKED)}
    place = MemoryPlace(model(extra))
    assert [flaw.code for flaw in look(place).flaws] == ["source-not-looked-at"]
    assert (
        len({path for path, _, _ in place.reads if path.endswith(".safetensors")})
        == looking.MAX_HEADERS_CHECKED
    )
