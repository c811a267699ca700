"""Our failures as gRPC statuses that Pulumi's engine understands.

The engine reads INTERNAL, UNKNOWN and DATA_LOSS as "the resource may be in any state", and all others as "nothing
happened" (pulumi/pulumi ``sdk/go/common/resource/plugin/provider_plugin.go``, ``resourceStateAndError``).
"""

from typing import TYPE_CHECKING, Final, NoReturn

import grpc

from weighbridge.engines.pulumi.provider_messages import encode
from weighbridge.errors import (
    DefectError,
    InputError,
    InterruptedByUserError,
    PreconditionError,
    StepFailedError,
    WeighbridgeError,
)

if TYPE_CHECKING:
    from google.protobuf.message import Message

DETAILS_KEY: Final = "grpc-status-details-bin"


def code_of(error: WeighbridgeError) -> grpc.StatusCode:
    """Return the gRPC status code of a failure."""
    match error:
        case InputError():
            return grpc.StatusCode.INVALID_ARGUMENT
        case PreconditionError():
            return grpc.StatusCode.FAILED_PRECONDITION
        case StepFailedError(transient=True):
            return grpc.StatusCode.UNAVAILABLE
        case InterruptedByUserError():
            return grpc.StatusCode.CANCELLED
        case DefectError():
            return grpc.StatusCode.INTERNAL
        case _:
            return grpc.StatusCode.ABORTED


def abort(
    context: grpc.ServicerContext, error: WeighbridgeError, details: "Message | None" = None
) -> NoReturn:
    """End the call with ``error``, and ``details`` packed beside it as the engine expects."""
    code, text = code_of(error), encode(error)
    if details is not None:
        from google.protobuf.any_pb2 import Any  # noqa: PLC0415  rarely needed
        from pulumi.runtime.proto.status_pb2 import Status  # noqa: PLC0415  likewise

        packed = Any()
        packed.Pack(details)
        number: int = code.value[0]
        status = Status(code=number, message=text, details=[packed])
        context.set_trailing_metadata(((DETAILS_KEY, status.SerializeToString()),))
    context.abort(code, text)
    raise AssertionError  # abort raises, but its stub does not say so
