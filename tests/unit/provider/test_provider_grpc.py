"""The provider as Pulumi's engine calls it, over its real gRPC interface, with an API server in memory behind it."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2

from support.api_server import FakeApiServer, refused
from support.engine import TYPE, Engine, Failure, plain
from weighbridge.domain.digest import Json
from weighbridge.domain.stacks import ClusterIdentity, StackSpec
from weighbridge.engines.pulumi.environment import seen_variables
from weighbridge.engines.pulumi.provider_messages import decode
from weighbridge.errors import PreconditionError
from weighbridge.provider.clusters import Connection
from weighbridge.provider.resource import Operation
from weighbridge.provider.resources.registrations import Registrations, Registry
from weighbridge.provider.serving import serve
from weighbridge.steps.registration.stack import REGISTRATION
from weighbridge.watsonx.entry import Entry
from weighbridge.watsonx.registry import Limits, WatsonxRegistry

SECRET = "4dabf18193072939515e22adb298388d"
SECRET_MARK = "1b47061264138c4ac30d75fd1eb44270"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
THEIRS: list[Any] = [{"model_id": "theirs", "tags": ["b", "a"]}]


def entry(model_id: str, **more: Any) -> dict[str, Any]:
    return {"model_id": model_id, "location": {"pvc_name": "claim", "sub_path": "a/b"}, **more}


def secret(value: Any) -> dict[str, Any]:
    return {SECRET: SECRET_MARK, "value": value}


@dataclass
class World:
    """One cluster, one provider, one engine."""

    server: FakeApiServer
    engine: Engine
    asked: list[Connection] = field(default_factory=list)

    def inputs(self, *entries: Any, **more: Any) -> dict[str, Any]:
        return {
            "context": "here",
            "namespace": "ns",
            "customResource": "cr",
            "environment": "stage",
            "clusterUid": self.server.uid,
            "entries": list(entries),
            **more,
        }

    def created(self, *entries: Any) -> dict[str, Any]:
        return self.engine.create(self.inputs(*entries))[1]


@dataclass(frozen=True)
class Cluster:
    server: FakeApiServer
    operation: Operation

    @property
    def where(self) -> str:
        return self.server.where

    def identity(self) -> str:
        return self.server.identity()

    def registry(self, namespace: str, name: str, environment: str) -> Registry:
        limits = Limits(write=self.operation.seconds or 5, quiet=1)
        return WatsonxRegistry(
            self.server, namespace, name, environment, limits=limits, clock=self.operation.clock
        )


@pytest.fixture
def world() -> Iterator[World]:
    server = FakeApiServer()
    server.put_cr({"license": {"accept": True}, "custom_foundation_models": THEIRS})
    server.put_status("Completed", completion="t0")
    server.tick(10)
    cancelled = threading.Event()
    asked: list[Connection] = []

    def connect(connection: Connection, operation: Operation) -> Cluster:
        asked.append(connection)
        return Cluster(server, operation)

    running, port = serve({TYPE: lambda: Registrations(connect)}, cancelled, None)
    engine = Engine(port)
    engine.boot()
    try:
        yield World(server, engine, asked)
    finally:
        engine.close()
        running.stop(None).wait()


# -- the plugin


def test_it_says_who_it_is_and_what_it_offers(world: World) -> None:
    stub = world.engine.stub
    assert stub.GetPluginInfo(empty_pb2.Empty()).version.count(".") == 2
    schema = stub.GetSchema(provider_pb2.GetSchemaRequest()).schema
    assert f'"{TYPE}"' in schema
    for key in world.inputs():
        assert f'"{key}"' in schema
    stub.Attach(plugin_pb2.PluginAttach(address=""))


def test_it_accepts_secrets_and_previews(world: World) -> None:
    configured = world.engine.boot()
    assert (configured.acceptSecrets, configured.supportsPreview) == (True, True)


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("Construct", provider_pb2.ConstructRequest(type="x")),
        ("Call", provider_pb2.CallRequest(tok="x")),
        ("Invoke", provider_pb2.InvokeRequest(tok="x")),
        ("GetMapping", provider_pb2.GetMappingRequest()),
    ],
)
def test_what_it_does_not_offer_is_unimplemented(world: World, method: str, request_: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        getattr(world.engine.stub, method)(request_)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


# -- check


def test_a_list_of_entries_is_keyed_by_model_so_that_previews_name_it(world: World) -> None:
    assert set(world.engine.checked(world.inputs(entry("a/b"), entry("c")))["entries"]) == {"a/b", "c"}


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"namespace": ""}, "namespace"),
        ({"namespace": "Not_A_Name"}, "namespace"),
        ({"clusterUid": None}, "clusterUid"),
        ({"entries": None}, "entries"),
        ({"entries": "x"}, "entries"),
        ({"entries": [{"location": {}}]}, "entries[0]"),
        ({"entries": [entry("a"), entry("a")]}, "entries[1].model_id"),
        ({"entries": {"b": entry("a")}}, 'entries["b"].model_id'),
        ({"entries": [{"model_id": "a"}]}, "entries[0].location"),
        ({"entries": [entry("a", location={"pvc_name": "example_pvc"})]}, "entries[0].location.pvc_name"),
        (
            {"entries": [entry("a", location={"pvc_name": "p", "sub_path": "../x"})]},
            "entries[0].location.sub_path",
        ),
        ({"adopt": "a"}, "adopt"),
        ({"token": "abc"}, "token"),
    ],
)
def test_wrong_inputs_are_named_by_their_path(world: World, change: dict[str, Any], path: str) -> None:
    failures = world.engine.check({**world.inputs(entry("a")), **change}).failures
    assert [failure.property for failure in failures] == [path]
    assert failures[0].reason
    assert "abc" not in failures[0].reason


def test_another_cluster_is_refused_before_anything_is_asked_of_it(world: World) -> None:
    with pytest.raises(Failure, match="belong to cluster other") as caught:
        world.engine.check(world.inputs(entry("a"), clusterUid="other"))
    assert caught.value.code is grpc.StatusCode.FAILED_PRECONDITION
    assert world.server.calls == []


def test_a_state_of_another_cluster_is_refused_before_any_refresh(world: World) -> None:
    state = world.created(entry("a"))
    world.server.uid = "other"
    world.server.calls.clear()
    for attempt in (lambda: world.engine.read("ns/cr/stage", state), lambda: world.engine.delete(state)):
        with pytest.raises(Failure, match="is cluster other"):
            attempt()
    assert world.server.calls == []


def test_another_type_is_refused(world: World) -> None:
    urn = "urn:pulumi:stage::weighbridge::weighbridge:index:Other::x"
    with pytest.raises(Failure, match="no resource type weighbridge:index:Other"):
        world.engine.check(world.inputs(entry("a")), urn)


# -- diff


def paths(response: provider_pb2.DiffResponse) -> dict[str, str]:
    kinds = provider_pb2.PropertyDiff.Kind
    return {path: kinds.Name(row.kind) for path, row in response.detailedDiff.items()}


def test_nothing_differs_after_a_write(world: World) -> None:
    inputs = world.inputs(entry("a", parameters=[{"name": "x", "default": 1, "max": 2.5}]))
    _, state = world.engine.create(inputs)
    response = world.engine.diff(state, inputs)
    assert response.changes == provider_pb2.DiffResponse.DIFF_NONE
    assert world.engine.diff(state, {**inputs, "adopt": ["a"]}).changes == provider_pb2.DiffResponse.DIFF_NONE


def test_a_diff_goes_entry_by_entry_down_to_what_differs(world: World) -> None:
    parameter = {"name": "x", "default": 1}
    state = world.created(entry("same"), entry("changed", parameters=[parameter], tags=["t"]), entry("gone"))
    wanted = entry("changed", parameters=[{**parameter, "default": 2}, parameter])
    response = world.engine.diff(state, world.inputs(entry("same"), wanted, entry("new")))
    assert paths(response) == {
        'entries["changed"].parameters[0].default': "UPDATE",
        'entries["changed"].parameters[1]': "ADD",
        'entries["changed"].tags': "DELETE",
        'entries["new"]': "ADD",
        'entries["gone"]': "DELETE",
    }
    assert list(response.diffs) == ["entries"]
    assert not response.replaces


def test_another_place_is_a_replacement_that_removes_first(world: World) -> None:
    state = world.created(entry("a"))
    response = world.engine.diff(state, world.inputs(entry("a"), environment="prod"))
    assert paths(response) == {"environment": "UPDATE_REPLACE"}
    assert response.deleteBeforeReplace
    assert list(response.replaces) == ["environment"]


def test_another_context_of_the_same_cluster_is_an_update_that_writes_nothing(world: World) -> None:
    state = world.created(entry("a"))
    inputs = world.inputs(entry("a"), context="other-name")
    assert paths(world.engine.diff(state, inputs)) == {"context": "UPDATE"}
    before = world.server.cr
    assert world.engine.update(state, inputs)["context"] == "other-name"
    assert world.server.cr == before


def test_ignored_changes_are_ignored(world: World) -> None:
    state = world.created(entry("a"))
    response = world.engine.diff(state, world.inputs(entry("b")), ignore=("entries",))
    assert response.changes == provider_pb2.DiffResponse.DIFF_NONE


# -- create, update, delete


def test_create_writes_our_entries_and_says_when(world: World) -> None:
    identifier, state = world.engine.create(world.inputs(entry("a"), entry("b")))
    assert identifier == "ns/cr/stage"
    assert world.server.models == [*THEIRS, entry("a"), entry("b")]
    assert state["writtenAt"] == "2026-01-02T03:04:15+00:00"
    assert state["crUid"] == "cr-uid"
    assert set(state["digests"]) == {"a", "b"}
    assert state["entries"] == {"a": entry("a"), "b": entry("b")}
    assert "adopt" not in state


def test_a_lost_state_is_rebuilt_by_creating_again(world: World) -> None:
    state = world.created(entry("a"), entry("b"))
    before = world.server.cr
    assert world.created(entry("a"), entry("b")) == state
    assert world.server.cr == before


def test_update_changes_adds_and_removes_in_one_write(world: World) -> None:
    state = world.created(entry("a"), entry("b"))
    world.server.calls.clear()
    after = world.engine.update(state, world.inputs(entry("a", tags=["new"]), entry("c")))
    assert world.server.models == [*THEIRS, entry("a", tags=["new"]), entry("c")]
    assert world.server.calls.count("json_patch watsonxaiifm") == 1
    assert set(after["entries"]) == {"a", "c"}


def test_an_entry_of_somebody_elses_is_refused_with_both_shown(world: World) -> None:
    with pytest.raises(Failure) as caught:
        world.created(entry("theirs"))
    assert caught.value.code is grpc.StatusCode.FAILED_PRECONDITION
    error = decode(caught.value.message)
    assert isinstance(error, PreconditionError)
    assert error.code == "entry-foreign"
    assert '["b", "a"]' in error.what
    assert "adopt" in str(error.remedy)
    assert world.server.models == THEIRS
    assert world.server.intents() is None


def test_and_adopted_when_asked(world: World) -> None:
    world.engine.create(world.inputs(entry("theirs"), adopt=["theirs"]))
    assert world.server.models == [entry("theirs")]


def test_a_change_that_no_refresh_has_shown_is_refused(world: World) -> None:
    state = world.created(entry("a"))
    world.server.set_models([*THEIRS, entry("a", tags=["edited"])])
    with pytest.raises(Failure, match="changed by somebody"):
        world.engine.update(state, world.inputs(entry("a", tags=["new"])))
    assert world.server.models[1]["tags"] == ["edited"]


def test_delete_takes_ours_and_nothing_else(world: World) -> None:
    state = world.created(entry("a"), entry("b"))
    world.server.set_models([entry("a"), *THEIRS, entry("b"), {"model_id": "later"}])
    world.engine.delete(state)
    assert world.server.models == [*THEIRS, {"model_id": "later"}]
    left = world.server.intents()
    assert set(left or {}) == {"_last-write"}, "the operator is yet to take the removal in"
    world.engine.delete(state)
    assert world.server.intents() == left


def test_delete_refuses_an_entry_that_is_not_as_we_wrote_it_even_if_a_refresh_has_shown_it(
    world: World,
) -> None:
    state = world.created(entry("a"))
    world.server.set_models([*THEIRS, entry("a", tags=["edited"])])
    _, seen, inputs = world.engine.read("ns/cr/stage", state)
    with pytest.raises(Failure, match="changed by somebody"):
        world.engine.delete(seen, inputs)
    world.engine.delete(seen, {**inputs, "adopt": ["a"]})
    assert world.server.models == THEIRS


def test_an_entry_that_nothing_shows_to_be_ours_is_held_but_neither_changed_nor_removed(world: World) -> None:
    server = world.server
    server.failures["merge configmaps"] = [
        refused(404, "none"),
        PreconditionError("gone", code="cluster-login"),
    ]
    with pytest.raises(Failure):
        world.created(entry("a"))
    assert server.models == [*THEIRS, entry("a")]
    server.set_models([*server.models, entry("more")])
    state = world.created(entry("a"), entry("b"))
    assert set(state["written"]) == {"b"}
    assert set(state["entries"]) == {"a", "b"}
    with pytest.raises(Failure, match="entry-unproven"):
        world.engine.update(state, world.inputs(entry("a", tags=["new"]), entry("b")))
    world.engine.delete(state)
    assert server.models == [*THEIRS, entry("a"), entry("more")]


def test_delete_of_a_resource_whose_owner_removed_it_clears_our_record(world: World) -> None:
    state = world.created(entry("a"))
    world.server.objects = {key: body for key, body in world.server.objects.items() if key[0] == "configmaps"}
    world.engine.delete(state)
    assert world.server.intents() is None


def test_the_pods_own_account_is_used_where_that_is_said_whatever_context_there_is(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEIGHBRIDGE_IN_CLUSTER", "true")
    monkeypatch.setenv("WEIGHBRIDGE_KUBE_CONTEXT", "elsewhere")
    world.created(entry("a"))
    assert set(world.asked) == {Connection(None, in_cluster=True)}


# -- preview


def test_previews_write_nothing(world: World) -> None:
    world.engine.create(world.inputs(entry("a")), preview=True)
    state = world.created(entry("a"))
    before, recorded = world.server.cr, world.server.intents()
    shown = world.engine.update(state, world.inputs(entry("a", tags=["new"])), preview=True)
    assert shown["entries"]["a"]["tags"] == ["new"]
    assert shown["writtenAt"] == UNKNOWN
    assert (world.server.cr, world.server.intents()) == (before, recorded)


def test_previews_refuse_what_the_write_would_refuse(world: World) -> None:
    with pytest.raises(Failure, match="by somebody else"):
        world.engine.create(world.inputs(entry("theirs")), preview=True)


def test_values_not_known_yet_are_carried_through(world: World) -> None:
    inputs = world.inputs(entry("a", location={"pvc_name": UNKNOWN}))
    assert not world.engine.check(inputs).failures
    _, shown = world.engine.create(inputs, preview=True)
    assert shown["entries"] == UNKNOWN
    state = world.created(entry("a"))
    assert paths(world.engine.diff(state, inputs)) == {"entries": "UPDATE"}
    with pytest.raises(Failure) as caught:
        world.engine.create(inputs)
    assert caught.value.code is grpc.StatusCode.INTERNAL


# -- refresh and import


def test_a_refresh_shows_what_others_did_and_the_next_update_mends_it(world: World) -> None:
    inputs = world.inputs(entry("a"), entry("b"))
    _, state = world.engine.create(inputs)
    world.server.set_models([entry("a", tags=["edited"]), *THEIRS])
    identifier, seen, read = world.engine.read("ns/cr/stage", state, world.engine.checked(inputs))
    assert identifier == "ns/cr/stage"
    assert read["entries"] == {"a": entry("a", tags=["edited"])}
    assert paths(world.engine.diff(seen, inputs)) == {'entries["a"].tags': "DELETE", 'entries["b"]': "ADD"}
    world.engine.update(seen, inputs)
    assert world.server.models == [entry("a"), *THEIRS, entry("b")]


def test_a_refresh_finds_nothing_where_nothing_of_ours_is_left(world: World) -> None:
    state = world.created(entry("a"))
    world.server.set_models(THEIRS)
    assert world.engine.read("ns/cr/stage", state)[0] == ""
    del world.server.objects["watsonxaiifm", "ns", "cr"]
    assert world.engine.read("ns/cr/stage", state)[0] == ""


def test_import_finds_what_this_environment_wrote(world: World) -> None:
    inputs = world.inputs(entry("a"), entry("b"))
    _, state = world.engine.create(inputs)
    _, found, read = world.engine.read("ns/cr/stage")
    assert {key: found[key] for key in ("entries", "digests", "writtenAt", "crUid", "clusterUid")} == {
        key: state[key] for key in ("entries", "digests", "writtenAt", "crUid", "clusterUid")
    }
    assert world.engine.diff(found, inputs).changes == provider_pb2.DiffResponse.DIFF_NONE
    assert set(read["entries"]) == {"a", "b"}


@pytest.mark.parametrize(
    ("identifier", "word"),
    [
        ("ns/cr/other", "nothing shows"),
        ("ns/cr", "names no registrations"),
        ("a/b/c/d", "names no registrations"),
    ],
)
def test_import_of_what_is_not_there_says_so(world: World, identifier: str, word: str) -> None:
    world.created(entry("a"))
    with pytest.raises(Failure, match=word):
        world.engine.read(identifier)


# -- failures


def test_a_failure_after_the_write_does_not_orphan_it(world: World) -> None:
    world.server.failures["merge configmaps"] = [
        refused(404, "none yet"),
        refused(403, "not allowed any more"),
    ]
    inputs = world.inputs(entry("a"))
    with pytest.raises(Failure, match="not allowed any more") as caught:
        world.engine.create(inputs)
    init = caught.value.init
    assert init is not None
    assert init.id == "ns/cr/stage"
    assert "not allowed any more" in init.reasons[0]
    kept = plain(init.properties)
    assert kept["entries"] == {"a": entry("a")}
    assert plain(init.inputs)["entries"] == {"a": entry("a")}
    world.engine.update(kept, inputs)
    world.engine.delete(kept)
    assert world.server.models == THEIRS


def test_a_cancellation_interrupts_whoever_tries_again_and_again(world: World) -> None:
    def meddle() -> None:
        world.server.set_models([{"model_id": f"late-{len(world.server.calls)}"}])

    world.server.before_patch = meddle
    ended: list[Failure] = []

    def create() -> None:
        try:
            world.engine.create(world.inputs(entry("a")), timeout=50)
        except Failure as failure:
            ended.append(failure)

    trying = threading.Thread(target=create)
    trying.start()
    time.sleep(0.5)
    started = time.monotonic()
    world.engine.cancel()
    trying.join(10)
    assert time.monotonic() - started < 3
    assert ended[0].code is grpc.StatusCode.CANCELLED
    assert "a" not in [row["model_id"] for row in world.server.models]


def test_a_contended_write_ends_at_the_resources_own_timeout(world: World) -> None:
    world.server.before_patch = lambda: world.server.set_models(
        [{"model_id": f"late-{len(world.server.calls)}"}]
    )
    with pytest.raises(Failure, match="within 1 s") as caught:
        world.engine.create(world.inputs(entry("a")), timeout=1)
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE


def test_a_defect_of_ours_is_told_in_one_sentence(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    world.server.failures["get watsonxaiifm"] = [RuntimeError("bug")]
    with pytest.raises(Failure, match="broke down: RuntimeError: bug") as caught:
        world.created(entry("a"))
    assert caught.value.code is grpc.StatusCode.INTERNAL
    assert "Traceback" in capfd.readouterr().err


# -- what the plan saw


@pytest.fixture
def saw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Tells the provider what the plan saw, as the engine does."""

    def tell(namespace: str = "ns", custom_resource: str = "cr", **seen: str) -> None:
        cluster = ClusterIdentity(uid="u", namespace=namespace)
        settings: dict[str, Json] = {"custom_resource": custom_resource, "adopt": []}
        spec = StackSpec(
            environment="stage",
            cluster=cluster,
            stack=REGISTRATION,
            manifests=(),
            settings=settings,
            seen=seen,
        )
        [(name, value)] = seen_variables(spec, tmp_path).items()
        monkeypatch.setenv(name, value)

    return tell


