from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from support.api_server import FakeApiServer
from weighbridge.core.events import Event, Note
from weighbridge.errors import PreconditionError, StepFailedError
from weighbridge.watsonx.custom_resource import LiveCustomResource, parse_custom_resource
from weighbridge.watsonx.entry import Entry
from weighbridge.watsonx.reconciled import (
    Baseline,
    Mark,
    Pace,
    Reconciled,
    Refuted,
    Verdict,
    Waiting,
    Watch,
    await_reconciled,
    observe,
    standing,
)

OURS: dict[str, Any] = {"model_id": "ours", "location": {"pvc_name": "claim"}}
PACE = Pace(settle=2, lone_end=60)


class Story:
    """A custom resource whose operator does what a test tells it to."""

    def __init__(self) -> None:
        self.server = FakeApiServer()
        self.server.put_cr({"license": {"accept": True}, "custom_foundation_models": []})
        self.server.tick(10)
        self.status("Completed", completion="t0")
        self.server.tick(10)

    def status(self, state: str, progress: str = "100%", completion: str | None = None, **more: str) -> None:
        self.server.put_status(state, progress, completion=completion, **more)

    @property
    def live(self) -> LiveCustomResource:
        return parse_custom_resource(self.server.cr)

    def write(self, *, exact: bool = True) -> Mark:
        """Our write, and what is kept of it: with ``exact`` the status of the answer, else one read before."""
        before = self.live
        self.server.set_models([OURS], manager="weighbridge")
        after = self.live
        writer = after.spec_written("weighbridge")
        assert writer is not None
        assert writer.time is not None
        return Mark(
            cr_uid=after.uid,
            written_at=writer.time.isoformat(),
            baseline=Baseline.of(after if exact else before, exact=exact),
            entries=(("ours", Entry.of(OURS).digest),),
        )


def watched(
    story: Story, mark: Mark, steps: Iterable[Callable[[], None]], pace: Pace = PACE
) -> list[Verdict]:
    """Verdicts of one look after each step, a second apart."""
    watch, seen = Watch(), []
    for now, step in enumerate(steps):
        step()
        watch, verdict = observe(watch, mark, story.live, float(now), pace)
        seen.append(verdict)
        story.server.tick()
    return seen


def nothing() -> None:
    """Time passes."""


def words(verdicts: list[Verdict]) -> str:
    return "".join({Waiting: ".", Reconciled: "R", Refuted: "X"}[type(verdict)] for verdict in verdicts)


@pytest.mark.parametrize("exact", [True, False])
def test_a_completed_of_before_is_no_answer_however_long_it_stands(exact: bool) -> None:
    story = Story()
    assert words(watched(story, story.write(exact=exact), [nothing] * 50)) == "." * 50


@pytest.mark.parametrize("exact", [True, False])
def test_what_others_write_into_the_status_is_no_answer_and_delays_none(exact: bool) -> None:
    story = Story()
    mark = story.write(exact=exact)
    notes = iter(map(str, range(100)))

    def note() -> None:
        story.server.put_note(next(notes))

    def noted(state: str, **more: str) -> Callable[[], None]:
        def say() -> None:
            story.status(state, **more)
            note()

        return say

    assert words(watched(story, mark, [note] * 20)) == "." * 20
    ended = [noted("InProgress"), noted("Completed", completion="u1"), note, note, note]
    assert words(watched(story, mark, ended)) == "...RR"


@pytest.mark.parametrize("exact", [True, False])
def test_a_run_after_the_write_is_the_answer_once_it_has_stood(exact: bool) -> None:
    story = Story()
    mark = story.write(exact=exact)
    story.server.tick()
    seen = watched(
        story,
        mark,
        [
            nothing,
            lambda: story.status("InProgress", "0%"),
            lambda: story.status("InProgress", "60%"),
            lambda: story.status("Completed", completion="t1"),
            nothing,
            nothing,
        ],
    )
    assert words(seen) == ".....R"


def test_an_answer_within_the_second_of_the_write_is_told_by_the_run_that_ended() -> None:
    story = Story()
    for exact in (True, False):
        mark = story.write(exact=exact)
        story.status("Completed", completion=f"t-{exact}")
        assert words(watched(story, mark, [nothing] * 3)) == "..R"
        story.server.tick(10)
        story.server.set_models([], manager="weighbridge")


