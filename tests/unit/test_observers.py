"""Events as people see them."""

import io
import json
from concurrent.futures import ThreadPoolExecutor
from typing import get_args

from rich.console import Console

from weighbridge.core.events import Event, FileVerified, Note, StepEnded, StepStarted, TransferProgress
from weighbridge.core.outcome import Outcome
from weighbridge.observers import Bars, JsonLines, PlainLines


def test_a_file_name_that_looks_like_markup_is_shown_as_it_is() -> None:
    stream = io.StringIO()
    bars = Bars(Console(file=stream, width=120), verbose=True)

    bars(FileVerified("one", "odd[/b]/config[1].json", 10, "a" * 64))
    bars.close()

    assert "odd[/b]/config[1].json" in stream.getvalue()


class _Gone(io.StringIO):
    def write(self, text: str) -> int:
        del text
        raise BrokenPipeError


def test_work_goes_on_where_nobody_reads_the_progress_any_more() -> None:
    for observer in (PlainLines(_Gone()), JsonLines(_Gone())):
        observer(Note("one"))
        observer(Note("two"))


def test_a_pipeline_s_log_gets_a_line_now_and_then_and_one_at_the_end() -> None:
    stream = io.StringIO()
    observer = PlainLines(stream)

    for count in range(101):
        observer(TransferProgress("one", "fetch", count * 10, 1000, 100.0))
    observer(TransferProgress("one", "fetch", 1000, 1000, 100.0))

    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert "left" in lines[0]
    assert "100 %" in lines[1]


def test_every_way_in_which_a_step_may_end_is_shown() -> None:
    stream = io.StringIO()
    observer = PlainLines(stream)
    for kind in get_args(Outcome):
        observer(StepEnded("key", "a step", kind.word, "why", 1.0))
    assert [line.split()[1] for line in stream.getvalue().splitlines()] == [
        f"{kind.word}:" for kind in get_args(Outcome)
    ]


SEVERAL: tuple[Event, ...] = (
    StepStarted("a", "weights one", "one"),
    StepStarted("b", "weights two", "two"),
    TransferProgress("one", "fetch", 500, 1000, 10.0),
    FileVerified("two", "config.json", 10, "a" * 64),
    StepEnded("a", "weights one", "done", "published", 1.0, "one"),
    StepEnded("b", "weights two", "failed", "the disk is full", 1.0, "two"),
    StepStarted("c", "stack registration"),
    StepEnded("c", "stack registration", "done", "", 1.0),
)


def test_of_several_steps_at_once_each_end_names_its_own() -> None:
    stream = io.StringIO()
    observer = PlainLines(stream, verbose=True)
    for event in SEVERAL:
        observer(event)
    lines = stream.getvalue().splitlines()
    assert lines[3].startswith("    two config.json ")
    assert lines[4].startswith("  ✓ weights one: done: published")
    assert lines[5].startswith("  ✗ weights two: failed: the disk is full")
    assert lines[7].startswith("  ✓ done "), "alone, as ever"


def test_each_model_on_its_way_has_a_row_until_it_has_ended() -> None:
    bars = Bars(Console(file=io.StringIO(), width=120, force_terminal=True))

    def rows() -> list[str]:
        seen = io.StringIO()
        Console(file=seen, width=120).print(bars.shown)
        return [" ".join(line.split()[:2]) for line in seen.getvalue().splitlines() if line.strip()]

    seen = []
    for event in (*SEVERAL[:3], TransferProgress("one", "publish", 0, 1000, 0.0), *SEVERAL[4:6]):
        bars(event)
        seen.append(rows())
    bars.close()
    assert seen == [
        ["one begins"],
        ["one begins", "two begins"],
        ["two begins", "one fetch"],
        ["two begins", "one publish"],
        ["two begins"],
        [],
    ]


def test_lines_of_several_threads_stay_whole() -> None:
    stream = io.StringIO()
    observer = JsonLines(stream)

    def say(number: int) -> None:
        for _ in range(50):
            observer(Note(f"{number}" * 200))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(say, range(8)))
    texts = [json.loads(line)["text"] for line in stream.getvalue().splitlines()]
    assert len(texts) == 400
    assert all(len(set(text)) == 1 for text in texts)
