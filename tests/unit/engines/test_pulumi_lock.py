"""Locks that a killed Pulumi left behind: which are removed, which are waited for, which are refused."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from weighbridge.core.events import Event
from weighbridge.domain.lease import Found, Process, Work, micro_time
from weighbridge.engines.pulumi.backend import Backend, Bucket, Folder
from weighbridge.engines.pulumi.lock import StackLocks
from weighbridge.errors import InterruptedByUserError, PreconditionError, StepFailedError

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HERE = Process(
    user="ci", host="runner", machine="m1", boot="b1", namespace="4026531836", pid=100, started=900
)
STACK = "weighbridge-storage/stage"
WORK = Work(stack=STACK, run="r0", process=HERE, since=micro_time(AT))
ALONE_SINCE = 1060.0
GRACE = 60.0
LOCKS = f".pulumi/locks/organization/{STACK}"
BUCKET = Bucket(url="s3://state/team?region=r", name="state", prefix="team/", endpoint=None, region="r")


@dataclass
class Notebook:
    """The notes of a Lease that is held."""

    work: list[Work] = field(default_factory=lambda: [WORK])
    word: bool = False
    alone_since: float = ALONE_SINCE

    def notes(self, stack: str | None = None) -> tuple[Work, ...]:
        return tuple(work for work in self.work if stack in (None, work.stack))

    def begin(self, stack: str) -> None:
        self.work.append(replace(WORK, stack=stack, run="mine"))

    def ended(self, stack: str) -> None:
        self.work = [work for work in self.work if work.stack != stack]


@dataclass
class Objects:
    """A bucket in memory."""

    content: dict[str, bytes] = field(default_factory=dict)
    broken: bool = False

    def list(self, bucket: Bucket, prefix: str) -> Sequence[str]:
        assert bucket is BUCKET
        if self.broken:
            raise PreconditionError("the bucket does not answer")
        return [key for key in self.content if key.startswith(prefix)]

    def read(self, bucket: Bucket, key: str) -> bytes | None:
        assert bucket is BUCKET
        return self.content.get(key)

    def delete(self, bucket: Bucket, key: str) -> None:
        assert bucket is BUCKET
        self.content.pop(key, None)


@dataclass
class Place:
    """A backend with locks in it."""

    backend: Backend
    objects: Objects
    notebook: Notebook = field(default_factory=Notebook)
    living: dict[int, Found] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    here: Process = HERE
    clock: float = ALONE_SINCE + GRACE
    while_sleeping: Callable[[], None] = lambda: None

    def lock(self, name: str = "one", *, host: str = "runner", pid: int = 200, after: float = 2) -> None:
        at = (AT + timedelta(seconds=after)).isoformat()
        row = {"pid": pid, "username": "ci", "hostname": host, "timestamp": at}
        content = json.dumps(row).encode()
        if isinstance(self.backend, Folder):
            path = self.backend.path / LOCKS / f"{name}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        else:
            self.objects.content[f"team/{LOCKS}/{name}.json"] = content

    def unlock(self) -> None:
        """As Pulumi does it."""
        if isinstance(self.backend, Folder):
            (self.backend.path / LOCKS / "one.json").unlink()
        else:
            self.objects.content.clear()

    @property
    def locks(self) -> StackLocks:
        return StackLocks(
            self.backend,
            self.objects,
            self.notebook,
            GRACE,
            here=lambda: self.here,
            look=self.living.get,
            now=lambda: self.clock,
            sleep=self._sleep,
        )

    def settle(self) -> None:
        self.locks.settle(self.events.append)

    def left(self) -> list[str]:
        return sorted(lock.key.rpartition("/")[2] for lock in self.locks.of(STACK))

    @property
    def said(self) -> str:
        return "\n".join(str(getattr(event, "text", "")) for event in self.events)

    def _sleep(self, seconds: float) -> None:
        self.clock += seconds
        self.while_sleeping()


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    backend: Backend = Folder(tmp_path) if request.param == "folder" else BUCKET
    return Place(backend, Objects())


def test_the_lock_of_a_dead_run_is_removed_and_said_and_no_other(place: Place) -> None:
    place.lock("ours")
    place.lock("theirs", host="laptop")
    place.lock("before", after=-60)

    place.settle()

    assert place.left() == ["before.json", "theirs.json"]
    assert (
        f"removed the lock of stack `{STACK}`, which a dead run held since 2026-01-02T03:04:07" in place.said
    )
    assert "process 200 is gone" in place.said
    assert place.notebook.work == []


def test_without_a_note_nothing_is_even_looked_at(place: Place) -> None:
    place.lock()
    place.notebook.work.clear()
    place.objects.broken = True
    place.settle()
    place.objects.broken = False
    assert place.left() == ["one.json"]


@pytest.mark.parametrize("word", [False, True], ids=["seen from here", "by --take-over"])
def test_no_lock_is_removed_before_the_silence_and_the_time_of_the_guards_are_over(
    place: Place, *, word: bool
) -> None:
    """The silence is over at ``ALONE_SINCE``."""
    place.clock, place.notebook.word = ALONE_SINCE + 10, word
    if word:
        place.here = replace(HERE, namespace="9")
    place.lock()

    def look() -> None:
        if place.clock < ALONE_SINCE + GRACE:
            assert place.left() == ["one.json"]

    place.while_sleeping = look
    place.settle()

    assert place.clock == ALONE_SINCE + GRACE
    assert place.said.count("waiting, 50 s at most, for Pulumi to end what a dead run began: stack") == 1
    assert place.left() == []


def test_where_no_lock_of_ours_is_nobody_waits(place: Place) -> None:
    place.clock = ALONE_SINCE
    place.lock("theirs", host="laptop")
    place.settle()
    assert (place.clock, place.said, place.notebook.work) == (ALONE_SINCE, "", [])


def test_a_pulumi_that_still_ends_what_a_dead_run_began_is_waited_for(place: Place) -> None:
    place.clock = ALONE_SINCE
    place.lock()
    place.living[200] = Found(100_100)

    def end() -> None:
        if place.clock >= ALONE_SINCE + 3:
            place.unlock()

    place.while_sleeping = end
    place.settle()

    assert place.clock == ALONE_SINCE + 3
    assert "removed" not in place.said
    assert place.notebook.work == []


def test_a_pulumi_that_does_not_end_is_refused_with_its_process_whatever_the_time_of_day(
    place: Place,
) -> None:
    place.lock(pid=201, after=0)
    place.living[201] = Found(105_000)  # long after the time in the lock: the clock was set back in between

    with pytest.raises(PreconditionError, match="process 201 still runs 60 s later") as refused:
        place.settle()

    assert "kill 201" in str(refused.value.remedy)
    assert "pulumi cancel" in str(refused.value.remedy), "its number may be another program's"
    assert place.left() == ["one.json"]
    assert place.notebook.work, "the next run has to know of it too"


@pytest.mark.parametrize(
    "here",
    [replace(HERE, host="new", machine="m2", boot="b2"), replace(HERE, namespace="9")],
    ids=["another machine", "another container"],
)
def test_from_elsewhere_the_lock_is_refused_until_somebody_says_that_the_run_is_gone(
    place: Place, here: Process
) -> None:
    place.here = here
    place.lock()

    with pytest.raises(PreconditionError, match="cannot be known from here") as refused:
        place.settle()

    assert refused.value.code == "stack-locked"
    assert "--take-over" in str(refused.value.remedy)
    assert f"pulumi cancel --yes --stack organization/{STACK}" in str(refused.value.remedy)
    assert f"PULUMI_BACKEND_URL='{place.backend.url}'" in str(refused.value.remedy)
    assert place.left() == ["one.json"]
    assert place.notebook.work == [WORK]

    place.notebook.word = True
    place.settle()
    assert place.left() == []


def test_a_command_is_noted_before_it_and_forgotten_after_it(place: Place) -> None:
    place.notebook.work.clear()
    with place.locks.around(STACK):
        assert [work.stack for work in place.notebook.work] == [STACK]
    assert place.notebook.work == []


@pytest.mark.parametrize(
    "error", [StepFailedError("killed"), InterruptedByUserError("no"), KeyboardInterrupt()]
)
def test_the_lock_of_our_own_killed_command_is_removed_at_once(place: Place, error: BaseException) -> None:
    def command() -> None:
        with place.locks.around(STACK):
            place.lock()
            place.lock("theirs", host="laptop")
            raise error

    with pytest.raises(type(error)):
        command()
    assert place.left() == ["theirs.json"]
    assert place.notebook.work == []


def test_what_cannot_be_tidied_up_is_left_to_the_next_run_and_hides_no_failure(place: Place) -> None:
    if isinstance(place.backend, Folder):
        place.living[200] = Found(100_100)  # it did not even end

    def command() -> None:
        with place.locks.around(STACK):
            place.lock()
            place.objects.broken = True
            raise StepFailedError("killed")

    with pytest.raises(StepFailedError, match="killed"):
        command()
    assert place.notebook.work != []


def test_what_is_no_lock_is_left_alone(place: Place) -> None:
    place.lock()
    if isinstance(place.backend, Folder):
        (place.backend.path / LOCKS / "junk.json").write_text("junk")
    else:
        place.objects.content[f"team/{LOCKS}/junk.json"] = b"junk"
    place.settle()
    assert place.left() == []
