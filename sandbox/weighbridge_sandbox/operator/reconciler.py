"""One reconciliation of one Watsonxaiifm, from the stale status it is found with to Completed or Failed."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from weighbridge_sandbox.operator import registrations, status
from weighbridge_sandbox.operator.settings import Settings

log = logging.getLogger(__name__)

LONGEST_BACKOFF_SECONDS = 1000.0
FIRST_BACKOFF_SECONDS = 0.005

BUILD_NUMBER = 1
"""The stand-in's own; the real operator writes the number of its build."""


class Resources(Protocol):
    """The custom resources, read whole and written in their status only."""

    def read(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        """The object as JSON, or None if there is none."""
        ...

    def write_status(
        self, namespace: str, name: str, change: Callable[[Mapping[str, Any]], status.Status]
    ) -> bool:
        """Replace the status by ``change`` of the newest one; False if the object is gone."""
        ...


@dataclass
class Reconciler:
    """Works on one object at a time; remembers only how often each has failed in a row."""

    resources: Resources
    volumes: registrations.Volumes
    settings: Settings
    sleep: Callable[[float], object]
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    _failures: dict[tuple[str, str], int] = field(default_factory=dict)

    def reconcile(self, namespace: str, name: str) -> float | None:
        """Bring the status up to the spec as it stands now.

        Returns the seconds until the next try, or None where only a change of the spec brings one.
        """
        found = self.resources.read(namespace, name)
        if found is None:
            self._failures.pop((namespace, name), None)
            return None
        spec = found.get("spec")
        spec = spec if isinstance(spec, Mapping) else {}
        if spec.get("ignoreForMaintenance") is True:
            log.info("%s/%s: ignoreForMaintenance is true, left alone", namespace, name)
            return None
        log.info("%s/%s: reconciling generation %s", namespace, name, _generation(found))

        def write(change: Callable[[Mapping[str, Any]], status.Status]) -> bool:
            return self.resources.write_status(namespace, name, change)

        steps = (
            (20, "Reconciling service configuration"),
            (60, "Reconciling custom foundation models"),
        )
        if not write(lambda before: status.running(before, self.now())):
            return None
        self.sleep(self.settings.step_seconds)
        for percent, message in steps:
            if not write(lambda before, p=percent, m=message: status.progressing(before, p, m)):  # type: ignore[misc]
                return None
            self.sleep(self.settings.step_seconds)
        found_wrong = registrations.problems(spec, namespace, self.volumes)
        if found_wrong:
            return self._fail((namespace, name), "; ".join(found_wrong), write)
        write(lambda before: status.progressing(before, 90, "Updating the service"))
        self.sleep(self.settings.step_seconds)
        tally = status.Tally(ok=9, changed=1, skipped=2, failures=0, completion=self.now())
        version = spec.get("version")
        write(
            lambda before: {
                **status.succeeded(
                    before,
                    tally,
                    version=version if isinstance(version, str) else None,
                    offset=self.settings.completion_offset,
                ),
                "watsonxaiifmBuildNumber": BUILD_NUMBER,
            }
        )
        self._failures.pop((namespace, name), None)
        log.info("%s/%s: Completed", namespace, name)
        return None

    def _fail(
        self,
        key: tuple[str, str],
        message: str,
        write: Callable[[Callable[[Mapping[str, Any]], status.Status]], bool],
    ) -> float | None:
        tally = status.Tally(ok=5, changed=0, skipped=2, failures=1, completion=self.now())
        write(lambda before: status.failed(before, tally, message, offset=self.settings.completion_offset))
        log.warning("%s/%s: Failed: %s", *key, message)
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        if not self.settings.retry_failed:
            return None
        return min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** min(failures, 20))


def _generation(found: Mapping[str, Any]) -> object:
    metadata = found.get("metadata")
    return metadata.get("generation") if isinstance(metadata, Mapping) else None