def test_clocks_of_two_api_servers_do_not_matter_when_the_answer_to_the_write_was_kept() -> None:
    story = Story()
    mark = story.write()
    story.server.tick(-300)
    story.status("InProgress", "0%")
    story.status("Completed", completion="t1")
    assert story.live.status_written_at is not None
    assert story.live.status_written_at.isoformat() < str(mark.written_at)
    assert words(watched(story, mark, [nothing] * 3)) == "..R"


def test_a_run_under_way_at_the_write_must_be_followed_by_another() -> None:
    story = Story()
    story.status("InProgress", "40%")
    mark = story.write()
    story.server.tick()
    seen = watched(
        story,
        mark,
        [
            lambda: story.status("InProgress", "80%"),
            lambda: story.status("Completed", completion="t1"),
            nothing,
            nothing,
            nothing,
            lambda: story.status("InProgress", "0%"),
            lambda: story.status("Completed", completion="t2"),
            nothing,
            nothing,
        ],
    )
    assert words(seen) == "......RRR"


@pytest.mark.parametrize(("last", "seen"), [("Completed", "....R.R"), ("Failed", "....X.X")])
def test_a_second_end_is_the_answer_at_once_however_busy_others_keep_the_operator(
    last: str, seen: str
) -> None:
    story = Story()
    mark = story.write()
    steps: list[Callable[[], None]] = [story.server.tick]
    for number in range(3):  # no end stands for longer than one look
        steps += [
            lambda: story.status("InProgress", "0%"),
            lambda number=number: story.status(last, completion=f"u{number}"),  # type: ignore[misc]
        ]
    assert words(watched(story, mark, steps)) == seen


def test_without_the_answer_to_the_write_the_second_end_may_have_begun_before_it() -> None:
    story = Story()
    mark = story.write(exact=False)
    story.server.tick()
    ends = [lambda number=number: story.status("Completed", completion=f"u{number}") for number in range(3)]
    assert words(watched(story, mark, ends)) == "..R"


def test_two_ends_are_two_runs_even_if_the_second_beginning_was_missed() -> None:
    story = Story()
    story.status("InProgress", "40%")
    mark = story.write()
    story.server.tick()
    steps = [
        lambda: story.status("Completed", completion="t1"),
        lambda: story.status("Completed", completion="t2"),
        nothing,
        nothing,
    ]
    assert words(watched(story, mark, steps)) == ".RRR"


def test_a_second_run_too_short_to_be_seen_is_believed_after_a_long_look() -> None:
    story = Story()
    story.status("InProgress", "40%")
    mark = story.write()
    story.server.tick()
    steps: list[Callable[[], None]] = [lambda: story.status("Completed", completion="t1"), *[nothing] * 60]
    assert words(watched(story, mark, steps)) == "." * 60 + "R"


def test_an_end_that_is_followed_by_another_run_at_once_does_not_count() -> None:
    story = Story()
    mark = story.write()
    story.server.tick()
    steps = [
        lambda: story.status("Completed", completion="t1"),
        nothing,
        lambda: story.status("InProgress", "0%"),
        lambda: story.status("Failed", "30%", message="claim not found"),
        nothing,
        nothing,
    ]
    seen = watched(story, mark, steps)
    assert words(seen) == ".....X"
    assert isinstance(seen[-1], Refuted)
    assert "claim not found" in seen[-1].reason


@pytest.mark.parametrize("progress", ["90%", "x%", ""])
def test_completed_alone_is_not_enough(progress: str) -> None:
    story = Story()
    mark = story.write()
    story.server.tick()
    ended = [lambda: story.status("Completed", progress, completion="t1")]
    assert words(watched(story, mark, [*ended, *[nothing] * 9])) == "." * 10


def test_the_playbook_says_completed_before_the_run_has_ended() -> None:
    story = Story()
    mark = story.write()
    story.server.tick()
    story.status("Completed")
    conditions = story.server.cr["status"]["conditions"]
    conditions[2]["reason"] = "Running"
    assert words(watched(story, mark, [nothing] * 5)) == "....."


