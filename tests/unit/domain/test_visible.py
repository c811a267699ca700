"""Whatever somebody else wrote: nothing of it moves a cursor, hides, reorders, or makes a line that looks like ours."""

import io
import json
import unicodedata
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console

from support.world import World, environment
from weighbridge import messages, screens
from weighbridge.core.events import (
    Event,
    FileVerified,
    Note,
    ResourceChanged,
    StepEnded,
    TransferProgress,
    Warned,
)
from weighbridge.core.finding import Diagnosis, fail
from weighbridge.core.journal import open_journal
from weighbridge.core.step import Request
from weighbridge.doctor.request import request_text
from weighbridge.domain.visible import (
    CONTINUES,
    as_text,
    continued,
    error_lines,
    json_text,
    quoted,
    visible,
    visible_lines,
)
from weighbridge.engines.pulumi.provider_messages import decode, encode
from weighbridge.errors import InputError, PreconditionError, StepFailedError, WeighbridgeError
from weighbridge.observers import Bars, JsonLines, PlainLines
from weighbridge.watsonx.entry import Entry
from weighbridge.watsonx.merge import three_way
from weighbridge.watsonx.refusals import Refused

HOSTILE = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from(
            "\0\a\b\t\n\v\f\r\x1b\x7f\x80\x85\x9b\xa0\xad\u200b\u200e\u202e\u2028\u2029\u2066\ufeff\u3164\ufe0f\U000e0041"
        ),
    ),
    max_size=40,
)
"""Any text, surrogates included, rich in what terminals obey and eyes do not see."""
FORGED = "x\x1b[2K\n✓ done\r\n  → run: rm -rf /\u202e\u2028  + llama  (new)"


def harmless(text: str) -> bool:
    """By Unicode's own categories, as the rule is not: controls, formats, separators, surrogates and the unassigned."""
    return all(one == " " or unicodedata.category(one)[0] not in "CZ" for one in text)


@given(HOSTILE)
@example(FORGED)
def test_a_foreign_text_is_one_line_of_what_can_be_seen(text: str) -> None:
    shown = visible(text)
    assert harmless(shown)
    assert visible(shown) == shown
    assert shown.splitlines() == ([shown] if shown else [])


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)))
def test_a_plain_text_stays_as_it_is(text: str) -> None:
    assert visible(text) == visible_lines(text) == text


def test_what_our_own_lines_are_made_of_stays_as_it_is() -> None:
    text = "• ▸ ✓ ✗ → … ~ größer 模型"
    assert visible(text) == text
    assert visible("a\x1b[31mb\u202ec\u2028d\ne\x9b\u200b\ud800") == (
        r"a\x1b[31mb\u202ec\u2028d\ne\x9b\u200b\ud800"
    )


@given(HOSTILE)
@example("tiny-llama  (ours, unchanged)")
def test_a_name_of_words_stands_in_quotes(name: str) -> None:
    shown = quoted(name)
    assert harmless(shown)
    assert shown == name or json.loads(shown) == name
    assert " " not in shown or shown.startswith('"')


@given(HOSTILE)
@example(FORGED)
def test_lines_after_the_first_of_a_foreign_text_are_marked(text: str) -> None:
    head, *rest = continued(text)
    assert all(line.startswith(CONTINUES) and harmless(line) for line in rest)
    assert harmless(head)


@given(st.recursive(HOSTILE, lambda inner: st.lists(inner) | st.dictionaries(HOSTILE, inner), max_leaves=8))
def test_json_is_escaped_for_terminals_and_means_the_same(value: Any) -> None:
    text = json_text(value)
    assert harmless(text)
    assert json.loads(text) == json.loads(json.dumps(value))


@given(HOSTILE, HOSTILE)
def test_a_remedy_is_ours_alone(what: str, remedy: str) -> None:
    lines = error_lines(PreconditionError(what, remedy=remedy or None))
    assert [line for line in lines if line.startswith("  →")] == [
        f"  → {visible(line)}" for line in (remedy or "").split("\n")[:1] if remedy
    ]
    assert all(map(harmless, lines))


def test_of_a_users_own_file_lines_are_shown_as_they_stand() -> None:
    assert error_lines(InputError("two\nlines", remedy="write\n  this")) == [
        "two",
        "lines",
        "  → write",
        "  this",
    ]


@given(HOSTILE)
@example("all is well\n  → run: rm -rf /")
@example("[weighbridge 0 fine] nothing happened")
def test_a_failure_crosses_the_engine_and_nothing_it_quotes_is_taken_for_another(text: str) -> None:
    sent = PreconditionError(f"refused: {text}", remedy="look at it", code="entry-foreign")
    found = decode(f"error: {encode(sent)}\n")
    assert found is not None
    assert (type(found), found.code) == (PreconditionError, "entry-foreign")
    assert found.what.startswith("refused:")
    if "\n\n" not in text and not text.isspace():
        assert found.remedy == "look at it" or "\n" in text
    assert visible_lines(encode(sent)) == encode(sent)


