from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from weighbridge_sandbox.operator.reconciler import Reconciler
from weighbridge_sandbox.operator.registrations import Unusable
from weighbridge_sandbox.operator.settings import Settings
from weighbridge_sandbox.operator.status import Status


@dataclass
class OneResource:
    """One custom resource in memory; keeps every status it ever had."""

    spec: Any
    status: Status = field(default_factory=dict)
    history: list[Status] = field(default_factory=list)
    gone: bool = False

    def read(self, namespace: str, name: str) -> Mapping[str, Any] | None:  # noqa: ARG002 - there is one
        return (
            None if self.gone else {"metadata": {"generation": 1}, "spec": self.spec, "status": self.status}
        )

    def write_status(self, namespace: str, name: str, change: Callable[[Mapping[str, Any]], Status]) -> bool:  # noqa: ARG002
        if self.gone:
            return False
        self.status = change(self.status)
        self.history.append(self.status)
        return True


class NoVolumes:
    def folder(self, namespace: str, claim: str) -> Path | Unusable:
        return Unusable(f"{claim} does not exist in {namespace}")


BROKEN = {
    "version": "11.0.0",
    "custom_foundation_models": [{"model_id": "x", "location": {"pvc_name": "gone"}}],
}


def reconciler(
    resource: OneResource, settings: Settings | None = None, sleeps: list[float] | None = None
) -> Reconciler:
    slept = sleeps if sleeps is not None else []
    return Reconciler(resource, NoVolumes(), settings or Settings(), sleep=slept.append)


def test_progress_never_goes_back_and_ends_completed() -> None:
    resource = OneResource({"version": "11.0.0"})
    sleeps: list[float] = []
    assert reconciler(resource, sleeps=sleeps).reconcile("cpd", "cr") is None
    percents = [int(one["progress"].removesuffix("%")) for one in resource.history]
    assert percents == sorted(percents)
    assert [one["watsonxaiifmStatus"] for one in resource.history] == ["InProgress"] * 4 + ["Completed"]
    assert resource.status["versions"] == {"reconciled": "11.0.0"}
    assert len(sleeps) >= 3, "a person, and a poll of one second, can see it in progress"


def test_failure_names_the_model_and_is_final() -> None:
    resource = OneResource(BROKEN)
    assert reconciler(resource).reconcile("cpd", "cr") is None
    assert resource.status["watsonxaiifmStatus"] == "Failed"
    assert "'x': gone does not exist in cpd" in resource.status["progressMessage"]
    assert "versions" not in resource.status


def test_failure_is_tried_again_with_growing_pauses_where_that_is_chosen() -> None:
    resource = OneResource(BROKEN)
    stubborn = reconciler(resource, Settings(retry_failed=True))
    pauses = [stubborn.reconcile("cpd", "cr") for _ in range(20)]
    assert all(pause is not None for pause in pauses)
    assert pauses[:3] == [0.005, 0.01, 0.02]
    assert pauses[-1] == 1000
    resource.spec = {}
    assert stubborn.reconcile("cpd", "cr") is None
    resource.spec = BROKEN
    assert stubborn.reconcile("cpd", "cr") == 0.005, "a success ends the count"


@pytest.mark.parametrize("spec", [None, "text", {"ignoreForMaintenance": False}])
def test_a_spec_of_any_shape_is_reconciled(spec: object) -> None:
    resource = OneResource(spec)
    reconciler(resource).reconcile("cpd", "cr")
    assert resource.status["watsonxaiifmStatus"] == "Completed"


def test_maintenance_and_absence_leave_everything_alone() -> None:
    for resource in (OneResource({"ignoreForMaintenance": True, **BROKEN}), OneResource({}, gone=True)):
        assert reconciler(resource).reconcile("cpd", "cr") is None
        assert resource.history == []


def test_settings_come_from_the_environment_or_are_refused_by_name() -> None:
    prefix = "WEIGHBRIDGE_SANDBOX_OPERATOR_"
    assert Settings.from_environment({}) == Settings()
    chosen = Settings.from_environment({f"{prefix}PICKUP_SECONDS": "0", f"{prefix}RETRY_FAILED": "1"})
    assert chosen == Settings(pickup_seconds=0, retry_failed=True)
    for name, value in [
        ("PICKUP_SECONDS", "soon"),
        ("STEP_SECONDS", "-1"),
        ("STEP_SECONDS", "nan"),
        ("RETRY_FAILED", "yes"),
    ]:
        with pytest.raises(ValueError, match=prefix + name):
            Settings.from_environment({prefix + name: value})
