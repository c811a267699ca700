"""Pulumi's provider protocol, as the engine calls it, for every registered type of resource.

Served by threads: every call may wait for an API server, and ``Cancel`` must arrive meanwhile.
"""

import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final, TypeAlias

import grpc
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from weighbridge.errors import DefectError, InterruptedByUserError, WeighbridgeError
from weighbridge.provider.cancellation import CancelledClock
from weighbridge.provider.engine_log import EngineLog, connect_engine
from weighbridge.provider.failures import abort
from weighbridge.provider.properties import Properties, marshal, unmarshal
from weighbridge.provider.resource import (
    Operation,
    PartialFailureError,
    PropertyDifference,
    Quoting,
    Resource,
    Stored,
    Values,
)
from weighbridge.provider.resources import Types
from weighbridge.provider.schema import schema

Context: TypeAlias = grpc.ServicerContext
Asked: TypeAlias = tuple[Resource, Operation]

_KINDS: Final = {
    ("add", False): provider_pb2.PropertyDiff.ADD,
    ("add", True): provider_pb2.PropertyDiff.ADD_REPLACE,
    ("delete", False): provider_pb2.PropertyDiff.DELETE,
    ("delete", True): provider_pb2.PropertyDiff.DELETE_REPLACE,
    ("update", False): provider_pb2.PropertyDiff.UPDATE,
    ("update", True): provider_pb2.PropertyDiff.UPDATE_REPLACE,
}


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """One provider process. ``Construct``, ``Call`` and ``Invoke`` are not implemented."""

    def __init__(self, types: Types, cancelled: threading.Event, *, version: str, engine: str | None) -> None:
        self._types = types
        self._cancelled = cancelled
        self._clock = CancelledClock(cancelled, time.monotonic)
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
        return provider_pb2.GetSchemaResponse(schema=schema(self._version, self._types))

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
        """End every wait and every retry now. A running request is left to finish."""
        del request, context
        self._cancelled.set()
        return empty_pb2.Empty()

    # -- the resource ------------------------------------------------------------------------------------------------

    def Check(self, request: provider_pb2.CheckRequest, context: Context) -> provider_pb2.CheckResponse:  # noqa: N802
        given = unmarshal(request.news)
        with self._guarded(context, request.urn, given) as (resource, operation):
            problems = resource.check(given.values, given.unknown)
            if problems:
                failures = [
                    provider_pb2.CheckFailure(property=one.path, reason=one.reason) for one in problems
                ]
                return provider_pb2.CheckResponse(inputs=request.news, failures=failures)
            if not given.unknown & resource.identifying:
                resource.refuse_other(given.values, operation)
            normalised = resource.normalised(given.values, given.unknown)
            return provider_pb2.CheckResponse(inputs=_replaced(request.news, given, normalised))

    def Diff(self, request: provider_pb2.DiffRequest, context: Context) -> provider_pb2.DiffResponse:  # noqa: N802
        old, new = unmarshal(request.olds), unmarshal(request.news)
        with self._guarded(context, request.urn, old, new) as (resource, _):
            found = resource.diff(old.values, new.values, new.unknown)
            ignored = tuple(request.ignoreChanges)
            return _diff_response(
                {path: row for path, row in found.items() if not path.startswith(ignored or ("\0",))}
            )

    def Create(self, request: provider_pb2.CreateRequest, context: Context) -> provider_pb2.CreateResponse:  # noqa: N802
        given = unmarshal(request.properties)
        with self._guarded(context, request.urn, given, timeout=request.timeout) as (resource, operation):
            if request.preview:
                return provider_pb2.CreateResponse(properties=_preview(resource, None, given, operation))
            stored = self._write(resource, None, given, operation)
            return provider_pb2.CreateResponse(id=stored.id, properties=_properties(resource, stored, given))

    def Update(self, request: provider_pb2.UpdateRequest, context: Context) -> provider_pb2.UpdateResponse:  # noqa: N802
        old, given = unmarshal(request.olds), unmarshal(request.news)
        with self._guarded(context, request.urn, old, given, timeout=request.timeout) as (
            resource,
            operation,
        ):
            if request.preview:
                return provider_pb2.UpdateResponse(
                    properties=_preview(resource, old.values, given, operation)
                )
            stored = self._write(resource, old.values, given, operation)
            return provider_pb2.UpdateResponse(properties=_properties(resource, stored, given))

    def Read(self, request: provider_pb2.ReadRequest, context: Context) -> provider_pb2.ReadResponse:  # noqa: N802
        old, inputs = unmarshal(request.properties), unmarshal(request.inputs)
        with self._guarded(context, request.urn, old, inputs, timeout=request.timeout) as (
            resource,
            operation,
        ):
            importing = old.empty or resource.outcome not in old.values
            found = (
                resource.import_(request.id, operation) if importing else resource.read(old.values, operation)
            )
            if found is None:
                return provider_pb2.ReadResponse()
            marks = Properties({}, old.secret | inputs.secret)
            carried = {key: inputs.values[key] for key in resource.unstored & inputs.values.keys()}
            values = {**found.inputs, **carried}
            return provider_pb2.ReadResponse(
                id=found.id,
                properties=_properties(resource, found, marks),
                inputs=marshal(values, secret=marks.secret & values.keys()),
            )

    def Delete(self, request: provider_pb2.DeleteRequest, context: Context) -> empty_pb2.Empty:  # noqa: N802
        old, inputs = unmarshal(request.properties), unmarshal(request.old_inputs)
        with (
            self._guarded(context, request.urn, old, inputs, timeout=request.timeout) as (
                resource,
                operation,
            ),
            self._alone(resource.lock_key(old.values)),
        ):
            resource.delete(old.values, inputs.values, operation)
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

    def _write(
        self, resource: Resource, old: Values | None, given: Properties, operation: Operation
    ) -> Stored:
        if given.unknown:
            raise DefectError(
                f"the engine asked to write values that are not known: {', '.join(sorted(given.unknown))}"
            )
        with self._alone(resource.lock_key(given.values)):
            return resource.write(old, given.values, operation)

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        """Allow one write at a time for each ``key``. A cancellation ends the wait for the turn."""
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
    ) -> Iterator[Asked]:
        """Yield the module of the resource's type. A failure ends the call, in one sentence and without a secret."""
        resource: Resource | None = None
        hidden = ""
        try:
            resource = self._types.of(_type_of(urn))
            hidden = _hidden(resource, properties)
            yield resource, Operation(self._clock, EngineLog(self._engine, urn), timeout)
        except PartialFailureError as error:
            details = _init_failure(resource, error, properties[-1]) if resource is not None else None
            abort(context, error.cause, details)
        except WeighbridgeError as error:
            abort(context, _without_values(error, hidden) if hidden else error)
        except Exception as error:  # noqa: BLE001  the last place before the wire: every exception must become a status
            if not hidden:
                traceback.print_exc(file=sys.stderr)
            what = f"weighbridge's provider broke down: {type(error).__name__}" + (
                "" if hidden else f": {error}"
            )
            abort(context, DefectError(what, remedy="report it with the lines above", code="provider-defect"))


