"""A work queue with one worker: what controller-runtime calls max-concurrent-reconciles 1.

A key that is queued twice before its turn is worked on once; a key that is added while it is being worked on gets
another turn afterwards. Both watchers (operator, provisioner) feed theirs from kopf's event handlers.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import kopf

log = logging.getLogger(__name__)

Key = tuple[str, str]
"""(namespace, name); the namespace is empty for a cluster-scoped object."""


@dataclass
class SerialQueue:
    """Keys in order of arrival, each at most once."""

    _waiting: dict[Key, None] = field(default_factory=dict)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _later: dict[Key, asyncio.TimerHandle] = field(default_factory=dict)

    def add(self, key: Key) -> None:
        """Queue ``key`` now, and forget a later appointment it may have."""
        if (appointment := self._later.pop(key, None)) is not None:
            appointment.cancel()
        self._waiting.setdefault(key)
        self._arrived.set()

    def add_after(self, key: Key, seconds: float) -> None:
        """Queue ``key`` in ``seconds``, unless it already waits or has an appointment, which stands."""
        if key in self._waiting or key in self._later:
            return
        if seconds <= 0:
            self.add(key)
            return
        self._later[key] = asyncio.get_running_loop().call_later(seconds, self.add, key)

    async def take(self) -> Key:
        """The oldest key, waiting for one if there is none."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        key = next(iter(self._waiting))
        del self._waiting[key]
        return key


async def serve(
    registry: kopf.OperatorRegistry,
    queue: SerialQueue,
    work: Callable[[Key], Awaitable[float | None]],
) -> None:
    """Run kopf's watchers and the one worker until kopf is told to stop (SIGTERM, SIGINT).

    ``work`` returns the seconds after which the key wants another turn, or None. A defect in it ends the process, so
    that the supervisor starts it anew instead of leaving a watcher that no longer works.
    """

    async def worker() -> None:
        while True:
            key = await queue.take()
            again = await work(key)
            if again is not None:
                queue.add_after(key, again)

    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.watching.server_timeout = 120
    settings.watching.client_timeout = 150
    settings.networking.error_backoffs = [0.2, 0.5, 1, 2, 3, 5, 5, 5, 10, 10, 20]
    working = asyncio.create_task(worker(), name="worker")
    watching = asyncio.create_task(
        kopf.operator(registry=registry, settings=settings, clusterwide=True, standalone=True), name="kopf"
    )
    done, pending = await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    for task in done:
        task.result()
