"""Following a Job over a scripted cluster: reconnects, replacements, deadlines, outages. Time is the test's own."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from weighbridge.errors import ForbiddenError, PreconditionError, StepFailedError, WeighbridgeError
from weighbridge.kubernetes.pod_follower import Follower, Patience

Object = Mapping[str, Any]
DONE = {"outcome": "published", "set_digest": "sha256:d", "error": None}


@dataclass
class FakeTime:
    value: float = 0.0
    slow: float = 1.0
    """How often it is slept for each second that passes."""
    ticks: list[Callable[[], None]] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.value

    def sleep(self, seconds: float) -> None:
        self.value += seconds / self.slow
        for tick in self.ticks:
            tick()
        threading.Event().wait(0.002)  # lets the log's thread speak


def job(*conditions: str) -> Object:
    return {
        "metadata": {"name": "j"},
        "status": {"conditions": [{"type": c, "status": "True"} for c in conditions]},
    }


def pod(name: str, phase: str, state: dict[str, Any]) -> Object:
    return {
        "metadata": {"name": name},
        "spec": {"containers": [{"image": "i"}]},
        "status": {"phase": phase, "containerStatuses": [{"ready": True, "state": state}]},
    }


def running(name: str) -> Object:
    return pod(name, "Running", {"running": {}})


def finished(name: str, message: dict[str, Any], code: int = 0) -> Object:
    state = {"terminated": {"exitCode": code, "message": json.dumps(message)}}
    return pod(name, "Failed" if code else "Succeeded", state)


@dataclass
class Script:
    """A cluster that shows one picture after another, the last one for ever. A picture may be a failure."""

    pictures: list[tuple[Object | None, list[Object]] | WeighbridgeError]
    logs: dict[str, list[list[str] | WeighbridgeError]] = field(default_factory=dict)
    looked: int = 0

    def _now(self) -> tuple[Object | None, list[Object]]:
        picture = self.pictures[min(self.looked, len(self.pictures) - 1)]
        if isinstance(picture, WeighbridgeError):
            self.looked += 1
            raise picture
        return picture

    def job(self) -> Object | None:
        return self._now()[0]

    def pods(self) -> Sequence[Object]:
        found = self._now()[1]
        self.looked += 1
        return found

    def claim(self) -> Object | None:
        return None

    def events(self, pods: Sequence[Object]) -> Sequence[Object]:
        del pods
        return []

    def log(self, pod: str) -> Iterator[str]:
        attempts = self.logs.get(pod, [])
        lines = attempts.pop(0) if attempts else []
        if isinstance(lines, WeighbridgeError):
            raise lines
        yield from lines


def follow(script: Script, patience: Patience | None = None) -> tuple[Any, list[dict[str, Any]], Follower]:
    said: list[dict[str, Any]] = []
    time = FakeTime()
    follower = Follower(script, "j", patience or Patience(deadline_seconds=100), said.append, time)
    return follower.follow_job(), said, follower


def line(**event: Any) -> str:
    return json.dumps(event)


RESULT = line(event="result", **DONE)


def test_progress_files_and_the_result() -> None:
    log = [
        line(event="progress", phase="fetch", bytes=1, total=2, rate=1),
        line(event="file", path="a", size=2, sha256="s"),
        RESULT,
    ]
    script = Script(
        [(job(), []), (job(), [running("p")]), (job("Complete"), [finished("p", DONE)])], {"p": [log]}
    )
    ended, said, _ = follow(script)
    assert ended.error is None
    assert ended.message == DONE
    assert [event["event"] for event in said].count("file") == 1
    assert any(event["event"] == "progress" for event in said)


def test_the_last_progress_is_said_also_where_it_came_too_soon_after_another() -> None:
    told = threading.Event()

    class Sudden(Script):
        def log(self, pod: str) -> Iterator[str]:
            del pod
            yield line(event="progress", phase="fetch", bytes=1, total=2, rate=1)
            told.wait(5)
            yield line(event="progress", phase="fetch", bytes=2, total=2, rate=1)
            yield RESULT

    said: list[int] = []

    def say(event: dict[str, Any]) -> None:
        if event["event"] == "progress":
            said.append(event["bytes"])
            told.set()

    pictures = [(job(), [running("p")]) for _ in range(9)]
    script = Sudden([*pictures, (job("Complete"), [finished("p", DONE)])])
    time = FakeTime(slow=30)  # many looks within the half second
    Follower(script, "j", Patience(deadline_seconds=100), say, time).follow_job()
    assert said == [1, 2]


def test_events_that_may_not_be_read_are_told_once_and_hinder_nothing() -> None:
    class Discreet(Script):
        def events(self, pods: Sequence[Object]) -> Sequence[Object]:
            del pods
            raise ForbiddenError("`u` may not list events", code="cluster-forbidden")

    script = Discreet(
        [(job(), []), (job(), []), (job(), [running("p")]), (job("Complete"), [finished("p", DONE)])]
    )
    ended, said, _ = follow(script)
    assert ended.error is None
    assert [event["text"] for event in said if "may not list events" in event.get("text", "")] == [
        "should something wait, why will not be known: `u` may not list events"
    ]


def test_a_pod_that_ended_before_anybody_looked_still_tells_its_files() -> None:
    script = Script(
        [(job("Complete"), [finished("p", DONE)])],
        {"p": [[line(event="file", path="a", size=2, sha256="s"), RESULT]]},
    )
    _, said, _ = follow(script)
    assert [event["path"] for event in said if event["event"] == "file"] == ["a"]


def test_a_broken_log_is_read_again_without_saying_anything_twice() -> None:
    files = [line(event="file", path=name, size=1, sha256="s") for name in "abc"]
    script = Script(
        [*[(job(), [running("p")])] * 30, (job("Complete"), [finished("p", DONE)])],
        {"p": [files[:2], StepFailedError("reset", transient=True), [*files, RESULT]]},
    )
    _, said, _ = follow(script)
    assert [event["path"] for event in said if event["event"] == "file"] == ["a", "b", "c"]


def test_a_replacement_pod_is_followed() -> None:
    first = [line(event="file", path="a", size=1, sha256="s")]
    second = [line(event="file", path="b", size=1, sha256="s"), RESULT]
    dead = pod("p1", "Failed", {"terminated": {"exitCode": 137, "reason": "Error"}})
    script = Script(
        [
            *[(job(), [running("p1")])] * 5,
            *[(job(), [dead])] * 20,
            *[(job(), [dead, running("p2")])] * 5,
            (job("Complete"), [dead, finished("p2", DONE)]),
        ],
        {"p1": [first], "p2": [second]},
    )
    ended, said, _ = follow(script)
    assert ended.message == DONE
    assert [event["path"] for event in said if event["event"] == "file"] == ["a", "b"]
    assert any("a replacement follows" in event.get("text", "") for event in said)


def test_a_short_outage_of_the_api_server_passes() -> None:
    gone = PreconditionError("does not answer", code="cluster-unreachable")
    script = Script([(job(), [running("p")]), *[gone] * 5, (job("Complete"), [finished("p", DONE)])])
    ended, _, _ = follow(script)
    assert ended.message == DONE


def test_a_long_one_does_not() -> None:
    gone = PreconditionError("does not answer", code="cluster-unreachable")
    with pytest.raises(PreconditionError) as refused:
        follow(Script([gone]), Patience(deadline_seconds=1000, outage_seconds=20))
    assert refused.value.code == "cluster-unreachable"


def test_a_pod_that_never_starts_ends_at_the_schedules_deadline() -> None:
    with pytest.raises(PreconditionError) as refused:
        follow(Script([(job(), [])]), Patience(deadline_seconds=1000, schedule_seconds=30))
    assert refused.value.code == "creating"


def test_a_problem_that_the_cluster_reports_is_believed_sooner() -> None:
    blocked = pod("p", "Pending", {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}})
    script = Script([(job(), [blocked])])
    with pytest.raises(PreconditionError) as refused:
        follow(script, Patience(deadline_seconds=1000, schedule_seconds=600, stuck_seconds=10))
    assert refused.value.code == "image-not-pulled"
    assert script.looked < 60


def test_one_that_goes_away_in_time_is_forgiven() -> None:
    blocked = pod("p", "Pending", {"waiting": {"reason": "ErrImagePull", "message": "timeout"}})
    script = Script(
        [*[(job(), [blocked])] * 10, (job(), [running("p")]), (job("Complete"), [finished("p", DONE)])]
    )
    ended, said, _ = follow(script, Patience(deadline_seconds=100, stuck_seconds=30))
    assert ended.message == DONE
    assert any("cannot be pulled" in event.get("text", "") for event in said)


def test_a_mover_that_never_ends_meets_our_deadline() -> None:
    with pytest.raises(StepFailedError) as failed:
        follow(Script([(job(), [running("p")])]), Patience(deadline_seconds=50, schedule_seconds=10))
    assert failed.value.code == "deadline"


def test_without_permission_to_read_logs_the_work_goes_on() -> None:
    denied = PreconditionError("pods/log is forbidden", code="cluster-forbidden")
    script = Script(
        [*[(job(), [running("p")])] * 5, (job("Complete"), [finished("p", DONE)])],
        {"p": [denied, denied, denied]},
    )
    ended, said, _ = follow(script)
    assert ended.message == DONE
    assert [event["text"] for event in said].count("no live progress: pods/log is forbidden") == 1


def test_words_that_are_no_events_are_kept_for_the_failure() -> None:
    script = Script(
        [(job("Failed"), [pod("p", "Failed", {"terminated": {"exitCode": 1, "reason": "Error"}})])],
        {"p": [["Traceback", "SyntaxError: invalid syntax"]]},
    )
    ended, _, follower = follow(script)
    assert ended.error is not None
    assert follower.last_lines == ("Traceback", "SyntaxError: invalid syntax")


def test_a_log_that_was_rotated_before_the_connection_broke_is_followed_on() -> None:
    """The kubelet then gives its newest file alone: it begins with another line, and is shorter than what was seen."""
    files = [line(event="file", path=f"{number}", size=2, sha256="s") for number in range(8)]
    script = Script(
        [*[(job(), [running("p")])] * 6, (job("Complete"), [finished("p", DONE)])],
        {"p": [files[:5], [*files[3:7]], [*files[3:], RESULT]]},
    )
    _, said, _ = follow(script)
    assert [event["path"] for event in said if event["event"] == "file"] == list("01234567")
