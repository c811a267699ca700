"""Events as people see them."""

import io
from typing import get_args

from rich.console import Console

from weighbridge.core.events import FileVerified, Note, StepEnded, TransferProgress
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
