from hypothesis import given
from hypothesis import strategies as st

from weighbridge.mover.chunks import (
    Extent,
    forget_line,
    journal_header,
    journal_line,
    non_overlapping,
    plan_ranges,
    read_journal,
)

SIZE = 1000
FINGERPRINT = "sha256:" + "a" * 64
EXTENT = st.builds(Extent, st.integers(0, SIZE), st.integers(1, SIZE), st.integers(0, 2**32 - 1))


@given(st.lists(EXTENT, max_size=8), st.integers(1, 400))
def test_a_plan_covers_exactly_what_is_missing(extents: list[Extent], chunk: int) -> None:
    done = non_overlapping(SIZE, extents)
    ranges = plan_ranges(SIZE, done, chunk)
    covered = [position for extent in done for position in range(extent.offset, extent.end)]
    covered += [position for start, end in ranges for position in range(start, end)]
    assert sorted(covered) == list(range(SIZE))
    assert all(0 < end - start <= chunk for start, end in ranges)


def test_an_empty_file_needs_no_range() -> None:
    assert plan_ranges(0, [], 10) == []


PATHS = ["a", "b/ü", 'c"\\']
ENTRIES = st.lists(
    st.tuples(st.sampled_from(PATHS), st.integers(0, 9), st.integers(0, 2**32 - 1)), max_size=12
)
SIZES = dict.fromkeys(PATHS, SIZE)


def journal(entries: list[tuple[str, int, int]]) -> bytes:
    lines = [journal_line(path, Extent(index * 100, 100, crc)) for path, index, crc in entries]
    return journal_header(FINGERPRINT) + b"".join(lines)


def said(entries: list[tuple[str, int, int]]) -> set[tuple[str, Extent]]:
    return {(path, Extent(index * 100, 100, crc)) for path, index, crc in entries}


def read(content: bytes) -> set[tuple[str, Extent]]:
    return {
        (path, extent)
        for path, extents in read_journal(content, FINGERPRINT, SIZES).items()
        for extent in extents
    }


@given(ENTRIES, st.data())
def test_a_torn_journal_tells_only_what_was_written_whole(
    entries: list[tuple[str, int, int]], data: st.DataObject
) -> None:
    whole = journal(entries)
    cut = data.draw(st.integers(0, len(whole)))
    complete = whole[:cut].count(b"\n")
    found = read(whole[:cut])
    assert found <= said(entries)
    distinct = {(path, index) for path, index, _ in entries[: max(0, complete - 1)]}
    assert len(found) >= len(distinct), "nothing that was written whole is lost"


@given(ENTRIES, st.data())
def test_a_damaged_journal_never_lies(entries: list[tuple[str, int, int]], data: st.DataObject) -> None:
    content = bytearray(journal(entries))
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    assert read(bytes(content)) <= said(entries)


@given(ENTRIES)
def test_another_sets_journal_says_nothing(entries: list[tuple[str, int, int]]) -> None:
    other = "sha256:" + "b" * 64
    assert not any(read_journal(journal(entries), other, SIZES).values())


@given(st.binary(max_size=200))
def test_rubbish_says_nothing(content: bytes) -> None:
    assert read(content) == set()
    assert read(journal_header(FINGERPRINT) + content) == set()


def test_what_was_taken_back_is_missing_until_it_comes_again() -> None:
    first, second = Extent(0, 100, 1), Extent(100, 100, 2)
    lines = (
        journal_header(FINGERPRINT)
        + journal_line("a", first)
        + journal_line("a", second)
        + forget_line("a", 0, 50)
    )
    assert read(lines) == {("a", second)}
    again = Extent(0, 100, 9)
    assert read(lines + journal_line("a", again)) == {("a", again), ("a", second)}
