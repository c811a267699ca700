"""Pulumi's provider protocol over :mod:`weighbridge.provider.resources.registrations`, as the engine calls it.

Served by threads: every call may block on the API server, and ``Cancel`` must get through meanwhile.
"""

import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeAlias

import grpc
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from weighbridge.errors import DefectError, InputError, InterruptedByUserError, WeighbridgeError
from weighbridge.provider.engine_log import EngineLog, connect_engine
from weighbridge.provider.failures import abort
from weighbridge.provider.properties import Properties, marshal, unmarshal
from weighbridge.provider.resources.registration_inputs import (
    TYPE,
    Connection,
    Inputs,
    check,
    entries_of,
    keyed,
)
from weighbridge.provider.resources.registrations import (
    Cluster,
    PartialFailureError,
    PropertyDifference,
    Registrations,
    State,
)
from weighbridge.provider.schema import schema
from weighbridge.watsonx.merge import EntriesRefusedError

Context: TypeAlias = grpc.ServicerContext

_ENTRY_OUTPUTS: Final = ("entries", "written")
_KINDS: Final = {
    ("add", False): provider_pb2.PropertyDiff.ADD,
    ("add", True): provider_pb2.PropertyDiff.ADD_REPLACE,
    ("delete", False): provider_pb2.PropertyDiff.DELETE,
    ("delete", True): provider_pb2.PropertyDiff.DELETE_REPLACE,
    ("update", False): provider_pb2.PropertyDiff.UPDATE,
    ("update", True): provider_pb2.PropertyDiff.UPDATE_REPLACE,
}


class CancelledClock:
    """Real time, until the engine cancels: then whoever waits is interrupted."""

    def __init__(self, cancelled: threading.Event, monotonic: Callable[[], float]) -> None:
        self._cancelled = cancelled
        self._monotonic = monotonic

    def monotonic(self) -> float:
        return self._monotonic()

    def sleep(self, seconds: float) -> None:
        if self._cancelled.wait(seconds):
            raise InterruptedByUserError(
                "cancelled", remedy="run the same command again: it takes up where this ended"
            )


