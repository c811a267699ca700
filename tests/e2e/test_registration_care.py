"""What the registration meets on a custom resource that others own: forbidden times, edits of ours, GitOps, a failing operator.

Tests of this module run in order on one estate, whose weights are brought in once.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from lightkube import Client, KubeConfig
from lightkube.types import PatchType

from support.estate import CR, Estate
from weighbridge.kubernetes.client import WATSONX_IFM
from weighbridge_sandbox.kube import Watsonxaiifm

pytestmark = pytest.mark.sandbox

LIST = "custom_foundation_models"


@pytest.fixture(scope="module")
def settled(estate: Estate) -> Estate:
    """The estate with one model, registered."""
    estate.environment["models"] = [estate.environment["models"][0]]
    estate.applied()
    return estate


def want(estate: Estate, default: int) -> None:
    """Let the environment file ask for something else than what is registered."""
    estate.environment["models"][0]["parameters"]["max_new_tokens"]["default"] = default


def registered(estate: Estate) -> int:
    [entry] = [entry for entry in estate.entries() if entry["model_id"] == "llama-fetch"]
    return int({item["name"]: item["default"] for item in entry["parameters"]}["max_new_tokens"])


@contextlib.contextmanager
def spec_key(estate: Estate, key: str, value: Any) -> Iterator[None]:
    path = f"/spec/{key}"
    estate.kube.json_patch(WATSONX_IFM, CR, estate.name, [{"op": "add", "path": path, "value": value}])
    yield
    estate.kube.json_patch(WATSONX_IFM, CR, estate.name, [{"op": "remove", "path": path}])


def at_rest(estate: Estate) -> None:
    """Wait until the operator has said nothing new for longer than it takes to notice an edit."""
    said, since = estate.cr()["status"], time.monotonic()
    until = since + 60
    while time.monotonic() - since < 4:
        assert time.monotonic() < until, said
        time.sleep(0.3)
        if (now := estate.cr()["status"]) != said:
            said, since = now, time.monotonic()


@contextlib.contextmanager
def unfinished_upgrade(estate: Estate) -> Iterator[None]:
    """The operator has reconciled an earlier version only. Its stand-in looks again at the next change of the spec."""
    at_rest(estate)
    with client(estate, "ifm-operator") as operator:
        for version in ("10.9.9", estate.cr()["status"]["versions"]["reconciled"]):
            said = {"status": {"versions": {"reconciled": version}}}
            operator.patch(Watsonxaiifm.Status, CR, said, patch_type=PatchType.MERGE, namespace=estate.name)
            if version == "10.9.9":
                yield


@contextlib.contextmanager
def client(estate: Estate, manager: str) -> Iterator[Any]:
    found = Client(KubeConfig.from_file(estate.layout.kubeconfig), field_manager=manager, trust_env=False)
    try:
        yield found
    finally:
        found.close()


@contextlib.contextmanager
def meanwhile(act: Callable[[], None]) -> Iterator[None]:
    """``act`` over and over, beside what the test does."""
    stop, failures = threading.Event(), list[Exception]()

    def loop() -> None:
        try:
            while not stop.wait(0.02):
                act()
        except Exception as error:  # noqa: BLE001  raised below
            failures.append(error)

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
    assert failures == []


@pytest.mark.parametrize(
    ("forbid", "words"),
    [
        (lambda estate: spec_key(estate, "ignoreForMaintenance", value=True), "maintenance"),
        (lambda estate: spec_key(estate, "shutdown", value="true"), "shut down"),
        (unfinished_upgrade, "an upgrade is not finished: spec.version is 11.0.0, reconciled is 10.9.9"),
    ],
    ids=["maintenance", "shutdown", "upgrade"],
)
def test_what_the_owner_forbids_is_refused_by_plan_and_apply(
    settled: Estate, forbid: Callable[[Estate], contextlib.AbstractContextManager[None]], words: str
) -> None:
    before = registered(settled)
    with forbid(settled):
        want(settled, before + 1)
        for verb in ("plan", "apply"):
            ran = settled.run(verb)
            assert ran.code == 3, ran.said
            assert words in ran.err
            assert "must not be changed now" in ran.err
        assert registered(settled) == before
    want(settled, before)


def test_an_entry_changed_by_somebody_is_not_removed_unseen_but_shown_and_mended(settled: Estate) -> None:
    index = [entry["model_id"] for entry in settled.entries()].index("llama-fetch")
    edit = {"op": "add", "path": f"/spec/{LIST}/{index}/tags", "value": ["somebody"]}
    settled.kube.json_patch(WATSONX_IFM, CR, settled.name, [edit])

    refused = settled.run("destroy", "--yes")

    assert refused.code == 3, refused.said
    assert "was changed by somebody to something we did not write" in refused.err
    assert "written" in refused.err
    assert '"tags": ["somebody"]' in refused.err
    assert settled.entries()[index]["tags"] == ["somebody"]
    planned = settled.run("plan")
    assert 'tags: ["somebody"] → absent' in planned.out
    settled.applied()
    assert "tags" not in settled.entries()[index]


def test_writes_of_the_status_alone_are_no_conflict(settled: Estate) -> None:
    generation = settled.cr()["metadata"]["generation"]
    numbers = iter(range(10**6))
    want(settled, 600)
    with client(settled, "somebody") as somebody:

        def say() -> None:
            said = {"status": {"somebody": next(numbers)}}
            somebody.patch(Watsonxaiifm.Status, CR, said, patch_type=PatchType.MERGE, namespace=settled.name)

        with meanwhile(say):
            settled.applied()
    assert registered(settled) == 600
    assert settled.cr()["metadata"]["generation"] == generation + 1, "one write, the first one"
    assert next(numbers) > 50


def test_a_gitops_tool_is_named_before_the_write_and_when_it_undoes_it(settled: Estate) -> None:
    kept = settled.entries()
    tracking = {"argocd.argoproj.io/tracking-id": "models:watsonxaiifm"}
    settled.kube.merge(WATSONX_IFM, CR, settled.name, {"metadata": {"annotations": tracking}})
    want(settled, 700)
    planned = settled.run("plan")
    assert planned.code == 0, planned.said
    assert "is kept by Argo CD (annotation argocd.argoproj.io/tracking-id=models:watsonxaiifm)" in planned.out

    with client(settled, "argocd-controller") as argo:

        def heal() -> None:
            if settled.entries() != kept:
                body = {"spec": {LIST: kept}}
                argo.patch(Watsonxaiifm, CR, body, patch_type=PatchType.MERGE, namespace=settled.name)

        with meanwhile(heal):
            ran = settled.run("apply")
    settled.kube.merge(WATSONX_IFM, CR, settled.name, {"metadata": {"annotations": dict.fromkeys(tracking)}})

    assert ran.code == 4, ran.said
    assert "warning: Watsonxaiifm" in ran.err, "before the write"
    assert "the entry of llama-fetch is not as it was written any more: argocd-controller at 2" in ran.said
    assert "field manager argocd-controller" in ran.said
    assert "in its repository" in ran.said
    assert settled.entries() == kept
    settled.applied()
    assert registered(settled) == 700


def _asked(said: str) -> int:
    return said.count("It is asked once to look again, by taking the entry of llama-fetch out")


def test_a_failed_operator_is_asked_once_and_its_second_failure_is_told(settled: Estate) -> None:
    theirs = settled.theirs()
    [entry] = [entry for entry in settled.entries() if entry["model_id"] == "llama-fetch"]
    folder = settled.volume("llama-fetch") / entry["location"]["sub_path"]
    away = folder.with_name("moved-away")
    folder.rename(away)
    try:
        want(settled, 701)
        ran = settled.run("apply")
        assert ran.code == 4, ran.said
        assert _asked(ran.err) == 1
        assert "does not exist on PersistentVolumeClaim" in ran.said, "the operator's own words"
        assert f"it names llama-fetch of environment {settled.name}" in ran.said
        assert settled.theirs() == theirs
        planned = settled.run("plan", "--expect-no-changes")
        assert planned.code == 6, planned.said
        assert "does not exist on PersistentVolumeClaim" in planned.out
    finally:
        away.rename(folder)

    again = settled.run("apply")

    assert again.code == 0, again.said
    assert _asked(again.err) == 1, "nothing of ours has changed, and the operator looks only when asked"
    assert (settled.theirs(), registered(settled)) == (theirs, 701)
    assert settled.run("plan", "--expect-no-changes").code == 0


def test_a_cause_that_passes_costs_one_announcement_and_nothing_else(settled: Estate) -> None:
    [entry] = [entry for entry in settled.entries() if entry["model_id"] == "llama-fetch"]
    folder = settled.volume("llama-fetch") / entry["location"]["sub_path"]
    away = folder.with_name("moved-away")
    folder.rename(away)

    def put_back_after_the_failure() -> None:
        failed = settled.cr()["status"]["watsonxaiifmStatus"] == "Failed"
        if failed and registered(settled) == 702 and away.exists():
            away.rename(folder)
        time.sleep(0.1)

    want(settled, 702)
    with meanwhile(put_back_after_the_failure):
        ran = settled.run("apply")
    assert ran.code == 0, ran.said
    assert _asked(ran.err) == 1
    assert registered(settled) == 702
    assert settled.cr()["metadata"].get("annotations") is None
