"""What a push decides to send, from what the volume remembers."""

from hypothesis import given
from hypothesis import strategies as st

from weighbridge.domain.weights import SourceFile
from weighbridge.steps.weights.push.manifest import (
    BATCH_BYTES,
    BATCH_FILES,
    Manner,
    Row,
    digest_of,
    manifest,
    plan,
    read_rows,
)

BIG = BATCH_BYTES + 1


def row(file: SourceFile, *, keep: bool = False) -> Row:
    return Row(file.path, file.size, "ab" * 32, file.etag, keep)


CONFIG = SourceFile("config.json", 700, "e1")
EMPTY = SourceFile("empty.txt", 0, "e0")
SHARD = SourceFile("model-1.safetensors", BIG, "e2")
OTHER = SourceFile("model-2.safetensors", BIG + 5, "e3")
FILES = (CONFIG, EMPTY, SHARD, OTHER)


def test_everything_is_sent_to_an_empty_volume_small_files_together() -> None:
    todo = plan(FILES, published={}, staged={}, staged_sizes={})
    assert todo.rows == ()
    assert [(batch.manner, batch.files) for batch in todo.batches] == [
        (Manner.WHOLE, (CONFIG, EMPTY)),
        (Manner.WHOLE, (SHARD,)),
        (Manner.WHOLE, (OTHER,)),
    ]
    assert sum(batch.size for batch in todo.batches) == 700 + BIG + BIG + 5


def test_one_damaged_file_of_a_published_set_is_sent_alone() -> None:
    published = {file.path: row(file) for file in FILES}
    todo = plan(FILES, published=published, staged={}, staged_sizes={}, damaged=[SHARD.path])
    assert [file for batch in todo.batches for file in batch.files] == [SHARD]
    assert {kept.path for kept in todo.rows if kept.keep} == {CONFIG.path, EMPTY.path, OTHER.path}


def test_a_whole_staged_file_with_a_matching_row_is_not_sent_again_and_a_partial_one_is_continued() -> None:
    todo = plan(
        FILES,
        published={},
        staged={CONFIG.path: row(CONFIG), SHARD.path: row(SHARD)},
        staged_sizes={CONFIG.path: 700, SHARD.path: 1000},
    )
    assert [kept.path for kept in todo.rows] == [CONFIG.path]
    assert Manner.APPEND in {batch.manner for batch in todo.batches if batch.files == (SHARD,)}


def test_rows_of_another_content_are_not_trusted() -> None:
    other_etag = Row(SHARD.path, SHARD.size, "cd" * 32, "old")
    todo = plan(
        (SHARD,),
        published={SHARD.path: other_etag},
        staged={SHARD.path: other_etag},
        staged_sizes={SHARD.path: SHARD.size},
    )
    assert todo.rows == ()
    assert todo.batches[0].manner is Manner.DELTA


def test_a_row_without_its_file_is_not_trusted() -> None:
    todo = plan((SHARD,), published={}, staged={SHARD.path: row(SHARD)}, staged_sizes={})
    assert todo.rows == ()
    assert todo.batches[0].manner is Manner.WHOLE


def test_a_whole_staged_file_that_is_known_to_be_damaged_is_sent_again_by_difference() -> None:
    todo = plan(
        (SHARD,),
        published={},
        staged={SHARD.path: row(SHARD)},
        staged_sizes={SHARD.path: SHARD.size},
        damaged=[SHARD.path],
    )
    assert [(batch.manner, batch.files) for batch in todo.batches] == [(Manner.DELTA, (SHARD,))]


names = st.text(alphabet="abcdef-_.", min_size=1, max_size=8)
files = st.lists(
    st.builds(SourceFile, names, st.integers(0, 3 * BATCH_BYTES), names),
    max_size=600,
    unique_by=lambda file: file.path,
)


@given(files=files, data=st.data())
def test_every_file_is_either_there_or_sent_exactly_once(
    files: list[SourceFile], data: st.DataObject
) -> None:
    memory = (
        data.draw(
            st.dictionaries(st.sampled_from([file.path for file in files]), st.integers(0, 3), max_size=20)
        )
        if files
        else {}
    )
    by_path = {file.path: file for file in files}
    todo = plan(
        files,
        published={path: row(by_path[path]) for path, kind in memory.items() if kind == 0},
        staged={path: row(by_path[path]) for path, kind in memory.items() if kind in {1, 2}},
        staged_sizes={path: by_path[path].size // kind for path, kind in memory.items() if kind},
    )
    sent = [file.path for batch in todo.batches for file in batch.files]
    assert sorted([*sent, *(kept.path for kept in todo.rows)]) == sorted(by_path)
    for batch in todo.batches:
        assert len(batch.files) == 1 or (batch.size <= BATCH_BYTES and len(batch.files) <= BATCH_FILES)


@given(files=files)
def test_a_manifest_reads_back_as_it_was_written_whatever_the_order_of_rows(files: list[SourceFile]) -> None:
    rows = [row(file, keep=bool(file.size % 2)) for file in files]
    assert read_rows(manifest(rows)) == {entry.path: entry for entry in rows}
    assert manifest(rows) == manifest(rows[::-1])
    assert digest_of(rows) == digest_of(rows[::-1])


def test_a_broken_manifest_is_as_good_as_none() -> None:
    for content in (
        None,
        b"",
        b"{",
        b"[]",
        b'{"files": 3}',
        b'{"files": [{"path": "a"}]}',
        b'{"files": [null]}',
        b"\xff",
    ):
        assert read_rows(content) == {}