Connect = Callable[[Connection, float], Cluster]
"""Opens a cluster; the number is the seconds that a write may take, 0 for the default."""


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """One provider process. ``Construct``, ``Call`` and ``Invoke`` have nothing to offer."""

    def __init__(
        self, connect: Connect, cancelled: threading.Event, *, version: str, engine: str | None
    ) -> None:
        self._connect = connect
        self._cancelled = cancelled
        self._version = version
        self._engine = connect_engine(engine)
        self._locks: dict[str, threading.Lock] = {}
        self._locks_lock = threading.Lock()

    # -- the plugin --------------------------------------------------------------------------------------------------

    def Handshake(  # noqa: N802
        self, request: provider_pb2.ProviderHandshakeRequest, context: Context
    ) -> provider_pb2.ProviderHandshakeResponse:
        del context
        self._engine = connect_engine(request.engine_address) or self._engine
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True)

    def Attach(self, request: plugin_pb2.PluginAttach, context: Context) -> empty_pb2.Empty:  # noqa: N802
        del context
        self._engine = connect_engine(request.address) or self._engine
        return empty_pb2.Empty()

    def GetPluginInfo(self, request: empty_pb2.Empty, context: Context) -> plugin_pb2.PluginInfo:  # noqa: N802
        del request, context
        return plugin_pb2.PluginInfo(version=self._version)

    def GetSchema(  # noqa: N802
        self, request: provider_pb2.GetSchemaRequest, context: Context
    ) -> provider_pb2.GetSchemaResponse:
        del request, context
        return provider_pb2.GetSchemaResponse(schema=schema(self._version))

    def CheckConfig(self, request: provider_pb2.CheckRequest, context: Context) -> provider_pb2.CheckResponse:  # noqa: N802
        del context
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: provider_pb2.DiffRequest, context: Context) -> provider_pb2.DiffResponse:  # noqa: N802
        del request, context
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(  # noqa: N802
        self, request: provider_pb2.ConfigureRequest, context: Context
    ) -> provider_pb2.ConfigureResponse:
        del request, context
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def Cancel(self, request: empty_pb2.Empty, context: Context) -> empty_pb2.Empty:  # noqa: N802
        """Whatever waits, or tries again, ends now; a request on its way is left to finish."""
        del request, context
        self._cancelled.set()
        return empty_pb2.Empty()

    # -- the resource ------------------------------------------------------------------------------------------------

    def Check(self, request: provider_pb2.CheckRequest, context: Context) -> provider_pb2.CheckResponse:  # noqa: N802
        given = unmarshal(request.news)
        with self._guarded(context, request.urn, given) as resource:
            problems = check(given)
            if problems:
                failures = [
                    provider_pb2.CheckFailure(property=one.path, reason=one.reason) for one in problems
                ]
                return provider_pb2.CheckResponse(inputs=request.news, failures=failures)
            if not given.unknown & {"clusterUid", "context", "inCluster"}:
                resource.refuse_other_cluster(Inputs.of(given.values))
            return provider_pb2.CheckResponse(inputs=_normalised(request.news, given))

    def Diff(self, request: provider_pb2.DiffRequest, context: Context) -> provider_pb2.DiffResponse:  # noqa: N802
        old, new = unmarshal(request.olds), unmarshal(request.news)
        with self._guarded(context, request.urn, old, new) as resource:
            found = resource.diff(State.of(old.values), Inputs.of(new.values), unknown=new.unknown)
            ignored = tuple(request.ignoreChanges)
            return _diff_response(
                {path: row for path, row in found.items() if not path.startswith(ignored or ("\0",))}
            )

    def Create(self, request: provider_pb2.CreateRequest, context: Context) -> provider_pb2.CreateResponse:  # noqa: N802
        given = unmarshal(request.properties)
        with self._guarded(context, request.urn, given, timeout=request.timeout) as resource:
            if request.preview:
                return provider_pb2.CreateResponse(properties=self._preview(resource, None, given))
            wanted = _known_inputs(given)
            state = self._write(resource, None, wanted)
            return provider_pb2.CreateResponse(id=wanted.id, properties=_stored(state, given))

    def Update(self, request: provider_pb2.UpdateRequest, context: Context) -> provider_pb2.UpdateResponse:  # noqa: N802
        old, given = unmarshal(request.olds), unmarshal(request.news)
        with self._guarded(context, request.urn, old, given, timeout=request.timeout) as resource:
            state = State.of(old.values)
            if request.preview:
                return provider_pb2.UpdateResponse(properties=self._preview(resource, state, given))
            after = self._write(resource, state, _known_inputs(given))
            return provider_pb2.UpdateResponse(properties=_stored(after, given))

    def Read(self, request: provider_pb2.ReadRequest, context: Context) -> provider_pb2.ReadResponse:  # noqa: N802
        old, inputs = unmarshal(request.properties), unmarshal(request.inputs)
        with self._guarded(context, request.urn, old, inputs, timeout=request.timeout) as resource:
            importing = old.empty or "written" not in old.values
            found = resource.import_(request.id) if importing else resource.read(State.of(old.values))
            if found is None:
                return provider_pb2.ReadResponse()
            marks = Properties({}, old.secret | inputs.secret)
            values = dict(found.inputs.as_json())
            if "adopt" in inputs.values:
                values["adopt"] = inputs.values["adopt"]
            secret = marks.secret & values.keys()
            return provider_pb2.ReadResponse(
                id=found.inputs.id, properties=_stored(found, marks), inputs=marshal(values, secret=secret)
            )

    def Delete(self, request: provider_pb2.DeleteRequest, context: Context) -> empty_pb2.Empty:  # noqa: N802
        old, inputs = unmarshal(request.properties), unmarshal(request.old_inputs)
        with self._guarded(context, request.urn, old, inputs, timeout=request.timeout) as resource:
            state = State.of(old.values)
            with self._alone(state.inputs):
                resource.delete(state, Inputs.of(inputs.values).adopt)
            return empty_pb2.Empty()

    def Construct(  # noqa: N802
        self, request: provider_pb2.ConstructRequest, context: Context
    ) -> provider_pb2.ConstructResponse:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, f"weighbridge has no component {request.type}")
        raise AssertionError

    def Call(self, request: provider_pb2.CallRequest, context: Context) -> provider_pb2.CallResponse:  # noqa: N802
        context.abort(grpc.StatusCode.UNIMPLEMENTED, f"weighbridge has no method {request.tok}")
        raise AssertionError

    def Invoke(self, request: provider_pb2.InvokeRequest, context: Context) -> provider_pb2.InvokeResponse:  # noqa: N802
        context.abort(grpc.StatusCode.UNIMPLEMENTED, f"weighbridge has no function {request.tok}")
        raise AssertionError

    # -- helpers -----------------------------------------------------------------------------------------------------

    def _preview(self, resource: Registrations, state: State | None, given: Properties) -> struct_pb2.Struct:
        if given.unknown:
            known = {
                key: value
                for key, value in given.values.items()
                if key not in given.unknown and key != "adopt"
            }
            return marshal(known, secret=given.secret & known.keys(), unknown=given.unknown)
        after, writes = resource.preview(state, Inputs.of(given.values))
        return _stored(after, given, unknown=("writtenAt",) if writes or state is None else ())

    def _write(self, resource: Registrations, state: State | None, wanted: Inputs) -> State:
        with self._alone(wanted):
            return resource.write(state, wanted)

    @contextmanager
    def _alone(self, inputs: Inputs) -> Iterator[None]:
        """One write of one custom resource at a time; waiting for one's turn ends with a cancellation."""
        key = f"{inputs.cluster_uid}/{inputs.namespace}/{inputs.custom_resource}"
        with self._locks_lock:
            lock = self._locks.setdefault(key, threading.Lock())
        while not lock.acquire(timeout=0.2):
            self._refuse_when_cancelled()
        try:
            self._refuse_when_cancelled()
            yield
        finally:
            lock.release()

    def _refuse_when_cancelled(self) -> None:
        if self._cancelled.is_set():
            raise InterruptedByUserError("cancelled before anything was written")

    @contextmanager
    def _guarded(
        self, context: Context, urn: str, *properties: Properties, timeout: float = 0.0
    ) -> Iterator[Registrations]:
        """The resource's operations; failures end the call, in one sentence and without a secret."""
        hide = any(key in one.secret for one in properties for key in _ENTRY_OUTPUTS)
        try:
            _require_type(urn)
            yield Registrations(
                lambda connection: self._connect(connection, timeout), EngineLog(self._engine, urn)
            )
        except EntriesRefusedError as error:
            abort(context, error.without_values() if hide else error)
        except PartialFailureError as error:
            marks = properties[-1]
            details = provider_pb2.ErrorResourceInitFailed(
                id=error.state.inputs.id,
                properties=_stored(error.state, marks),
                inputs=marshal(error.state.inputs.as_json(), secret=marks.secret & {"entries"}),
                reasons=[error.cause.what],
            )
            abort(context, error.cause, details)
        except WeighbridgeError as error:
            abort(context, _hidden(error) if hide else error)
        except Exception as error:  # noqa: BLE001  the last seam before the wire: nothing may pass it untyped
            if not hide:
                traceback.print_exc(file=sys.stderr)
            what = f"weighbridge's provider broke down: {type(error).__name__}" + (
                "" if hide else f": {error}"
            )
            abort(context, DefectError(what, remedy="report it with the lines above", code="provider-defect"))


