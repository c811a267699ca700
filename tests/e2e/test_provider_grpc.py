"""The plugin's own process against the sandbox's API server, called as the engine calls it."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, cast

import pytest
from lightkube import Client, KubeConfig
from lightkube.types import PatchType

from support.engine import Engine, Failure
from support.login import ADMINISTRATOR, log_in
from support.plugin import Plugin, started
from weighbridge.kubernetes.client import CONFIG_MAP, connect
from weighbridge_sandbox.kube import Watsonxaiifm
from weighbridge_sandbox.layout import Layout
from weighbridge_sandbox.tenancy import create_operands, delete_operands

pytestmark = pytest.mark.sandbox

CR = "watsonxaiifm-cr"


def entry(model_id: str, **more: Any) -> dict[str, Any]:
    location = {"pvc_name": "team-a-models", "sub_path": "summarizer"}
    return {"model_id": model_id, "location": location, **more}


@dataclass
class Cluster:
    """One operands namespace, and another team's way to write to its custom resource."""

    namespace: str
    uid: str
    other: Client
    context: str
    """The login that the provider works under."""

    @property
    def models(self) -> list[Any]:
        found = dict(self.other.get(Watsonxaiifm, CR, namespace=self.namespace))
        return cast("list[Any]", found["spec"]["custom_foundation_models"])

    @property
    def annotations(self) -> Any:
        found = dict(self.other.get(Watsonxaiifm, CR, namespace=self.namespace))
        return found["metadata"].get("annotations")

    def edit(self, *operations: dict[str, Any]) -> None:
        self.other.patch(Watsonxaiifm, CR, [*operations], patch_type=PatchType.JSON, namespace=self.namespace)

    def inputs(self, *entries: Any, **more: Any) -> dict[str, Any]:
        return {
            "context": self.context,
            "namespace": self.namespace,
            "customResource": CR,
            "environment": "stage",
            "clusterUid": self.uid,
            "entries": list(entries),
            **more,
        }


@pytest.fixture(scope="module")
def cluster(sandbox: Layout) -> Iterator[Cluster]:
    namespace = f"provider-grpc-{os.getpid() % 10000}"
    create_operands(namespace)
    api = connect(context=ADMINISTRATOR)
    other = Client(KubeConfig.from_file(sandbox.kubeconfig), field_manager="team-a", trust_env=False)
    try:
        yield Cluster(namespace, api.identity(), other, log_in("stage", namespace))
    finally:
        api.close()
        other.close()
        delete_operands(namespace)


@pytest.fixture(scope="module")
def plugin(sandbox: Layout) -> Iterator[Plugin]:
    with started({"KUBECONFIG": str(sandbox.kubeconfig)}) as running:
        yield running


@pytest.fixture
def engine(plugin: Plugin) -> Engine:
    return plugin.engine


@pytest.mark.alone
def test_the_port_is_out_within_half_a_second(sandbox: Layout) -> None:
    del sandbox
    times = []
    for _ in range(5):
        with started() as running:
            times.append(running.seconds)
    assert min(times) < 0.5, times


def test_a_whole_life_leaves_the_others_and_no_trace(cluster: Cluster, engine: Engine) -> None:
    theirs = cluster.models
    inputs = cluster.inputs(entry("one"), entry("two"))
    engine.create(inputs, preview=True)
    assert cluster.models == theirs
    identifier, state = engine.create(inputs)
    assert cluster.models == [*theirs, entry("one"), entry("two")]
    assert engine.create(inputs) == (identifier, state)
    late = {"model_id": "late", "location": {"pvc_name": "team-b-models"}}
    cluster.edit(
        {"op": "add", "path": "/spec/custom_foundation_models/0", "value": late},
        {"op": "add", "path": "/spec/custom_foundation_models/3/tags", "value": ["edited"]},
    )
    _, seen, read = engine.read(identifier, state, engine.checked(inputs))
    assert read["entries"]["one"]["tags"] == ["edited"]
    assert set(engine.diff(seen, inputs).detailedDiff) == {'entries["one"].tags'}
    state = engine.update(seen, cluster.inputs(entry("one"), entry("three")))
    assert cluster.models == [late, *theirs, entry("one"), entry("three")]
    _, imported, _ = engine.read(identifier)
    assert imported["entries"] == state["entries"]
    engine.delete(state)
    assert cluster.models == [late, *theirs]
    assert cluster.annotations is None
    with closing(connect(context=ADMINISTRATOR)) as api:
        left = api.get(CONFIG_MAP, "weighbridge-stage-intents", cluster.namespace) or {}
        assert set(left["data"]) == {"_last-write"}, "a removal is kept until the operator has taken it in"
        api.delete(CONFIG_MAP, "weighbridge-stage-intents", cluster.namespace)
    cluster.edit({"op": "remove", "path": "/spec/custom_foundation_models/0"})


def test_another_cluster_is_refused(cluster: Cluster, engine: Engine) -> None:
    with pytest.raises(Failure, match="belong to cluster 00000000"):
        engine.check(cluster.inputs(entry("one"), clusterUid="00000000-0000"))


def test_an_absent_resource_is_refused(cluster: Cluster, engine: Engine) -> None:
    context = log_in("elsewhere", cluster.namespace, custom_resource="absent")
    of_the_absent = {"context": context, "environment": "elsewhere", "customResource": "absent"}
    with pytest.raises(Failure, match="has no Watsonxaiifm"):
        engine.create(cluster.inputs(entry("one"), **of_the_absent))


def test_somebody_elses_entry_is_refused_in_the_preview_already(cluster: Cluster, engine: Engine) -> None:
    for preview in (True, False):
        with pytest.raises(Failure, match="team-a-summarizer is registered already, by somebody else"):
            engine.create(cluster.inputs(entry("team-a-summarizer")), preview=preview)


def test_a_second_writer_in_a_tight_loop_loses_nothing(cluster: Cluster, engine: Engine) -> None:
    """Appends and removes of another team while we create, update and delete; each one accounted for."""
    theirs = cluster.models
    ended = threading.Event()
    added: list[str] = []
    standing: list[str] = []
    """Of those, newest first: a list that only grew would keep the operator ever longer."""

    def meddle() -> None:
        while not ended.is_set():
            name = f"meddler-{len(added)}"
            value = {"model_id": name, "location": {"pvc_name": "team-b-models"}}
            first, last = (f"/spec/custom_foundation_models/{index}" for index in (0, len(standing)))
            edit: list[dict[str, Any]] = [{"op": "add", "path": first, "value": value}]
            if len(standing) == 10:
                oldest = {"op": "test", "path": f"{last}/model_id", "value": standing.pop()}
                edit += [oldest, {"op": "remove", "path": last}]
            cluster.edit(*edit)
            added.append(name)
            standing.insert(0, name)
            time.sleep(0.02)

    meddler = threading.Thread(target=meddle)
    meddler.start()
    try:
        inputs = cluster.inputs(entry("one"), entry("two"))
        _, state = engine.create(inputs)
        updates = 0
        while (updates < 5 or len(added) < 20) and meddler.is_alive():
            number = updates = updates + 1
            state = engine.update(state, cluster.inputs(entry("one", tags=[str(number)]), entry("two")))
        engine.delete(state)
    finally:
        ended.set()
        meddler.join(30)
    assert len(added) >= 20
    assert [row["model_id"] for row in cluster.models] == [
        *standing,
        *(row["model_id"] for row in theirs),
    ]
    cluster.edit({"op": "replace", "path": "/spec/custom_foundation_models", "value": theirs})
