"""The Lease against an API server in memory and against the sandbox's real one: the same cases, the same answers."""

import contextlib
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import cast

import pytest

from support.api_server import FakeApiServer
from support.lease_bench import ELSEWHERE, HERE, Bench
from support.login import granted
from weighbridge.core.ports import Tenure
from weighbridge.domain.lease import DURATION, LockRequest, Silence
from weighbridge.domain.naming import lease_name
from weighbridge.errors import PreconditionError, StepFailedError
from weighbridge.kubernetes.client import LEASE, ForbiddenError, Object
from weighbridge.kubernetes.lease import LeaseLock
from weighbridge.kubernetes.lease_object import ChangedError, LeaseObject
from weighbridge_sandbox.layout import Layout
from weighbridge_sandbox.tenancy import create_operands, delete_operands

OTHER = replace(HERE, pid=200)
GIVE_UP_AFTER = Silence().give_up_after
NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def namespace(sandbox: Layout) -> Iterator[str]:
    del sandbox
    name = f"contract-lease-{os.getpid() % 10000}"
    create_operands(name, cr=False)
    yield name
    delete_operands(name)


@pytest.fixture(params=["memory", pytest.param("real", marks=pytest.mark.sandbox)])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    if request.param == "memory":
        yield Bench(FakeApiServer())
        return
    namespace = cast("str", request.getfixturevalue("namespace"))
    environment = f"stage-{next(NUMBERS)}"
    kube = granted(environment, namespace)
    yield Bench(kube, namespace, environment)
    kube.close()


def refusal(lock: LeaseLock, bench: Bench, lock_request: LockRequest | None = None) -> PreconditionError:
    with (
        pytest.raises(PreconditionError) as refused,
        lock.hold("apply", lock_request or LockRequest(), bench.events.append, bench.stop),
    ):
        pass
    return refused.value


def ended(lock: LeaseLock, bench: Bench, body: Callable[[Tenure], None]) -> StepFailedError:
    """How a run ended that was told to stop."""

    def run() -> None:
        with lock.hold("apply", LockRequest(), bench.events.append, bench.stop) as tenure:
            body(tenure)

    with pytest.raises(StepFailedError) as caught:
        run()
    return caught.value


