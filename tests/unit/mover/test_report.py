import io
import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from weighbridge.mover.errors import RefusedError
from weighbridge.mover.report import Reporter, Result, encode, termination_message


@given(
    st.lists(st.text(min_size=1, max_size=1000), max_size=40),
    st.text(max_size=9000),
    st.none() | st.text(max_size=9000),
)
def test_a_termination_message_always_fits(paths: list[str], sentence: str, remedy: str | None) -> None:
    error = RefusedError("source-changed", sentence, remedy=remedy, files=paths)
    message = termination_message(Result(files_repaired=list(paths)), error, seconds=1.0)
    assert len(encode(message)) <= 4096
    assert (message["outcome"], message["error"]["code"]) == ("failed", "source-changed")
    assert set(message["error"]["files"]) <= set(paths[:20])


def test_progress_is_bounded_and_rates_are_right() -> None:
    now = 0.0
    stream = io.StringIO()
    reporter = Reporter(stream, clock=lambda: now)
    for step in range(101):
        now = step * 0.1
        reporter.progress("fetch", step * 1000, 100_000)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert 15 <= len(lines) <= 21
    assert {line["rate"] for line in lines[2:]} == {10_000}


def test_the_last_line_is_the_termination_message(tmp_path: Path) -> None:
    stream = io.StringIO()
    Reporter(stream).result(Result("published", "sha256:x", 3, 9), None, str(tmp_path / "log"))
    last = json.loads(stream.getvalue().splitlines()[-1])
    assert last.pop("event") == "result"
    assert last == json.loads((tmp_path / "log").read_text())
    assert (last["outcome"], last["error"]) == ("published", None)


def test_a_termination_message_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    stream = io.StringIO()
    Reporter(stream).result(Result("published"), None, str(tmp_path / "no/such/folder"))
    note, result = map(json.loads, stream.getvalue().splitlines())
    assert "no/such/folder" in note["text"]
    assert result["outcome"] == "published"
