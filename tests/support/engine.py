"""Pulumi's engine, as far as a provider sees it: the calls of ``pulumi up``, ``refresh``, ``destroy`` and ``import``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import grpc
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc
from pulumi.runtime.proto.status_pb2 import Status

from weighbridge.watsonx.registry import Limits

TYPE = "weighbridge:index:Registrations"
URN = f"urn:pulumi:stage::weighbridge::{TYPE}::watsonxaiifm-cr"
SECONDS = Limits().write + 30
"""For one call: a write may take as long as its own limit before the provider gives up, and says why."""


def struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    message = struct_pb2.Struct()
    message.update(values)
    return message


def plain(message: Any) -> Any:
    """Struct → Python, numbers as floats, marks as they are."""
    if isinstance(message, struct_pb2.Struct):
        return {key: plain(value) for key, value in message.fields.items()}
    kind = message.WhichOneof("kind")
    if kind == "struct_value":
        return plain(message.struct_value)
    if kind == "list_value":
        return [plain(item) for item in message.list_value.values]
    return None if kind == "null_value" else getattr(message, kind)


@dataclass
class Failure(Exception):  # noqa: N818  what a call ended with
    """A call that failed."""

    code: grpc.StatusCode
    message: str
    init: provider_pb2.ErrorResourceInitFailed | None

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}"


class Engine:
    """Calls one provider; every failure is a :class:`Failure`."""

    def __init__(self, port: int, urn: str = URN) -> None:
        self.urn = urn
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self.stub = provider_pb2_grpc.ResourceProviderStub(self.channel)

    def close(self) -> None:
        self.channel.close()

    def _call(self, method: str, request: Any) -> Any:
        try:
            return getattr(self.stub, method)(request, timeout=SECONDS)
        except grpc.RpcError as raised:
            error = cast("Any", raised)
            raise Failure(error.code(), error.details(), _init_failure(error)) from raised

    def boot(self) -> provider_pb2.ConfigureResponse:
        self._call("Handshake", provider_pb2.ProviderHandshakeRequest(engine_address=""))
        checked = self._call("CheckConfig", provider_pb2.CheckRequest(urn=self.urn, news=struct({})))
        request = provider_pb2.ConfigureRequest(
            args=checked.inputs, acceptSecrets=True, sends_old_inputs=True
        )
        return cast("provider_pb2.ConfigureResponse", self._call("Configure", request))

    def check(self, inputs: Mapping[str, Any], urn: str | None = None) -> provider_pb2.CheckResponse:
        request = provider_pb2.CheckRequest(urn=urn or self.urn, news=struct(inputs))
        return cast("provider_pb2.CheckResponse", self._call("Check", request))

    def checked(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        response = self.check(inputs)
        assert not response.failures, response.failures
        return cast("dict[str, Any]", plain(response.inputs))

    def diff(
        self, outputs: Mapping[str, Any], inputs: Mapping[str, Any], ignore: tuple[str, ...] = ()
    ) -> provider_pb2.DiffResponse:
        request = provider_pb2.DiffRequest(
            urn=self.urn,
            id="x",
            olds=struct(outputs),
            news=struct(self.checked(inputs)),
            ignoreChanges=ignore,
        )
        return cast("provider_pb2.DiffResponse", self._call("Diff", request))

    def create(
        self, inputs: Mapping[str, Any], *, preview: bool = False, timeout: float = 0
    ) -> tuple[str, dict[str, Any]]:
        request = provider_pb2.CreateRequest(
            urn=self.urn, properties=struct(self.checked(inputs)), preview=preview, timeout=timeout
        )
        response = self._call("Create", request)
        return response.id, plain(response.properties)

    def update(
        self, outputs: Mapping[str, Any], inputs: Mapping[str, Any], *, preview: bool = False
    ) -> dict[str, Any]:
        request = provider_pb2.UpdateRequest(
            urn=self.urn, id="x", olds=struct(outputs), news=struct(self.checked(inputs)), preview=preview
        )
        return cast("dict[str, Any]", plain(self._call("Update", request).properties))

    def read(
        self,
        identifier: str,
        outputs: Mapping[str, Any] | None = None,
        inputs: Mapping[str, Any] | None = None,
    ) -> tuple[str, dict[str, Any], dict[str, Any]]:
        request = provider_pb2.ReadRequest(
            urn=self.urn, id=identifier, properties=struct(outputs or {}), inputs=struct(inputs or {})
        )
        response = self._call("Read", request)
        return response.id, plain(response.properties), plain(response.inputs)

    def delete(self, outputs: Mapping[str, Any], inputs: Mapping[str, Any] | None = None) -> None:
        request = provider_pb2.DeleteRequest(
            urn=self.urn, id="x", properties=struct(outputs), old_inputs=struct(inputs or {})
        )
        self._call("Delete", request)

    def cancel(self) -> None:
        self._call("Cancel", empty_pb2.Empty())


def _init_failure(error: Any) -> provider_pb2.ErrorResourceInitFailed | None:
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for detail in Status.FromString(value).details:
                init = provider_pb2.ErrorResourceInitFailed()
                if detail.Unpack(init):
                    return init
    return None
