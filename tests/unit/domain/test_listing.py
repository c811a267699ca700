"""Which rows of a source make a weight set, and what is said about the others."""

import fnmatch
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.domain.listing import check_index, check_required, folder_prefix, to_listing
from weighbridge.domain.names import named
from weighbridge.domain.weights import SourceFile, SourceListing
from weighbridge.errors import PreconditionError

WHERE = "s3://models/m/ at http://s3"


def rows(*paths: str, size: int = 1) -> list[SourceFile]:
    return [SourceFile(path, size, "e") for path in paths]


segment = st.text(alphabet="abcXYZ019-_. []éß", min_size=1, max_size=12).filter(
    lambda text: text not in {".", ".."}
)
safe_paths = st.lists(st.lists(segment, min_size=1, max_size=3).map("/".join), max_size=30, unique=True)


def judged(paths: list[str], exclude: tuple[str, ...] = ()) -> list[str] | str:
    """The paths of the listing, or the code of the refusal."""
    try:
        return [file.path for file in to_listing(rows(*paths), exclude, WHERE).files]
    except PreconditionError as error:
        return error.code


@given(paths=safe_paths)
def test_whatever_is_listed_is_whole_and_sorted_or_refused_for_a_named_reason(paths: list[str]) -> None:
    assert judged(paths) in (sorted(paths), "source-file-and-folder", "source-refused-kind")


@given(paths=safe_paths, pattern=st.sampled_from(["*", "*.bin", "a*", "*/b", "[ab]*", "?"]))
def test_exclude_is_fnmatch_on_the_path_and_nothing_else(paths: list[str], pattern: str) -> None:
    left = sorted(path for path in paths if not fnmatch.fnmatchcase(path, pattern))
    assert judged(paths, (pattern,)) in (
        left,
        "source-file-and-folder",
        "source-refused-kind",
        "source-all-excluded",
    )


@pytest.mark.parametrize(
    "path",
    ["../up", "/absolute", "a/../b", "a//b", "a/./b", "back\\slash", "new\nline", "x" * 300, "a/", "/"],
)
def test_a_key_that_is_no_safe_path_is_refused_and_shown(path: str) -> None:
    with pytest.raises(PreconditionError) as refused:
        to_listing([*rows("config.json"), SourceFile(path, 5, "e")], (), WHERE)
    assert refused.value.code == "source-unsafe-path"
    assert repr(path[:200]) in refused.value.what


def test_folder_markers_are_left_out_and_empty_files_are_kept() -> None:
    listing = to_listing(
        [SourceFile("", 0, "e"), SourceFile("folder/", 0, "e"), SourceFile("empty.txt", 0, "e")], (), WHERE
    )
    assert [file.path for file in listing.files] == ["empty.txt"]


def test_refused_kinds_name_the_pattern_to_write_in_the_case_of_the_file() -> None:
    with pytest.raises(PreconditionError) as refused:
        to_listing(rows("Model.BIN", "deep/optimizer.pt", "ok.safetensors"), (), WHERE)
    assert 'exclude: ["*.BIN", "*.pt"]' in str(refused.value.remedy)
    assert to_listing(rows("Model.BIN", "ok.safetensors"), ("*.BIN",), WHERE).files


def test_a_file_that_is_also_a_folder_is_refused() -> None:
    with pytest.raises(PreconditionError, match="file and as the folder"):
        to_listing(rows("a", "a/b"), (), WHERE)


def test_excluding_everything_is_said() -> None:
    with pytest.raises(PreconditionError, match="leaves all of them behind"):
        to_listing(rows("a", "b"), ("*",), WHERE)


def test_required_files_deeper_down_are_pointed_at() -> None:
    listing = SourceListing(tuple(rows("v2/config.json", "v2/tokenizer.json", "v2/model.safetensors")))
    with pytest.raises(PreconditionError) as refused:
        check_required(listing, WHERE)
    assert "config.json" in refused.value.what
    assert "v2 holds a config.json" in str(refused.value.remedy)


def test_a_model_with_the_older_tokenizer_is_told_how_to_convert_it() -> None:
    with pytest.raises(PreconditionError) as refused:
        check_required(SourceListing(tuple(rows("config.json", "m.safetensors", "tokenizer.model"))), WHERE)
    assert "save_pretrained" in str(refused.value.remedy)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"weight_map": 3}',
        b'{"weight_map": {"a": 3}}',
        b'{"weight_map": {"a": []}}',
        b"\xff",
        b"[" * 100_000,
        b"{}",
    ],
)
def test_an_index_that_is_none_is_refused(content: bytes) -> None:
    with pytest.raises(PreconditionError):
        check_index("model.safetensors.index.json", content, SourceListing(()), WHERE)


def test_an_index_is_content_with_its_shards() -> None:
    content = json.dumps({"weight_map": {"x": "1.safetensors", "y": "2.safetensors"}}).encode()
    check_index("i", content, SourceListing(tuple(rows("1.safetensors", "2.safetensors"))), WHERE)
    with pytest.raises(PreconditionError, match="lacks 1 of 2 shards"):
        check_index("i", content, SourceListing(tuple(rows("1.safetensors"))), WHERE)


def test_prefixes_and_long_lists_of_names() -> None:
    assert [folder_prefix(prefix) for prefix in ("", "a", "a/", "a/b")] == ["", "a/", "a/", "a/b/"]
    assert named([str(index) for index in range(12)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"