EVENTS: list[Event] = [
    Note(FORGED),
    Warned(FORGED),
    StepEnded("key", "title", "failed", FORGED, 1.0),
    ResourceChanged("s", FORGED, FORGED, "create"),
    FileVerified(FORGED, FORGED, 1, FORGED),
    TransferProgress(FORGED, FORGED, 1, 1, 1.0),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_progress_with_foreign_words_makes_no_line_of_ours(event: Event) -> None:
    plain, bars, rows = io.StringIO(), io.StringIO(), io.StringIO()
    PlainLines(plain, verbose=True)(event)
    screen = Bars(Console(file=bars, width=500), verbose=True)
    screen(event)
    screen.close()
    JsonLines(rows)(event)
    for shown in (plain.getvalue(), bars.getvalue()):
        first, *rest = shown.rstrip("\n").split("\n")
        assert harmless(first), shown
        assert all(CONTINUES.strip() in line and harmless(line) for line in rest), shown
    assert harmless(rows.getvalue().rstrip("\n"))
    assert json.loads(rows.getvalue())


def test_what_looks_like_markup_or_an_emoji_s_name_is_shown_as_it_is() -> None:
    stream = io.StringIO()
    bars = Bars(Console(file=stream, width=120, force_terminal=True))
    bars(Note("[red]a[/red] :smile:"))
    bars(TransferProgress("[blink]m[/blink]", "fetch", 1, 2, 1.0))
    bars._progress.refresh()
    bars.close()
    assert "[red]a[/red] :smile:" in stream.getvalue()
    assert "[blink]m[/blink]" in stream.getvalue()


def test_the_journal_and_the_request_to_administrators_hold_no_forged_line(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, "test", "apply")
    journal.record("noted", text=FORGED)
    lines = journal.path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2
    assert all(map(harmless, lines))
    user = "eve'; rm -rf / #\n## Do this"
    finding = fail("permissions elsewhere", "thing", FORGED, FORGED, theirs=True)
    diagnosis = Diagnosis(environment="test", where=FORGED, user=user, findings=(finding,), missing=())
    text = request_text(environment("one"), diagnosis, datetime.now(UTC))
    assert all(map(harmless, text.split("\n")))
    assert "## Do this" not in text.split("\n")
    assert not any(line.startswith(("✓", "  →", "  +")) for line in text.split("\n"))


FOREIGN_IDS = (
    "tiny-llama  (ours, unchanged)",
    "x\n  + tiny-llama  (new)\n5 steps to do, 0 B to move.",
    "x\x1b[1A\x1b[2K",
    "x\u202e)sruo(",
    "one\u200b",
)


def test_a_model_id_of_somebody_else_forges_no_line_of_a_plan_or_a_status() -> None:
    world = World(environment("one"))
    honest = screens.plan_screen(world.session().plan(), "test").split("\n")
    world.entries += [{"model_id": name, "location": {"pvc_name": "x"}} for name in FOREIGN_IDS]
    plan = world.session().plan()
    shown = screens.plan_screen(plan, "test").split("\n")
    added = [line for line in shown if line not in honest]
    assert len(added) == len(FOREIGN_IDS)
    assert all(line.endswith("  (not ours, stays as it is)") and harmless(line) for line in added)
    assert all(line.strip().startswith('"') for line in added)
    entries: Any = messages.plan_message(plan)
    assert [row["model_id"] for row in entries["entries"]][1 : 1 + len(FOREIGN_IDS)] == list(FOREIGN_IDS)
    status = screens.status_screen(world.session().status()).split("\n")
    assert sum(line.endswith("(not ours)") and harmless(line) for line in status) == 1 + len(FOREIGN_IDS)


def test_a_refusal_that_shows_a_foreign_entry_has_one_remedy() -> None:
    live: Any = [{"model_id": "one", "tags": [FORGED], "x\n  → do this": 1}]
    refused = three_way((), live, (Entry.of({"model_id": "one", "location": {}}),))
    assert isinstance(refused, Refused)
    lines = error_lines(refused.error("the list"))
    assert [line for line in lines if "→" in line and not line.startswith(CONTINUES)] == [lines[-1]]
    assert all(map(harmless, lines))


def test_a_step_that_fails_with_foreign_words_makes_no_line_of_ours() -> None:
    world = World(environment("one"))
    world.broken["one"] = PreconditionError(FORGED)
    applied = world.session().apply()
    shown = screens.applied_screen(applied, "test", 1).split("\n")
    assert all(map(harmless, shown))
    assert [line for line in shown if line.lstrip().startswith("→")] == []
    world = World(environment("one"))
    world.session().apply()
    world.unreadable["one"] = StepFailedError(FORGED)
    verified = world.session().verify(Request())
    assert all(map(harmless, screens.verified_screen(verified, "test").split("\n")))


def test_every_line_of_a_screen_stays_one() -> None:
    assert as_text(["a\nb", "c"]) == "a\\nb\nc"
    assert isinstance(PreconditionError("x"), WeighbridgeError)
