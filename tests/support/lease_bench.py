"""Leases for tests: processes that exist or not by decree, and a clock that a test moves."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from weighbridge.core.events import Event
from weighbridge.domain.lease import Found, Process, Silence
from weighbridge.domain.naming import lease_name
from weighbridge.kubernetes.client import LEASE, Object
from weighbridge.kubernetes.lease import LeaseLock, Pace
from weighbridge.kubernetes.lease_object import KubeApi

HERE = Process(
    user="ci", host="runner", machine="m1", boot="b1", namespace="4026531836", pid=100, started=5000
)
ELSEWHERE = replace(HERE, host="laptop", machine="m2", boot="b2")
NEVER = 3600.0


@dataclass
class HandClock:
    """Time passes when somebody sleeps, and when a test says so."""

    at: float = 1000.0
    day: datetime = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    slept: list[float] = field(default_factory=list)
    while_sleeping: Callable[[], None] = lambda: None
    """What others do meanwhile."""

    def now(self) -> float:
        return self.at

    def wall(self) -> datetime:
        return self.day + timedelta(seconds=self.at)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds
        self.while_sleeping()


@dataclass
class Bench:
    """Runs of one environment against one API server."""

    api: KubeApi
    namespace: str = "ns"
    environment: str = "stage"
    silence: Silence = field(default_factory=Silence)
    clock: HandClock = field(default_factory=HandClock)
    living: set[int] = field(default_factory=set)
    """PIDs of this machine."""
    events: list[Event] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    interrupted: threading.Event = field(default_factory=threading.Event)

    def run(self, process: Process = HERE, *, renew: float = NEVER, **pace: float) -> LeaseLock:
        """One run; with ``renew`` its thread renews every so many real seconds."""
        self.living.add(process.pid)
        return LeaseLock(
            self.api,
            self.namespace,
            self.environment,
            clock=self.clock,
            silence=self.silence,
            pace=Pace(renew=renew, retry=renew, **pace),
            here=lambda: process,
            look=self.look,
            interrupt=self.interrupted.set,
        )

    def look(self, pid: int) -> Found | None:
        return Found(5000) if pid in self.living else None

    def stop(self) -> None:
        self.stopped.append("stopped")

    def lease(self) -> Object | None:
        return self.api.get(LEASE, lease_name(self.environment), self.namespace)

    @property
    def said(self) -> str:
        return "\n".join(str(getattr(event, "text", "")) for event in self.events)
