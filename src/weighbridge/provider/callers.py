"""Who may call our provider: the engine that started it, and no other process on this machine.

Pulumi's engine reaches a plugin over a port of the loopback interface and has no token for it, so any local process
could ask it to write with our login. The kernel knows which process holds the other end of a connection
(``/proc/net/tcp`` and ``tcp6``, proc(5)). If the kernel cannot be asked (not Linux), everybody is answered, as by any
other plugin.
"""

import contextlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import grpc

_PROC: Final = Path("/proc")
_PEER: Final = re.compile(r"ipv4:127\.0\.0\.1:(\d+)")
_LOOPBACK: Final = "(?:0100007F|0000000000000000FFFF00000100007F)"
"""127.0.0.1 in ``/proc/net``, for an IPv4 socket and for an IPv6 socket that speaks IPv4."""
_ROW: Final = r"(?m)^ *\d+: {near} {far} (?:\S+ ){{4}} *(\d+) +\d+ (\d+)"
"""A row of ``/proc/net/tcp`` for both ends of a connection: user and inode. The kernel gives one local port to
several connections with different other ends, and shows ended connections for a minute.
"""


class EngineOnly(grpc.ServerInterceptor):  # type: ignore[misc]  # gRPC's runtime carries no types
    """``engine``: the process that may call; ``None``: any process of this user, for a provider that was started by
    hand. ``port``: our own port, to be set before the server starts.
    """

    def __init__(self, engine: int | None, proc: Path = _PROC) -> None:
        self.port = 0
        self._engine = engine
        self._proc = proc

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        handler = continuation(details)
        if handler is None or handler.unary_unary is None:
            return handler
        answer = handler.unary_unary

        def guarded(request: Any, context: Any) -> Any:
            if not is_caller(context.peer(), self.port, self._engine, self._proc):
                context.abort(
                    grpc.StatusCode.PERMISSION_DENIED,
                    "this provider answers the engine that started it, and nobody else",
                )
            return answer(request, context)

        return grpc.unary_unary_rpc_method_handler(
            guarded,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


def is_caller(peer: str, port: int, engine: int | None, proc: Path = _PROC) -> bool:
    """Return whether process ``engine`` holds ``peer`` (gRPC's name for the other end of a connection to our
    ``port``); if it is ``None``, whether this user holds it.
    """
    table = _table(proc)
    if table is None:
        return True
    found = _PEER.fullmatch(peer)
    if found is None:
        return False
    near, far = (f"{_LOOPBACK}:{number:04X}" for number in (int(found[1]), port))
    row = re.search(_ROW.format(near=near, far=far), table)
    if row is None or int(row[1]) != os.geteuid():
        return False
    return engine is None or _holds(proc / str(engine) / "fd", f"socket:[{row[2]}]")


def _table(proc: Path) -> str | None:
    try:
        found = (proc / "net" / "tcp").read_text(encoding="ascii")
    except OSError:
        return None
    with contextlib.suppress(OSError):  # a kernel without IPv6
        found += (proc / "net" / "tcp6").read_text(encoding="ascii")
    return found


def _holds(descriptors: Path, socket: str) -> bool:
    """Return whether the process holds the socket. A process whose descriptors may not be read (another user's, or
    one that is not dumpable) counts as the engine: it cannot be told from it.
    """
    try:
        entries = list(descriptors.iterdir())
    except FileNotFoundError:
        return False
    except OSError:
        return True
    for entry in entries:
        try:
            if entry.readlink().name == socket or str(entry.readlink()) == socket:
                return True
        except OSError:
            continue
    return False
