"""``pulumi-resource-weighbridge``: the process that Pulumi's engine starts, once or twice a command.

Its standard output is the port and nothing else. What needs time to import (the Kubernetes client) waits until the
engine asks for it, and the process ends with the engine, however that ends.
"""

import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

from weighbridge.provider.resources.registration_inputs import Connection
from weighbridge.provider.resources.registrations import Cluster, Registry
from weighbridge.provider.server import CancelledClock, Connect, Provider

if TYPE_CHECKING:
    from weighbridge.kubernetes.client import Kube

_THREADS: Final = 16
_MESSAGE_BYTES: Final = 400 * 1024 * 1024  # Pulumi's own limit (pulumi/sdk, rpcutil)
_GRACE_SECONDS: Final = 5.0
_TOKEN: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


@dataclass(frozen=True, slots=True)
class _RealCluster:
    kube: "Kube"
    clock: CancelledClock
    write_seconds: float

    @property
    def where(self) -> str:
        return self.kube.where

    def identity(self) -> str:
        return _identity(self.kube)

    def registry(self, namespace: str, name: str, environment: str) -> Registry:
        from weighbridge.watsonx.registry import Limits, WatsonxRegistry  # noqa: PLC0415  after the port is out

        limits = Limits(write=self.write_seconds) if self.write_seconds else Limits()
        return WatsonxRegistry(self.kube, namespace, name, environment, limits=limits, clock=self.clock)


@lru_cache
def _kube(connection: Connection) -> "Kube":
    from weighbridge.kubernetes.client import connect  # noqa: PLC0415  after the port is out

    return connect(context=connection.context, in_cluster=connection.in_cluster or _in_a_pod(connection))


def _in_a_pod(connection: Connection) -> bool:
    """No context is named and there is no kubeconfig, but a service account: what kubectl does then."""
    named = os.environ.get("KUBECONFIG") or Path("~/.kube/config").expanduser().is_file()
    return connection.context is None and not named and _TOKEN.is_file()


@lru_cache
def _identity(kube: "Kube") -> str:
    return kube.identity()


def _connector(clock: CancelledClock) -> Connect:
    def connect(connection: Connection, write_seconds: float) -> Cluster:
        return _RealCluster(_kube(connection), clock, write_seconds)

    return connect


def serve(connect: Connect, cancelled: threading.Event, engine: str | None) -> tuple[grpc.Server, int]:
    """A started server on this machine alone, and its port."""
    options = [
        ("grpc.max_receive_message_length", _MESSAGE_BYTES),
        ("grpc.max_send_message_length", _MESSAGE_BYTES),
    ]
    server = grpc.server(ThreadPoolExecutor(_THREADS), options=options)
    provider = Provider(connect, cancelled, version=version("weighbridge"), engine=engine)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def end_with_parent(server: grpc.Server, parent: int) -> None:
    """Stop as soon as ``parent`` is no longer our parent.

    Looking is the portable way, and the sound one: Linux's PR_SET_PDEATHSIG follows the parent's thread, and the
    engine's threads come and go.
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
    server, port = serve(_connector(CancelledClock(cancelled, time.monotonic)), cancelled, engine)
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    sys.stdout = sys.stderr  # whatever a library prints must not look like a port
    if engine is not None:  # otherwise started by hand, for an engine that attaches to it
        threading.Thread(target=end_with_parent, args=(server, parent), daemon=True).start()
    server.wait_for_termination()
