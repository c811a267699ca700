"""Notes for Pulumi's screen, sent through the engine. A lost note is not a failure."""

import contextlib
from dataclasses import dataclass

import grpc
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

from weighbridge.core.events import Event, Note, Warned
from weighbridge.domain.visible import continued

_PATIENCE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class EngineLog:
    """An observer of the operation on one resource."""

    engine: engine_pb2_grpc.EngineStub | None
    urn: str

    def __call__(self, event: Event) -> None:
        match event:
            case Note(text):
                severity = engine_pb2.INFO
            case Warned(text):
                severity = engine_pb2.WARNING
            case _:
                return
        if self.engine is None:
            return
        with contextlib.suppress(grpc.RpcError):
            self.engine.Log(
                engine_pb2.LogRequest(severity=severity, message="\n".join(continued(text)), urn=self.urn),
                timeout=_PATIENCE_SECONDS,
            )


def connect_engine(address: str | None) -> engine_pb2_grpc.EngineStub | None:
    """Return the engine at ``host:port``; nothing is sent yet. ``None`` without an address (a provider started by hand)."""
    if not address:
        return None
    return engine_pb2_grpc.EngineStub(grpc.insecure_channel(address))
