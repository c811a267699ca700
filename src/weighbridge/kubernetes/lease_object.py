"""The Lease object of one environment in the cluster: every write carries the resourceVersion that it was decided on, so
of two that want it one is refused.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final, Protocol, cast

from weighbridge.domain.lease import (
    GAVE_WAY,
    Holder,
    Notes,
    Record,
    Silence,
    annotations_of,
    micro_time,
    parse_lease,
)
from weighbridge.domain.naming import lease_name, object_labels
from weighbridge.kubernetes.client import LEASE, ApiRefusedError, Kind, Object
from weighbridge.manifests.contexts import LeaseContext
from weighbridge.manifests.render import render
from weighbridge.processes import machine

_CHANGED: Final = frozenset({HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.NOT_FOUND})


class KubeApi(Protocol):
    """What is used of ``kubernetes.client.Kube``. Every call has to have a timeout well below ``Silence.give_up_after``."""

    def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object | None: ...

    def create(self, kind: Kind, body: Object) -> Object: ...

    def json_patch(
        self, kind: Kind, name: str, namespace: str | None, operations: Sequence[Object]
    ) -> Object: ...

    def delete_version(self, kind: Kind, name: str, namespace: str, version: str) -> bool: ...


class LeaseClock(Protocol):
    """Seconds that go on while this machine sleeps, and the time of day."""

    def now(self) -> float: ...

    def wall(self) -> datetime: ...

    def sleep(self, seconds: float) -> None: ...


class SystemLeaseClock:
    """Real time."""

    def now(self) -> float:
        return machine.uptime()

    def wall(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class ChangedError(Exception):
    """Somebody else wrote the object since it was read; nothing was written."""


@dataclass(frozen=True, slots=True)
class LeaseObject:
    """Reads and compare-and-swap writes. Every method raises what ``Kube`` raises."""

    kube: KubeApi
    namespace: str
    environment: str
    clock: LeaseClock
    silence: Silence = field(default_factory=Silence)

    @property
    def name(self) -> str:
        return lease_name(self.environment)

    def read(self) -> Record | None:
        """The Lease now."""
        found = self.kube.get(LEASE, self.name, self.namespace)
        return parse_lease(found) if found is not None else None

    def create(self, me: Holder) -> Record:
        """``ChangedError`` where there is one already."""
        try:
            return parse_lease(self.kube.create(LEASE, self._manifest(me, None, Notes())))
        except ApiRefusedError as error:
            if error.status == HTTPStatus.CONFLICT:
                raise ChangedError from error
            raise

    def swap(self, record: Record, me: Holder, notes: Notes) -> Record:
        """``me`` holds it from now on, with these notes. ``ChangedError`` where it is not ``record`` any more."""
        wanted = self._manifest(me, record, notes)
        return self._patch(
            record,
            {"op": "add", "path": "/metadata/labels", "value": wanted["metadata"]["labels"]},
            {"op": "add", "path": "/metadata/annotations", "value": wanted["metadata"]["annotations"]},
            {"op": "add", "path": "/spec", "value": wanted["spec"]},
        )

    def give_back(self, record: Record) -> None:
        """Delete it; with notes of what may still be locked or left it stays, held by nobody, for the next run to read.
        ``ChangedError`` where it is not ``record`` any more.
        """
        if record.notes:
            self._patch(record, {"op": "replace", "path": "/spec/holderIdentity", "value": ""})
            return
        try:
            self.kube.delete_version(LEASE, self.name, self.namespace, record.version)
        except ApiRefusedError as error:
            if error.status == HTTPStatus.CONFLICT:
                raise ChangedError from error
            raise

    def say_gave_way(self, record: Record, run: str) -> None:
        """Tell whoever took over that ``run`` has stopped. ``ChangedError`` where it is not ``record`` any more."""
        path = f"/metadata/annotations/{GAVE_WAY.replace('/', '~1')}"
        self._patch(record, {"op": "add", "path": path, "value": run})

    def _patch(self, record: Record, *operations: Object) -> Record:
        guard = {"op": "test", "path": "/metadata/resourceVersion", "value": record.version}
        try:
            return parse_lease(self.kube.json_patch(LEASE, self.name, self.namespace, [guard, *operations]))
        except ApiRefusedError as error:
            if error.status in _CHANGED:
                raise ChangedError from error
            raise

    def _manifest(self, me: Holder, record: Record | None, notes: Notes) -> dict[str, Any]:
        now = micro_time(self.clock.wall())
        mine = record if record is not None and record.identity == me.identity else None
        taken = record.transitions + 1 if record is not None and mine is None else 0
        return cast(
            "dict[str, Any]",
            render(
                LeaseContext(
                    name=self.name,
                    namespace=self.namespace,
                    labels=object_labels(self.environment),
                    annotations=annotations_of(me, notes, mine.gave_way if mine is not None else None),
                    identity=me.identity,
                    duration_seconds=self.silence.seconds,
                    acquired=(mine.acquired if mine is not None else None) or now,
                    renewed=now,
                    transitions=mine.transitions if mine is not None else taken,
                )
            ),
        )