def test_an_entry_replaced_since_the_plan_is_refused_and_left(world: World, saw: Callable[..., None]) -> None:
    state = world.created(entry("a"), entry("b"))
    saw(a=Entry.of(entry("a")).digest, b=Entry.of(entry("b")).digest)
    world.server.set_models([*THEIRS, entry("a", tags=["replaced"]), entry("b")])
    before = world.server.cr
    _, shown, inputs = world.engine.read("ns/cr/stage", state)
    wanted = world.inputs(entry("a", tags=["new"]), entry("b", tags=["new"]))
    assert world.engine.update(shown, wanted, preview=True)["entries"]["a"]["tags"] == ["new"]
    for attempt in (
        lambda: world.engine.update(shown, wanted),
        lambda: world.engine.create(wanted),
        lambda: world.engine.delete(shown, inputs),
        lambda: world.engine.delete(shown, {**inputs, "adopt": ["a"]}),
    ):
        with pytest.raises(Failure) as caught:
            attempt()
        assert caught.value.code is grpc.StatusCode.FAILED_PRECONDITION
        error = decode(caught.value.message)
        assert isinstance(error, PreconditionError)
        assert error.code == "entry-replaced"
        assert Entry.of(entry("a")).text in error.what
        assert '"replaced"' in error.what
        assert world.server.cr == before
    saw(a=Entry.of(entry("a", tags=["replaced"])).digest)
    world.engine.update(shown, wanted)
    assert world.server.models == [*THEIRS, entry("a", tags=["new"]), entry("b", tags=["new"])]