def test_who_undid_the_write_is_named() -> None:
    story = Story()
    mark = story.write()
    story.server.tick()
    story.server.cr["metadata"]["annotations"] = {"argocd.argoproj.io/tracking-id": "models:ifm"}
    story.server.set_models([], manager="argocd-controller")
    (verdict,) = watched(story, mark, [nothing])
    assert isinstance(verdict, Refuted)
    assert "argocd-controller at 2026-01-02T03:04:26" in verdict.reason
    assert "Argo CD (annotation argocd.argoproj.io/tracking-id=models:ifm)" in verdict.reason


def test_who_took_the_whole_list_away_is_named_though_nobody_owns_it_now() -> None:
    story = Story()
    mark = story.write()
    story.server.tick()
    spec = {"license": {"accept": True}}
    fields = story.server.cr["metadata"]["managedFields"]
    story.server.put_cr(spec, manager="kustomize-controller", managedFields=fields)
    for row in story.server.cr["metadata"]["managedFields"]:
        row["fieldsV1"].get("f:spec", {}).pop("f:custom_foundation_models", None)
    (verdict,) = watched(story, mark, [nothing])
    assert isinstance(verdict, Refuted)
    assert "kustomize-controller at 2026" in verdict.reason
    assert "kept by Flux" in verdict.reason


def test_a_resource_made_anew_is_told() -> None:
    story = Story()
    mark = replace(story.write(), cr_uid="another")
    (verdict,) = watched(story, mark, [nothing])
    assert isinstance(verdict, Refuted)
    assert verdict.code == "cr-replaced"


def test_a_confirmed_write_needs_no_second_wait_while_others_change_things() -> None:
    story = Story()
    mark = replace(story.write(), confirmed=True)
    story.server.tick()
    assert standing(mark, story.live) is None
    story.status("InProgress", "10%")
    assert standing(mark, story.live) is None
    story.status("Failed", "10%", message="broken")
    assert standing(mark, story.live) is not None


def test_one_look_alone_never_confirms_a_write() -> None:
    story = Story()
    mark = story.write()
    assert "not picked up" in str(standing(mark, story.live))
    story.server.tick()
    story.status("Completed", completion="t1")
    assert standing(mark, story.live) is not None
    assert standing(None, story.live) is None


def test_a_mark_survives_its_json() -> None:
    mark = Story().write()
    assert Mark.from_json(mark.as_json()) == mark
    malformed: tuple[Any, ...] = (
        None,
        [],
        {},
        {**mark.as_json(), "baseline": {}},
        {**mark.as_json(), "entries": 3},
    )
    for broken in malformed:
        with pytest.raises(ValueError, match="not a record"):
            Mark.from_json(broken)


class Clock:
    def __init__(self, story: Story, steps: dict[int, Callable[[], None]]) -> None:
        self.story, self.steps, self.now = story, steps, 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        for second in range(int(self.now), int(self.now + seconds)):
            self.steps.get(second, nothing)()
        self.now += seconds
        self.story.server.tick(seconds)


def test_an_operator_that_never_answers_ends_at_the_deadline_saying_what_was_seen() -> None:
    story = Story()
    mark = story.write()
    said: list[Event] = []
    clock = Clock(story, {})
    with pytest.raises(StepFailedError, match=r"within 90 s.*not picked up.*Completed") as caught:
        await_reconciled(lambda: story.live, mark, clock, 90, said.append)
    assert caught.value.code == "reconcile-deadline"
    assert 90 <= clock.now < 96
    assert len(said) == 1


def test_waiting_tells_each_thing_once_and_outlives_an_api_server_that_is_away() -> None:
    story = Story()
    mark = story.write()
    steps = {
        3: lambda: story.status("InProgress", "0%"),
        6: lambda: story.status("Completed", completion="t1"),
    }
    looks = iter(range(100))

    def read() -> LiveCustomResource:
        if next(looks) == 2:
            raise PreconditionError("no answer", code="cluster-unreachable")
        return story.live

    said: list[Event] = []
    seen = await_reconciled(read, mark, Clock(story, steps), 300, said.append)
    assert "t1" in seen.evidence
    notes = [event.text for event in said if isinstance(event, Note)]
    assert any("InProgress 0%" in note for note in notes)


def test_what_will_not_pass_ends_the_wait() -> None:
    story = Story()
    mark = story.write()

    def read() -> LiveCustomResource:
        raise PreconditionError("gone", code="cr-absent")

    with pytest.raises(PreconditionError, match="gone"):
        await_reconciled(read, mark, Clock(story, {}), 300, lambda _: None)
