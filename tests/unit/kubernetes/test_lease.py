"""Who holds an environment, decided by watched silence and by our own clock alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weighbridge.domain.lease import (
    DURATION,
    SHORTEST,
    Dead,
    Found,
    Free,
    Held,
    Holder,
    Mine,
    Notes,
    Process,
    Record,
    Sight,
    Silence,
    Verdict,
    Watch,
    Work,
    annotations_of,
    fate,
    judge,
    micro_time,
    parse_lease,
)

WALL = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HOST_NAMESPACE = "4026531836"
HERE = Process(
    user="ci", host="runner", machine="m1", boot="b1", namespace=HOST_NAMESPACE, pid=100, started=5000
)
ELSEWHERE = replace(HERE, host="laptop", machine="m2", boot="b2")
ME = Holder(run="mine", verb="apply", since="now", process=HERE)
GIVE_UP_AFTER = Silence().give_up_after


def holder(process: Process, run: str = "theirs") -> Holder:
    return Holder(run=run, verb="apply", since="2026-01-02T03:00:00+00:00", process=process)


def record(of: Holder, *, renewed: datetime = WALL, version: str = "1", **more: Any) -> Record:
    return Record(
        version=version,
        identity=of.identity,
        duration=DURATION,
        acquired=micro_time(renewed),
        renewed=micro_time(renewed),
        holder=of,
        **more,
    )


def gone(_pid: int) -> Found | None:
    return None


def there(_pid: int) -> Found | None:
    return Found(5000)


def seen(
    found: Record | None, *, now: float = 0.0, watch: Watch | None = None, me: Holder = ME, look: Any = gone
) -> Verdict:
    watch = watch or Watch()
    if found is not None:
        watch = watch.seen(found, now)
    return judge(Sight(record=found, watch=watch, now=now, wall=WALL), me, look)


def test_no_lease_and_a_lease_that_was_given_back_are_free() -> None:
    assert seen(None) == Free()
    assert seen(replace(record(ME), identity="", holder=None)) == Free()


def test_our_own_is_ours() -> None:
    assert seen(record(ME)) == Mine()


PROCESSES: list[tuple[str, Process, Process, Any, bool | None]] = [
    ("gone from this machine", HERE, HERE, gone, False),
    ("here and alive", HERE, HERE, there, True),
    ("its number is another process now", HERE, HERE, lambda _pid: Found(6000), False),
    ("its number exists, hidden from us", HERE, HERE, lambda _pid: Found(None), True),
    ("in another container of this machine", replace(HERE, namespace="7"), HERE, gone, None),
    ("in the same container as we", replace(HERE, namespace="7"), replace(HERE, namespace="7"), gone, False),
    ("no container is known", replace(HERE, namespace=None), replace(HERE, namespace=None), gone, None),
    ("this machine was started anew", replace(HERE, boot="b0"), HERE, there, False),
    ("another machine with the same machine id", replace(HERE, boot="b0", host="twin"), HERE, gone, None),
    (
        "containers of one image share a machine id",
        replace(HERE, boot="b0", namespace="7"),
        replace(HERE, namespace="7"),
        gone,
        None,
    ),
    ("another machine", ELSEWHERE, HERE, gone, None),
    ("a machine that says nothing of itself", replace(HERE, boot=None, machine=None), HERE, gone, None),
]


@pytest.mark.parametrize(
    ("process", "here", "look", "alive"),
    [case[1:] for case in PROCESSES],
    ids=[case[0] for case in PROCESSES],
)
def test_what_is_seen_of_a_process_from_here(
    process: Process, here: Process, look: Any, alive: bool | None
) -> None:
    assert fate(process, here, look).alive is alive


@pytest.mark.parametrize(
    ("process", "words"),
    [
        (HERE, "seen from here, its process 100 is gone"),
        (replace(HERE, boot="b0"), "seen from here, runner was started anew since"),
    ],
)
def test_a_run_that_seems_to_have_died_here_is_watched_and_dead_after_its_silence(
    process: Process, words: str
) -> None:
    found = record(holder(process))
    assert seen(found) == Held(DURATION, words)
    watch = Watch(found.pulse, 0.0)
    assert seen(found, now=DURATION - 0.5, watch=watch) == Held(0.5, words)
    assert seen(found, now=DURATION, watch=watch) == Dead()


def test_a_clone_of_this_machine_whose_lease_is_renewed_is_not_dead_though_its_process_is_not_here() -> None:
    first = record(holder(HERE))
    second = replace(first, renewed=micro_time(WALL + timedelta(seconds=15)))
    watch = Watch().seen(first, 0.0)
    assert seen(second, now=15.0, watch=watch) == Held(DURATION, None)


@pytest.mark.parametrize("back", [0, 30, 3600, 10**7], ids=lambda seconds: f"{seconds} s")
@pytest.mark.parametrize("process", [HERE, ELSEWHERE], ids=["here", "elsewhere"])
def test_our_clock_of_the_day_that_is_set_back_proves_nothing(process: Process, back: float) -> None:
    found = record(holder(process))
    watch, wall = Watch(found.pulse, 0.0), WALL - timedelta(seconds=back)

    def after(seconds: float) -> Verdict:
        return judge(Sight(record=found, watch=watch, now=seconds, wall=wall), ME, gone)

    assert isinstance(after(DURATION - 0.1), Held)
    assert after(DURATION) == Dead()


def test_a_run_that_lives_here_is_never_taken_for_dead_however_silent() -> None:
    found = record(holder(HERE), renewed=WALL - timedelta(days=1))
    assert isinstance(seen(found, now=10_000, watch=Watch(found.pulse, 0.0), look=there), Held)


def test_a_holder_that_left_no_word_of_itself_is_judged_by_silence_alone() -> None:
    found = replace(record(holder(HERE)), holder=None)
    assert isinstance(seen(found), Held)
    assert isinstance(seen(found, now=DURATION, watch=Watch(found.pulse, 0.0)), Dead)


@pytest.mark.parametrize(
    ("age", "silent"),
    [(0, False), (DURATION - 1, False), (DURATION + 1, True), (-5, False), (-3600, True)],
    ids=["just now", "within its time", "run out", "a clock slightly ahead", "a clock not to be believed"],
)
def test_only_a_lease_that_seems_to_have_run_out_is_worth_watching(age: float, *, silent: bool) -> None:
    verdict = seen(record(holder(ELSEWHERE), renewed=WALL - timedelta(seconds=age)))
    assert isinstance(verdict, Held)
    assert (verdict.doubt is not None) is silent


def test_a_holder_with_a_wrong_clock_that_is_seen_to_renew_is_not_silent() -> None:
    first = record(holder(ELSEWHERE), renewed=WALL - timedelta(hours=3))
    second = replace(first, renewed=micro_time(WALL - timedelta(hours=3) + timedelta(seconds=15)))
    watch = Watch().seen(first, 0.0)
    verdict = seen(second, now=15.0, watch=watch)
    assert verdict == Held(DURATION, None)


@settings(deadline=None, max_examples=50)
@given(
    skew=st.floats(-1e7, 1e7),
    pauses=st.lists(st.floats(0.1, GIVE_UP_AFTER), min_size=1, max_size=30),
    looks=st.floats(2, 20),
    process=st.sampled_from([ELSEWHERE, HERE]),
)
def test_whoever_renews_in_time_is_never_taken_for_dead_whatever_its_clock(
    skew: float, pauses: list[float], looks: float, process: Process
) -> None:
    """``pauses``: seconds between its renewals, none longer than it bears itself; we look every ``looks`` seconds. ``HERE``: it
    runs on a clone of this machine.
    """
    renewals = [0.0]
    for pause in pauses:
        renewals.append(renewals[-1] + pause)
    watch, now = Watch(), 0.0
    while now <= renewals[-1] + GIVE_UP_AFTER:
        last = max(at for at in renewals if at <= now)
        found = record(holder(process), renewed=WALL + timedelta(seconds=skew + last), transitions=1)
        watch = watch.seen(found, now)
        verdict = judge(
            Sight(record=found, watch=watch, now=now, wall=WALL + timedelta(seconds=now)), ME, gone
        )
        assert isinstance(verdict, Held)
        now += looks


@settings(deadline=None)
@given(skew=st.floats(-1e7, 1e7), looks=st.floats(0.5, 10), began=st.floats(0, 1e6))
def test_whoever_is_silent_is_dead_after_one_duration_of_our_clock_and_not_before(
    skew: float, looks: float, began: float
) -> None:
    found = record(holder(ELSEWHERE), renewed=WALL + timedelta(seconds=skew))
    watch, now = Watch(), began
    while True:
        watch = watch.seen(found, now)
        verdict = judge(Sight(record=found, watch=watch, now=now, wall=WALL), ME, gone)
        if isinstance(verdict, Dead):
            break
        assert now - began < DURATION
        now += looks
    assert now - began + 1e-6 >= DURATION
    assert now - began <= DURATION + looks


@pytest.mark.parametrize("seconds", [SHORTEST, 20, DURATION])
def test_a_holder_stops_before_anybody_else_begins(seconds: int) -> None:
    silence = Silence(seconds)
    assert silence.renew_every == seconds / 4
    assert silence.give_up_after == seconds - silence.renew_every


TEXTS = st.text(max_size=20)
PROCESS = st.builds(
    Process,
    user=TEXTS,
    host=TEXTS,
    machine=st.none() | TEXTS,
    boot=st.none() | TEXTS,
    namespace=st.none() | TEXTS,
    pid=st.integers(1, 2**22),
    started=st.none() | st.integers(0, 2**40),
)
HOLDERS = st.builds(Holder, run=TEXTS, verb=TEXTS, since=TEXTS, process=PROCESS)
WORK = st.builds(Work, stack=TEXTS, run=TEXTS, process=PROCESS, since=TEXTS)


NOTES = st.builds(Notes, work=st.lists(WORK, max_size=3).map(tuple), weights=st.frozensets(TEXTS, max_size=3))


@given(HOLDERS, NOTES, st.none() | TEXTS)
def test_what_is_written_is_read(of: Holder, notes: Notes, gave_way: str | None) -> None:
    lease = {
        "metadata": {"resourceVersion": "7", "annotations": annotations_of(of, notes, gave_way)},
        "spec": {"holderIdentity": of.identity, "leaseDurationSeconds": 60, "renewTime": micro_time(WALL)},
    }
    found = parse_lease(lease)
    assert (found.holder, found.notes, found.gave_way, found.version) == (of, notes, gave_way, "7")
    assert found.renewed == "2026-01-02T03:04:05.000000Z"


@given(
    st.dictionaries(
        st.sampled_from(["weighbridge.dev/holder", "weighbridge.dev/work", "weighbridge.dev/weights"]),
        TEXTS | st.sampled_from(["{}", "[]", "[[]]", '{"run": 1}', "null"]),
    )
)
def test_what_somebody_else_wrote_into_it_is_no_reason_to_fail_nor_to_take_it(
    annotations: dict[str, str],
) -> None:
    found = parse_lease(
        {"metadata": {"resourceVersion": "7", "annotations": annotations}, "spec": {"holderIdentity": "x"}}
    )
    assert found.holder is None
    assert not found.notes
    assert isinstance(seen(found), Held)


def test_a_holder_that_is_not_the_one_of_the_spec_is_not_believed() -> None:
    lease = {
        "metadata": {"resourceVersion": "7", "annotations": annotations_of(holder(HERE), Notes())},
        "spec": {"holderIdentity": "somebody/else"},
    }
    assert parse_lease(lease).holder is None