def test_an_entry_that_came_after_the_plan_is_not_adopted(world: World, saw: Callable[..., None]) -> None:
    saw(theirs="")
    with pytest.raises(Failure, match="entry-replaced"):
        world.engine.create(world.inputs(entry("theirs"), adopt=["theirs"]))
    assert world.server.models == THEIRS
    saw(theirs=Entry.of(THEIRS[0]).digest)
    world.engine.create(world.inputs(entry("theirs"), adopt=["theirs"]))
    assert world.server.models == [entry("theirs")]


@pytest.mark.parametrize("about", [{"namespace": "other"}, {"custom_resource": "other"}])
def test_entries_that_leave_another_resource_are_not_what_the_plan_looked_at(
    world: World, saw: Callable[..., None], about: dict[str, str]
) -> None:
    state = world.created(entry("a"))
    saw(a="", **about)
    world.engine.delete(state)
    assert world.server.models == THEIRS


def test_where_what_the_plan_saw_cannot_be_read_nothing_is_written(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEIGHBRIDGE_SEEN", str(tmp_path / "gone"))
    with pytest.raises(Failure, match="seen-unreadable"):
        world.created(entry("a"))
    assert world.server.models == THEIRS


# -- secrets


def test_secrets_come_back_as_secrets_and_are_stored_as_such(world: World) -> None:
    inputs = world.inputs(entries=secret([entry("a", tags=["hush-hush"])]))
    checked = world.engine.checked(inputs)
    assert checked["entries"] == secret({"a": entry("a", tags=["hush-hush"])})
    _, state = world.engine.create(inputs)
    assert world.server.models[1]["tags"] == ["hush-hush"]
    assert state["entries"] == state["written"] == secret({"a": entry("a", tags=["hush-hush"])})
    _, seen, read = world.engine.read("ns/cr/stage", state, checked)
    assert seen["entries"][SECRET] == read["entries"][SECRET] == SECRET_MARK
    assert world.engine.diff(state, inputs).changes == provider_pb2.DiffResponse.DIFF_NONE
    world.engine.delete(state)
    assert world.server.models == THEIRS


@pytest.mark.parametrize("inner", [True, False])
def test_no_secret_is_quoted_in_a_failure(
    world: World, inner: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    hidden = {"value": "hush-hush"}
    wanted = [entry("theirs", x=secret(hidden))] if inner else secret([entry("theirs", x=hidden)])
    inputs = world.inputs(entries=wanted)
    with pytest.raises(Failure, match="theirs is registered already") as caught:
        world.engine.create(inputs)
    assert "hush" not in caught.value.message
    world.server.failures["get watsonxaiifm"] = [RuntimeError("hush-hush")]
    with pytest.raises(Failure) as caught:
        world.engine.create(inputs)
    assert "hush" not in caught.value.message
    world.server.failures["get watsonxaiifm"] = [refused(422, "invalid value: hush-hush")]
    with pytest.raises(Failure) as caught:
        world.engine.create(inputs)
    captured = capfd.readouterr()
    assert "hush" not in caught.value.message + captured.err + captured.out