def soon(holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + 20
    while time.monotonic() < until and not holds():
        time.sleep(0.02)
    return holds()


def left_behind(bench: Bench, lock: LeaseLock, note: str | None = None) -> None:
    """A run that is killed while it holds the Lease: nothing is given back."""
    hold = lock.hold("apply", LockRequest(), bench.events.append, bench.stop)
    hold.__enter__()
    if note is not None:
        lock.begin(note)
    found = bench.lease()
    assert found is not None
    metadata = {key: found["metadata"][key] for key in ("name", "namespace", "labels", "annotations")}
    hold.__exit__(None, None, None)
    if (now := bench.lease()) is not None:
        bench.api.delete_version(LEASE, metadata["name"], bench.namespace, now["metadata"]["resourceVersion"])
    bench.api.create(
        LEASE,
        {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": found["spec"],
        },
    )


def renews(bench: Bench, at: int) -> None:
    """The holder writes its Lease again while somebody sleeps for the ``at``-th time."""

    def renew() -> None:
        if len(bench.clock.slept) == at:
            value = "2026-01-01T00:00:15.000000Z"
            patch = [{"op": "replace", "path": "/spec/renewTime", "value": value}]
            bench.api.json_patch(LEASE, lease_name(bench.environment), bench.namespace, patch)

    bench.clock.while_sleeping = renew


def version(bench: Bench) -> str:
    found = bench.lease()
    if found is None:
        raise TypeError
    return str(found["metadata"]["resourceVersion"])


def spec(bench: Bench) -> Object:
    found = bench.lease()
    assert found is not None
    return cast("Object", found["spec"])


def test_it_is_held_during_the_run_and_gone_after_it(bench: Bench) -> None:
    with bench.run().hold("apply", LockRequest(), bench.events.append, bench.stop) as tenure:
        tenure.require()
        found = bench.lease()
        assert found is not None
        assert found["metadata"]["labels"] == {
            "app.kubernetes.io/managed-by": "weighbridge",
            "weighbridge.dev/environment": bench.environment,
        }
        assert found["spec"]["holderIdentity"].startswith("ci@runner/")
        assert found["spec"]["leaseDurationSeconds"] == 60
    assert bench.lease() is None


@pytest.mark.parametrize("error", [StepFailedError("no"), KeyboardInterrupt(), SystemExit(1)])
def test_it_is_gone_after_a_failure_and_an_interruption_too(bench: Bench, error: BaseException) -> None:
    with (
        pytest.raises(type(error)) as raised,
        bench.run().hold("apply", LockRequest(), bench.events.append, bench.stop),
    ):
        raise error
    assert raised.value is error
    assert bench.lease() is None


def test_a_second_run_is_refused_with_the_words_whose_it_is(bench: Bench) -> None:
    with bench.run().hold("destroy", LockRequest(), bench.events.append, bench.stop) as tenure:
        refused = refusal(bench.run(OTHER), bench)
        tenure.require()
    for part in ("`destroy`", "ci@runner", "process 100", "since 2026-01-02", "last renewed 2026-01-02"):
        assert part in refused.what
    for part in ("--wait", "--take-over"):
        assert part in str(refused.remedy)
    assert refused.code == "run-under-way"
    assert bench.clock.slept == []


def test_of_many_that_want_it_at_once_exactly_one_gets_it(bench: Bench) -> None:
    everybody_began, everybody_tried = threading.Barrier(8), threading.Barrier(8)
    inside: list[int] = []

    def want(number: int) -> bool:
        lock = bench.run(replace(HERE, pid=1000 + number))
        everybody_began.wait(20)
        try:
            with lock.hold("apply", LockRequest(), lambda _event: None, bench.stop):
                inside.append(number)
                everybody_tried.wait(20)
        except PreconditionError:
            everybody_tried.wait(20)
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(want, range(8)))
    assert sum(got) == len(inside) == 1
    assert bench.lease() is None


def test_who_waits_begins_when_the_other_ends(bench: Bench) -> None:
    first = bench.run().hold("apply", LockRequest(), bench.events.append, bench.stop)
    first.__enter__()

    def end() -> None:
        if len(bench.clock.slept) == 3:
            first.__exit__(None, None, None)

    bench.clock.while_sleeping = end
    with bench.run(OTHER).hold("apply", LockRequest(wait=60), bench.events.append, bench.stop):
        assert spec(bench)["holderIdentity"].startswith("ci@runner/")
    assert "waiting, 60 s at most, for `apply` of ci@runner (process 100" in bench.said
    assert len(bench.clock.slept) == 3


def test_who_waits_in_vain_is_refused_when_the_time_is_over(bench: Bench) -> None:
    with bench.run().hold("apply", LockRequest(), bench.events.append, bench.stop):
        refused = refusal(bench.run(OTHER), bench, LockRequest(wait=10))
    assert "(waited 10 s)" in refused.what
    assert sum(bench.clock.slept) == pytest.approx(10)


def test_a_run_that_died_on_this_machine_is_watched_for_its_silence_taken_over_and_said(bench: Bench) -> None:
    left_behind(bench, bench.run())
    bench.living.clear()

    second = bench.run(OTHER)
    with second.hold("apply", LockRequest(), bench.events.append, bench.stop):
        assert spec(bench)["leaseTransitions"] == 1
        assert second.alone_since == bench.clock.at
    assert DURATION <= sum(bench.clock.slept) <= DURATION + 2
    words = "process 100 is gone; it counts as dead if it says nothing for another 60 s"
    assert f"seen from here, its {words}" in bench.said
    assert "taken over from a dead run, silent for 60 s: `apply` of ci@runner" in bench.said
    assert bench.lease() is None


