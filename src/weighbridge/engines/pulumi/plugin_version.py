"""``python -m weighbridge.engines.pulumi.plugin_version PROGRAM``: print the version that a Pulumi plugin reports.

This is a process of its own, because gRPC's threads do not belong in a process that starts others. Plugins have no
``--version``: they print a port, and answer ``GetPluginInfo`` there (``pulumirpc.ResourceProvider``).
"""

import contextlib
import json
import signal
import subprocess
import sys
from typing import NoReturn

SECONDS = 15
"""For everything here. Whoever started this process waits longer."""


def _end(_signal: int, _frame: object) -> NoReturn:
    raise TimeoutError


def main() -> int:
    """Print the version, or fail."""
    import grpc  # noqa: PLC0415 - in this process only
    from google.protobuf.empty_pb2 import Empty  # noqa: PLC0415
    from pulumi.runtime.proto import provider_pb2_grpc  # noqa: PLC0415

    for number in (signal.SIGALRM, signal.SIGTERM):
        signal.signal(number, _end)  # so that the plugin ends with this process
    signal.alarm(SECONDS)
    with subprocess.Popen(
        sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as plugin:
        try:
            port = (plugin.stdout.readline() if plugin.stdout else "").strip()
            if not port.isdigit():
                return 1
            with contextlib.closing(grpc.insecure_channel(f"127.0.0.1:{port}")) as channel:
                provider = provider_pb2_grpc.ResourceProviderStub(channel)
                found = provider.GetPluginInfo(Empty(), timeout=SECONDS)
            sys.stdout.write(json.dumps({"version": found.version}))
        finally:
            plugin.kill()
    return 0


if __name__ == "__main__":
    sys.exit(main())
