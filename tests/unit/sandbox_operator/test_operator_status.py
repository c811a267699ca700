from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from weighbridge_sandbox.operator import status

NOON = datetime(2024, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)


def conditions(of: status.Status) -> dict[str, dict[str, object]]:
    return {one["type"]: one for one in of["conditions"]}


def recap(at: datetime, failures: int = 0) -> status.Tally:
    return status.Tally(ok=9, changed=1, skipped=2, failures=failures, completion=at)


def test_a_first_run_that_succeeds() -> None:
    begun = status.running({}, NOON)
    assert (begun["watsonxaiifmStatus"], begun["progress"]) == ("InProgress", "0%")
    assert conditions(begun)["Running"]["reason"] == "Running"
    further = status.progressing(begun, 60, "half way")
    done = status.succeeded(further, recap(NOON + timedelta(seconds=5)), version="11.0.0")
    assert (done["watsonxaiifmStatus"], done["progress"]) == ("Completed", "100%")
    assert done["versions"] == {"reconciled": "11.0.0"}
    assert conditions(done)["Successful"]["status"] == "True"
    assert conditions(done)["Failure"]["status"] == "False"
    running = conditions(done)["Running"]
    assert (running["status"], running["reason"]) == ("True", "Successful")
    assert running["lastTransitionTime"] == "2024-01-01T12:00:00Z", "Running was True all along"
    assert running["ansibleResult"] == {
        "ok": 9, "changed": 1, "skipped": 2, "failures": 0, "completion": "2024-01-01T12:00:05.123456",
    }  # fmt: skip


def test_a_second_success_moves_completion_and_successful() -> None:
    first = status.succeeded(status.running({}, NOON), recap(NOON), version=None)
    later = NOON + timedelta(minutes=3)
    again = status.running(first, later)
    assert conditions(again)["Successful"]["status"] == "False"
    assert "ansibleResult" not in conditions(again)["Running"]
    second = status.succeeded(again, recap(later), version=None)
    assert conditions(second)["Running"]["ansibleResult"]["completion"] == "2024-01-01T12:03:00.123456"  # type: ignore[index]
    assert conditions(second)["Successful"]["lastTransitionTime"] == "2024-01-01T12:03:00Z"


def test_a_failure_says_why_and_keeps_the_reconciled_version() -> None:
    before = status.succeeded(status.running({}, NOON), recap(NOON), version="11.0.0")
    working = status.progressing(status.running(before, NOON), 60, "models")
    broken = status.failed(working, recap(NOON, 1), "model 'x': no config.json", offset=True)
    assert (broken["watsonxaiifmStatus"], broken["progress"]) == ("Failed", "60%")
    assert broken["progressMessage"] == "model 'x': no config.json"
    assert broken["versions"] == {"reconciled": "11.0.0"}
    failure = conditions(broken)["Failure"]
    assert (failure["status"], failure["message"]) == ("True", "model 'x': no config.json")
    assert failure["ansibleResult"]["completion"].endswith("+00:00")  # type: ignore[index]
    assert conditions(broken)["Running"]["status"] == "False"
    assert conditions(broken)["Successful"]["status"] == "False"


def test_a_second_failure_replaces_the_message() -> None:
    first = status.failed(status.running({}, NOON), recap(NOON, 1), "first")
    second = status.failed(status.running(first, NOON), recap(NOON, 1), "second")
    assert conditions(second)["Failure"]["message"] == "second"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda x: st.lists(x) | st.dictionaries(st.text(), x),
)


@given(st.dictionaries(st.text(), JSON) | st.fixed_dictionaries({"conditions": JSON}))
def test_any_status_found_can_be_carried_on(found: dict[str, object]) -> None:
    done = status.succeeded(
        status.progressing(status.running(found, NOON), 50, "x"), recap(NOON), version="1"
    )
    assert {"Running", "Successful", "Failure"} <= set(conditions(done))
    mine = {"conditions", "watsonxaiifmStatus", "progress", "progressMessage", "versions"}
    assert {key: value for key, value in done.items() if key not in mine} == {
        key: value for key, value in found.items() if key not in mine
    }, "fields of others stay"