def test_a_run_on_a_clone_of_this_machine_is_left_alone_once_it_is_seen_to_live(bench: Bench) -> None:
    left_behind(bench, bench.run())
    bench.living.clear()  # it has the same boot id and PID namespace, but its process is on the other machine
    renews(bench, at=4)
    assert refusal(bench.run(OTHER), bench).code == "run-under-way"
    assert len(bench.clock.slept) == 4


def test_a_shorter_silence_is_written_into_the_lease_and_is_what_others_wait_for(bench: Bench) -> None:
    bench.silence = Silence(20)
    left_behind(bench, bench.run())
    assert spec(bench)["leaseDurationSeconds"] == 20
    bench.living.clear()
    bench.silence = Silence()
    with bench.run(OTHER).hold("apply", LockRequest(), bench.events.append, bench.stop):
        assert spec(bench)["leaseDurationSeconds"] == 60
    assert 20 <= sum(bench.clock.slept) <= 22


def test_a_run_that_died_elsewhere_is_refused_while_fresh_and_taken_after_one_duration_of_silence(
    bench: Bench,
) -> None:
    left_behind(bench, bench.run(ELSEWHERE))
    assert refusal(bench.run(), bench).code == "run-under-way"

    bench.clock.at += DURATION + 1  # by its own clock it has run out: now it is watched, without --wait
    with bench.run().hold("apply", LockRequest(), bench.events.append, bench.stop):
        pass
    assert DURATION <= sum(bench.clock.slept) <= DURATION + 2
    words = "silent for longer than it may; it counts as dead if it says nothing for another 60 s"
    assert words in bench.said
    assert "another 45 s" in bench.said or "another 44 s" in bench.said
    assert "taken over from a dead run, silent for 60 s" in bench.said


def test_a_run_elsewhere_with_a_wrong_clock_is_left_alone_once_it_is_seen_to_live(bench: Bench) -> None:
    left_behind(bench, bench.run(ELSEWHERE))
    bench.clock.at += 10_000
    renews(bench, at=4)
    assert refusal(bench.run(), bench).code == "run-under-way"
    assert len(bench.clock.slept) == 4


def test_taking_over_stops_the_first_waits_for_that_and_tells_both(bench: Bench) -> None:
    began = threading.Event()
    lost: list[StepFailedError] = []

    def body(_tenure: Tenure) -> None:
        began.set()
        assert bench.interrupted.wait(20)
        assert bench.stopped == ["stopped"], "what is under way is ended before the run is"
        raise KeyboardInterrupt

    thread = threading.Thread(target=lambda: lost.append(ended(bench.run(renew=0.05), bench, body)))
    thread.start()
    assert began.wait(20)
    bench.clock.while_sleeping = lambda: time.sleep(0.02)
    with bench.run(OTHER, gives_way=1e9).hold(
        "destroy", LockRequest(take_over=True), bench.events.append, bench.stop
    ) as tenure:
        thread.join(20)
        assert lost, "the body begins only after the displaced run has stopped"
        tenure.require()
        assert "process 200" in lost[0].what
        assert "`destroy`" in lost[0].what
        assert lost[0].exit_code == 4
    assert "taken over, as asked, from `apply` of ci@runner (process 100" in bench.said
    assert "has stopped" in bench.said
    assert bench.lease() is None


def test_a_displaced_run_that_never_answers_is_not_waited_for_for_ever(bench: Bench) -> None:
    left_behind(bench, bench.run(ELSEWHERE))
    second = bench.run()
    with second.hold("apply", LockRequest(take_over=True), bench.events.append, bench.stop):
        assert second.alone_since == bench.clock.at, "the other may have gone on until now"
    assert sum(bench.clock.slept) == pytest.approx(75, abs=2)
    assert "did not say that it stopped" in bench.said


