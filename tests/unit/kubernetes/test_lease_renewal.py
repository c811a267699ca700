"""A renewal that fails for whatever reason is a failed renewal: the run stops when the Lease runs out, never unknowing."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from support.api_server import FakeApiServer
from weighbridge.domain.lease import Holder, Process, Silence
from weighbridge.errors import StepFailedError
from weighbridge.kubernetes.client import Kind, Object
from weighbridge.kubernetes.lease_object import LeaseObject
from weighbridge.kubernetes.lease_tenure import Tenure


@dataclass
class Clock:
    at: float = 0.0

    def now(self) -> float:
        return self.at

    def wall(self) -> datetime:
        return datetime(2026, 1, 2, tzinfo=UTC) + timedelta(seconds=self.at)

    def sleep(self, seconds: float) -> None:
        self.at += seconds


@dataclass
class Breaking(FakeApiServer):
    """An API server on whose way something breaks."""

    breaks: BaseException | None = None
    asked: int = field(default=0)

    def json_patch(
        self, kind: Kind, name: str, namespace: str | None, operations: Sequence[Object]
    ) -> Object:
        if self.breaks is not None:
            self.asked += 1
            raise self.breaks
        return super().json_patch(kind, name, namespace, operations)


def taken(kube: Breaking, clock: Clock, lost: Callable[[], None], interrupt: Callable[[], None]) -> Tenure:
    process = Process(user="u", host="h", machine="m", boot="b", namespace="n", pid=1, started=1)
    tenure = Tenure(
        LeaseObject(kube, "ns", "env", clock), Holder(run="r", verb="apply", since="now", process=process),
        observer=lambda _event: None, on_lost=lost, interrupt=interrupt, renew_every=0.01, retry_after=0.01,
    )  # fmt: skip
    tenure.take(None)
    return tenure


@pytest.mark.parametrize(
    "breaks",
    [KeyError("status"), FileNotFoundError("helper"), RuntimeError("of a library"), ValueError("JSON")],
)
def test_any_exception_of_a_renewal_is_a_failed_renewal(breaks: Exception) -> None:
    kube, clock = Breaking(), Clock()
    interrupted: list[str] = []

    def lost() -> None:
        interrupted.append("lost")
        raise KeyError("what is to be cancelled fails too")

    tenure = taken(kube, clock, lost, lambda: interrupted.append("main"))
    kube.breaks = breaks
    tenure.start()
    thread: Any = tenure._thread
    while kube.asked < 3:
        thread.join(0.01)
        assert thread.is_alive(), "the thread died of it"
    assert tenure.loss is None
    clock.at = Silence().give_up_after + 1
    thread.join(10)
    assert not thread.is_alive()
    assert interrupted == ["lost", "main"]
    assert tenure.loss is not None
    assert type(breaks).__name__ in tenure.loss.what
    tenure.end()


@pytest.mark.parametrize(("beside", "interrupted"), [(True, ["lost", "main"]), (False, ["lost"])])
def test_a_loss_that_a_thread_at_work_meets_interrupts_the_main_thread_too(
    beside: bool, interrupted: list[str]
) -> None:
    """It may be one of several threads that move weights; the main thread waits for them, and ends them all."""
    kube, clock, told = Breaking(), Clock(), list[str]()
    tenure = taken(kube, clock, lambda: told.append("lost"), lambda: told.append("main"))
    kube.breaks = RuntimeError("no way")
    clock.at = Silence().give_up_after + 1
    with ThreadPoolExecutor() as pool, pytest.raises(StepFailedError, match="has lost environment"):
        pool.submit(tenure.require).result() if beside else tenure.require()
    assert told == interrupted
    tenure.end()
