"""The provider as a process: a server on a port of this machine, for the engine that started it.

Its standard output is only the port. Slow imports (a type's module, the Kubernetes client) wait until the engine asks
for them. The process ends with the engine, however the engine ends.
"""

import os
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Final

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

from weighbridge.provider.callers import EngineOnly
from weighbridge.provider.resources import RESOURCES, Make, Types
from weighbridge.provider.server import Provider

_THREADS: Final = 16
_MESSAGE_BYTES: Final = 400 * 1024 * 1024  # Pulumi's own limit (pulumi/sdk, rpcutil)
_GRACE_SECONDS: Final = 5.0


def serve(
    resources: Mapping[str, Make],
    cancelled: threading.Event,
    engine: str | None,
    caller: int | None = None,
) -> tuple[grpc.Server, int]:
    """Return a server, started for this machine only, and its port. ``caller``: the only process that is answered;
    ``None``: any process of this user.
    """
    options = [
        ("grpc.max_receive_message_length", _MESSAGE_BYTES),
        ("grpc.max_send_message_length", _MESSAGE_BYTES),
    ]
    callers = EngineOnly(caller)
    server = grpc.server(ThreadPoolExecutor(_THREADS), options=options, interceptors=[callers])
    provider = Provider(Types(resources), cancelled, version=version("weighbridge"), engine=engine)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    callers.port = port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def end_with_parent(server: grpc.Server, parent: int) -> None:
    """Stop as soon as ``parent`` is no longer our parent.

    Polling is portable and safe: Linux's PR_SET_PDEATHSIG follows the parent's thread, and the engine's threads come
    and go.
    """
    while os.getppid() == parent:
        time.sleep(0.5)
    server.stop(grace=_GRACE_SECONDS).wait(_GRACE_SECONDS)
    os._exit(0)


def main() -> None:
    """Serve until the engine ends. The only positional argument, if any, is the engine's address."""
    parent = os.getppid()
    addresses = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    engine = addresses[0] if addresses else None
    cancelled = threading.Event()
    server, port = serve(RESOURCES, cancelled, engine, parent if engine is not None else None)
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    sys.stdout = sys.stderr  # a library's output must not look like a port
    if engine is not None:  # otherwise started by hand; an engine attaches to it later
        threading.Thread(target=end_with_parent, args=(server, parent), daemon=True).start()
    server.wait_for_termination()