def test_renewals_go_on_and_survive_somebody_elses_label(bench: Bench) -> None:
    with bench.run(renew=0.02).hold("apply", LockRequest(), bench.events.append, bench.stop) as tenure:
        for number in range(5):
            renewed = spec(bench)["renewTime"]
            label = [{"op": "add", "path": "/metadata/labels/x", "value": str(number)}]
            bench.api.json_patch(LEASE, lease_name(bench.environment), bench.namespace, label)
            bench.clock.at += 10
            assert soon(lambda renewed=renewed: spec(bench)["renewTime"] != renewed)  # type: ignore[misc]
            tenure.require()
    assert not bench.interrupted.is_set()


def test_a_run_whose_lease_was_deleted_stops(bench: Bench) -> None:
    def body(tenure: Tenure) -> None:
        while not bench.interrupted.wait(0.05):
            with contextlib.suppress(StepFailedError, TypeError):  # renewed meanwhile, or gone already
                bench.api.delete_version(
                    LEASE, lease_name(bench.environment), bench.namespace, version(bench)
                )
        tenure.require()

    assert "somebody deleted its Lease" in ended(bench.run(renew=0.02), bench, body).what


def test_notes_of_a_dead_run_reach_the_next_one_and_stay_until_they_are_settled(bench: Bench) -> None:
    left_behind(bench, bench.run(), note="weighbridge-storage/stage")
    bench.living.clear()
    second = bench.run(OTHER)
    with second.hold("apply", LockRequest(), bench.events.append, bench.stop):
        [work] = second.notes("weighbridge-storage/stage")
        assert work.process == HERE
        second.begin("weighbridge-registration/stage")
        second.ended("weighbridge-registration/stage")
    assert spec(bench).get("holderIdentity", "") == "", "nobody holds it, but the note is still needed"

    third = bench.run(replace(HERE, pid=300))
    with third.hold("apply", LockRequest(), bench.events.append, bench.stop):
        assert [work.process.pid for work in third.notes()] == [100]
        third.ended("weighbridge-storage/stage")
    assert bench.lease() is None


def test_models_whose_playbook_a_dead_run_had_begun_are_told_until_they_are_tidied_up(bench: Bench) -> None:
    first = bench.run()
    assert not first.weights, "who holds nothing notes nothing"
    with first.hold("apply", LockRequest(), bench.events.append, bench.stop):
        for model in ("one", "two", "three"):
            first.weights_begin(model)
        first.weights_ended("three")
        died_with = cast("Object", bench.lease())["metadata"]["annotations"]
    again = [{"op": "replace", "path": "/metadata/annotations", "value": died_with}]
    assert spec(bench).get("holderIdentity", "") == "", "nobody holds it, but the notes are still needed"
    bench.api.json_patch(LEASE, lease_name(bench.environment), bench.namespace, again)
    assert "left Jobs, pods or keys of one, two in the namespace" in str(bench.run(OTHER).under_way())

    second = bench.run(OTHER)
    with second.hold("apply", LockRequest(), bench.events.append, bench.stop):
        assert second.weights == {"one", "two"}
        second.weights_begin("one")
        for model in ("one", "two"):
            second.weights_ended(model)
    assert bench.lease() is None


def test_an_object_is_deleted_only_as_it_was_read(bench: Bench) -> None:
    with bench.run().hold("apply", LockRequest(), bench.events.append, bench.stop):
        lease = LeaseObject(bench.api, bench.namespace, bench.environment, bench.clock)
        read = lease.read()
        assert read is not None
        with pytest.raises(ChangedError):
            lease.give_back(replace(read, version="123456789"))
        assert bench.lease() is not None


def test_whose_run_is_under_way_is_said_and_nothing_where_none_is(bench: Bench) -> None:
    assert bench.run().under_way() is None
    with bench.run().hold("verify", LockRequest(), bench.events.append, bench.stop):
        assert "a run is under way: `verify` of ci@runner (process 100" in str(bench.run(OTHER).under_way())
    left_behind(bench, bench.run())
    bench.living.clear()
    words = "ended without a word (seen from here, its process 100 is gone)"
    assert words in str(bench.run(OTHER).under_way())