def _type_of(urn: str) -> str:
    parts = urn.split("::")  # urn:pulumi:STACK::PROJECT::PARENT-TYPE$TYPE::NAME
    return parts[2].rpartition("$")[2] if len(parts) > 2 else urn  # noqa: PLR2004


def _hidden(resource: Resource, properties: tuple[Properties, ...]) -> str:
    """Return the name of what must not be quoted; empty if nothing is secret."""
    secret = any(key in one.secret for one in properties for key in resource.sensitive)
    return resource.sensitive[0] if secret else ""


def _without_values(error: WeighbridgeError, hidden: str) -> WeighbridgeError:
    """Return the same failure in words without its values."""
    if isinstance(error, Quoting):
        return error.without_values()
    return type(error)(
        f"failed ({error.code}); the details are withheld because the {hidden} are secret", code=error.code
    )


def _init_failure(
    resource: Resource, error: PartialFailureError, marks: Properties
) -> provider_pb2.ErrorResourceInitFailed:
    inputs = error.stored.inputs
    return provider_pb2.ErrorResourceInitFailed(
        id=error.stored.id,
        properties=_properties(resource, error.stored, marks),
        inputs=marshal(inputs, secret=marks.secret & inputs.keys()),
        reasons=[error.cause.what],
    )


def _preview(
    resource: Resource, old: Values | None, given: Properties, operation: Operation
) -> struct_pb2.Struct:
    if given.unknown:
        left_out = given.unknown | resource.unstored
        kept = {key: value for key, value in given.values.items() if key not in left_out}
        return marshal(kept, secret=given.secret & kept.keys(), unknown=given.unknown)
    return _properties(resource, resource.preview(old, given.values, operation), given)


def _replaced(news: struct_pb2.Struct, given: Properties, normalised: Values) -> struct_pb2.Struct:
    """Return the inputs as given, except those that are stored in another form."""
    checked = struct_pb2.Struct()
    checked.CopyFrom(news)
    message = marshal(normalised, secret=given.secret & normalised.keys())
    for key, value in message.fields.items():
        checked.fields[key].CopyFrom(value)
    return checked


def _properties(resource: Resource, stored: Stored, marks: Properties) -> struct_pb2.Struct:
    secret = {key for key in marks.secret if key in stored.properties}
    if secret & set(resource.sensitive):
        secret |= set(resource.sensitive)
    return marshal(stored.properties, secret=secret, unknown=stored.unknown)


def _diff_response(found: Mapping[str, PropertyDifference]) -> provider_pb2.DiffResponse:
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
