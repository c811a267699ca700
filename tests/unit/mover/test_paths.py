import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.mover.paths import UnsafePathError, missing_required, refused_suffix, safe_relative, safe_set

NASTY = st.lists(
    st.sampled_from(["..", ".", "", "a", "b.safetensors", "~", "\x00", "\\", "\n", "é", "a" * 300, "\ud800"]),
    max_size=5,
)


@given(NASTY.map("/".join) | st.text(max_size=30))
def test_a_safe_path_stays_below_its_directory_and_is_taken_as_it_is(path: str) -> None:
    try:
        safe = safe_relative(path)
    except UnsafePathError:
        return
    assert safe == path
    assert posixpath.normpath(f"/weights/{safe}") == f"/weights/{safe}"
    assert safe.isprintable() or not any(ord(character) < 32 for character in safe)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../x",
        "a/../b",
        "a//b",
        "a/",
        "./a",
        "a\\b",
        "a\x00",
        "a\nb",
        "x" * 256,
        "a/" * 600 + "a",
        "\ud800",
    ],
)
def test_path_tricks_are_refused(path: str) -> None:
    with pytest.raises(UnsafePathError):
        safe_relative(path)


def test_a_file_cannot_lie_inside_a_file_or_stand_twice() -> None:
    with pytest.raises(UnsafePathError, match="lies inside"):
        safe_set(["a", "a/b"])
    with pytest.raises(UnsafePathError, match="lies inside"):
        safe_set(["a", "a-b", "a/b/c"])
    with pytest.raises(UnsafePathError, match="twice"):
        safe_set(["a", "b", "a"])
    assert safe_set(["b", "a/x", "a/b"]) == ("a/b", "a/x", "b")


@pytest.mark.parametrize(
    "path", ["pytorch_model.bin", "a/b.PT", "x.ckpt", "m.pkl", "optimizer.pth", "s.joblib"]
)
def test_pickles_are_refused_by_name(path: str) -> None:
    assert refused_suffix(path)


@pytest.mark.parametrize("path", ["model.safetensors", "bin", "vocab.txt", "a.bin/readme.md", "config.json"])
def test_data_is_not(path: str) -> None:
    assert refused_suffix(path) is None


def test_what_ibm_requires() -> None:
    assert missing_required(["config.json", "tokenizer.json", "model.safetensors"]) == ()
    assert missing_required(["config.json", "tsfm_config.json", "model.safetensors"]) == ()
    assert missing_required(["sub/config.json", "tokenizer.json", "sub/model.safetensors"]) == (
        "config.json",
        "*.safetensors",
    )
    assert missing_required([]) == ("config.json", "tokenizer.json (or tsfm_config.json)", "*.safetensors")