# -- what only an API server in memory can be made to do -----------------------------------------------------------------


def test_a_short_silence_of_the_api_server_is_borne() -> None:
    server = FakeApiServer()
    bench = Bench(server)
    away = PreconditionError("the Kubernetes API does not answer", code="cluster-unreachable")
    with bench.run(renew=0.02).hold("apply", LockRequest(), bench.events.append, bench.stop) as tenure:
        server.failures["json_patch leases"] = [away] * 3
        bench.clock.at += GIVE_UP_AFTER - 1
        assert soon(lambda: not server.failures["json_patch leases"])
        tenure.require()
    assert bench.lease() is None


def test_a_note_bears_a_short_silence_and_no_long_one() -> None:
    server = FakeApiServer()
    bench = Bench(server)
    away = PreconditionError("the Kubernetes API does not answer", code="cluster-unreachable")
    lock = bench.run(renew=2.0)
    with lock.hold("apply", LockRequest(), bench.events.append, bench.stop):
        server.failures["json_patch leases"] = [away] * 5
        lock.weights_begin("one")
        assert lock.weights == {"one"}

    def body(_tenure: Tenure) -> None:
        server.failures["json_patch leases"] = [away] * 10_000
        began = bench.clock.at
        with pytest.raises(StepFailedError, match="could not renew its Lease"):
            lock.weights_begin("two")
        assert GIVE_UP_AFTER <= bench.clock.at - began <= GIVE_UP_AFTER + 10
        server.failures["json_patch leases"] = []
        lock.require()

    assert ended(lock, bench, body).code == "lease-lost"


def test_a_long_silence_ends_the_run_before_others_may_begin() -> None:
    server = FakeApiServer()
    bench = Bench(server)
    away = PreconditionError("the Kubernetes API does not answer", code="cluster-unreachable")

    def body(tenure: Tenure) -> None:
        server.failures["json_patch leases"] = [away] * 10_000
        bench.clock.at += GIVE_UP_AFTER + 1
        assert bench.interrupted.wait(20)
        assert bench.stopped == ["stopped"]
        tenure.require()

    lost = ended(bench.run(renew=0.02), bench, body)
    assert "could not renew its Lease for 46 s" in lost.what
    assert lost.transient
    assert bench.lease() is None, "it was still ours, and everything has stopped"


def test_after_a_machine_slept_the_run_asks_before_it_goes_on() -> None:
    bench = Bench(FakeApiServer())
    theirs = contextlib.ExitStack()

    def body(tenure: Tenure) -> None:
        bench.clock.at += 3 * DURATION  # asleep: its thread has not run either
        bench.living.clear()
        other = bench.run(replace(ELSEWHERE, pid=7))
        theirs.enter_context(other.hold("apply", LockRequest(), bench.events.append, bench.stop))
        tenure.require()

    assert "taken over by `apply` of ci@laptop" in ended(bench.run(), bench, body).what
    assert "ci@laptop" in spec(bench)["holderIdentity"], "the other's Lease is left alone"
    theirs.close()


def test_a_missing_permission_is_named_and_nothing_goes_on_without_the_lease() -> None:
    server = FakeApiServer()
    bench = Bench(server)
    server.failures["create leases"] = [ForbiddenError("may not create leases.coordination.k8s.io")]
    assert isinstance(refusal(bench.run(), bench), ForbiddenError)
    server.failures["get leases"] = [ForbiddenError("may not get leases.coordination.k8s.io")]
    assert "cannot be told: may not get leases" in str(bench.run().under_way())


def test_a_lease_that_cannot_be_given_back_is_said() -> None:
    server = FakeApiServer()
    bench = Bench(server)
    with bench.run().hold("apply", LockRequest(), bench.events.append, bench.stop):
        server.failures["delete leases"] = [PreconditionError("the Kubernetes API does not answer")]
    assert (
        "could not be given back: the Kubernetes API does not answer; it runs out within 60 s" in bench.said
    )
