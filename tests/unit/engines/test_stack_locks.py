"""A lock of Pulumi's is ours by a note, and its process is told from others by PID and start ticks."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.domain.lease import Found, Process, Work, micro_time
from weighbridge.engines.pulumi.stack_locks import LockFate, StackLock, judge_lock, parse_lock

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HERE = Process(
    user="ci", host="runner", machine="m1", boot="b1", namespace="4026531836", pid=100, started=900
)
NOTE = Work(stack="weighbridge-storage/stage", run="r1", process=HERE, since=micro_time(AT))
OVER = 1060.0
"""Seconds from boot until the run of the note was known to be dead."""
LOCK = StackLock(key="k.json", user="ci", host="runner", pid=200, at=AT + timedelta(seconds=2))


def gone(_pid: int) -> Found | None:
    return None


def started(seconds_from_boot: float) -> Any:
    return lambda pid: Found(int(seconds_from_boot * 100)) if pid == 200 else None


CASES: list[tuple[str, StackLock, Process, Any, tuple[bool, bool | None]]] = [
    ("its process is gone", LOCK, HERE, gone, (True, False)),
    ("its process still works", LOCK, HERE, started(1000.5), (True, True)),
    ("its process began late, or the clock was set back", LOCK, HERE, started(1050), (True, True)),
    ("another process has its number now", LOCK, HERE, started(1061), (True, False)),
    ("its number exists, hidden from us", LOCK, HERE, lambda _pid: Found(None), (True, True)),
    ("made on another host", replace(LOCK, host="laptop"), HERE, gone, (False, None)),
    ("older than what we noted", replace(LOCK, at=AT - timedelta(seconds=5)), HERE, gone, (False, None)),
    (
        "we are on another machine",
        LOCK,
        replace(HERE, host="other", machine="m2", boot="b2"),
        gone,
        (True, None),
    ),
    ("we are in another container", LOCK, replace(HERE, namespace="9"), gone, (True, None)),
    ("the machine was started anew", LOCK, replace(HERE, boot="b2"), started(10), (True, False)),
]


@pytest.mark.parametrize(
    ("lock", "here", "look", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_whose_a_lock_is_and_whether_its_maker_seems_to_be_dead(
    lock: StackLock, here: Process, look: Any, expected: tuple[bool, bool | None]
) -> None:
    found = judge_lock(lock, [NOTE], here, look, OVER)
    assert (found.ours, found.alive) == expected


def test_a_command_of_our_own_that_still_runs_is_never_another_process() -> None:
    assert judge_lock(LOCK, [NOTE], HERE, started(1e9)).alive is True


def test_without_a_note_no_lock_is_ours() -> None:
    assert judge_lock(LOCK, [], HERE, gone) == LockFate(
        ours=False, alive=None, reason="no run of ours noted it"
    )


def test_one_note_that_may_live_keeps_the_lock() -> None:
    elsewhere = replace(NOTE, process=replace(HERE, namespace="9"))
    assert judge_lock(LOCK, [NOTE, elsewhere], HERE, gone).alive is None


def test_a_lock_as_pulumi_writes_it() -> None:
    text = '{"pid":200,"username":"ci","hostname":"runner","timestamp":"2026-01-02T04:04:07.123456789+01:00"}'
    assert parse_lock("k.json", text.encode()) == replace(
        LOCK, at=AT + timedelta(seconds=2, microseconds=123456)
    )


@given(st.binary(max_size=40) | st.sampled_from([b"{}", b"[]", b'{"pid": 1}']))
def test_what_is_no_lock_is_none(content: bytes) -> None:
    assert parse_lock("k", content) is None


@given(st.integers(0, 10**9 - 1), st.sampled_from(["Z", "+05:30", "-08:00"]))
def test_every_fraction_and_zone_that_go_writes_is_read(nanoseconds: int, zone: str) -> None:
    fraction = f".{nanoseconds:09d}".rstrip("0").rstrip(".")
    row = {"pid": 1, "username": "u", "hostname": "h", "timestamp": f"2026-01-02T03:04:05{fraction}{zone}"}
    found = parse_lock("k", json.dumps(row).encode())
    assert found is not None
    assert found.at.microsecond == nanoseconds // 1000