def _hidden(error: WeighbridgeError) -> WeighbridgeError:
    """The same failure in words that hold none of the values it is about."""
    return type(error)(
        f"failed ({error.code}); the details are withheld because the entries are secret", code=error.code
    )


def _require_type(urn: str) -> None:
    parts = urn.split("::")  # urn:pulumi:STACK::PROJECT::PARENT-TYPE$TYPE::NAME
    kind = parts[2].rpartition("$")[2] if len(parts) > 2 else urn  # noqa: PLR2004
    if kind != TYPE:
        raise InputError(
            f"weighbridge has no resource type {kind}", remedy=f"there is one: {TYPE}", code="resource-type"
        )


def _known_inputs(given: Properties) -> Inputs:
    if given.unknown:
        raise DefectError(
            f"the engine asked to write values that are not known: {', '.join(sorted(given.unknown))}"
        )
    return Inputs.of(given.values)


def _normalised(news: struct_pb2.Struct, given: Properties) -> struct_pb2.Struct:
    """The inputs with entries by model_id, everything else as it was given."""
    checked = struct_pb2.Struct()
    checked.CopyFrom(news)
    entries = given.values.get("entries")
    if "entries" not in given.unknown and isinstance(entries, list):
        by_id = marshal({"entries": keyed(entries_of(entries))}, secret=given.secret & {"entries"})
        checked.fields["entries"].CopyFrom(by_id.fields["entries"])
    return checked


def _stored(state: State, marks: Properties, unknown: tuple[str, ...] = ()) -> struct_pb2.Struct:
    values = state.as_json()
    secret = {key for key in marks.secret if key in values}
    if secret & set(_ENTRY_OUTPUTS):
        secret |= set(_ENTRY_OUTPUTS)
    return marshal(values, secret=secret, unknown=unknown)


def _diff_response(found: dict[str, PropertyDifference]) -> provider_pb2.DiffResponse:
    response = provider_pb2.DiffResponse(hasDetailedDiff=True, deleteBeforeReplace=True)
    response.changes = provider_pb2.DiffResponse.DIFF_SOME if found else provider_pb2.DiffResponse.DIFF_NONE
    for path, row in found.items():
        response.detailedDiff[path].kind = _KINDS[row.kind, row.replaces]
        top = path.split("[")[0].split(".")[0]
        if top not in response.diffs:
            response.diffs.append(top)
        if row.replaces:
            response.replaces.append(path)
    return response
