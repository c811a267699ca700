"""Talking to supervisord, the process manager: start it, ask it, stop it."""

import http.client
import re
import socket
import sys
import xmlrpc.client
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import psutil

from weighbridge_sandbox.commands import run, wait_until
from weighbridge_sandbox.errors import CommandError
from weighbridge_sandbox.layout import Layout

RUNNING = "RUNNING"
LONGEST_STOP_S = 60


@dataclass(frozen=True)
class ProcessState:
    """One process as the manager sees it. `restarts` counts from the manager's start; `tail` is its log's end."""

    name: str
    state: str
    pid: int
    restarts: int
    note: str
    tail: tuple[str, ...]


class _SocketConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class _SocketTransport(xmlrpc.client.Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        if self._connection[0] != host:
            self._connection = host, _SocketConnection(self._path)  # where `close` looks for it
        return cast("http.client.HTTPConnection", self._connection[1])


def restarts(log: str) -> dict[str, int]:
    """How often each process was started again, read from supervisord's log since its own last start."""
    latest = log.rpartition("supervisord started with pid")[2]
    counts: dict[str, int] = {}
    for name in re.findall(r"INFO spawned: '([^']+)'", latest):
        counts[name] = counts.get(name, -1) + 1
    return counts


def last_lines(path: Path, count: int) -> tuple[str, ...]:
    """The last `count` lines of a log, none if it is not there. Reads 16 KiB at most."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - 16384))
            return tuple(stream.read().decode(errors="replace").splitlines()[-count:] if count else ())
    except FileNotFoundError:
        return ()


class Supervision:
    """supervisord over its socket. Raises CommandError where it answers with a fault."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def pid(self) -> int | None:
        """The process of supervisord itself, if it runs."""
        try:
            number = int((self._layout.supervisor / "supervisord.pid").read_text())
            command = psutil.Process(number).cmdline()
        except (OSError, ValueError, psutil.Error):
            return None
        return number if str(self._layout.supervisor / "supervisord.conf") in command else None

    def start(self) -> None:
        """Start supervisord as a daemon and wait for its answer."""
        configuration = self._layout.supervisor / "supervisord.conf"
        self._layout.supervisor_socket.unlink(missing_ok=True)
        # An empty environment: proxies, ETCD_* or VGW_* variables of the caller's shell would change what runs.
        run([sys.executable, "-m", "supervisor.supervisord", "-c", configuration], env={})
        wait_until("The process manager", self._answers, timeout_s=20)

    def begin(self, name: str) -> bool:
        """Start one process unless it runs; returns whether it was started."""
        if self.states()[name].state in {RUNNING, "STARTING"}:
            return False
        with self._server() as server:
            server.supervisor.startProcess(name, False)  # noqa: FBT003 - XML-RPC knows no names
        return True

    def states(self, lines: int = 0) -> dict[str, ProcessState]:
        """Every process; with the last `lines` of the log of those that do not run."""
        log = self._layout.supervisor / "supervisord.log"
        counts = restarts(log.read_text(errors="replace") if log.exists() else "")
        with self._server() as server:
            answers = cast("list[dict[str, str | int]]", server.supervisor.getAllProcessInfo())
        found = {}
        for answer in answers:
            name, state = str(answer["name"]), str(answer["statename"])
            tail = () if state == RUNNING else last_lines(self._layout.logs / f"{name}.log", lines)
            note = str(answer["spawnerr"]) or str(answer["description"])
            found[name] = ProcessState(name, state, int(answer["pid"]), counts.get(name, 0), note, tail)
        return found

    def stop(self) -> tuple[psutil.Process, ...]:
        """Stop supervisord and with it all that it started; returns what ran before."""
        pid = self.pid()
        if pid is None:
            return ()
        process = psutil.Process(pid)
        family = (process, *process.children(recursive=True))
        process.terminate()
        try:
            process.wait(timeout=LONGEST_STOP_S)
        except psutil.TimeoutExpired:
            process.kill()  # its children are killed with it
        psutil.wait_procs(family, timeout=10)
        return family

    def _answers(self) -> bool:
        try:
            self.states()
        except CommandError:
            return False
        return True

    @contextmanager
    def _server(self) -> Iterator[xmlrpc.client.ServerProxy]:
        transport = _SocketTransport(self._layout.supervisor_socket)
        try:
            with xmlrpc.client.ServerProxy("http://localhost", transport=transport) as server:
                yield server
        except (OSError, http.client.HTTPException, xmlrpc.client.Error) as error:
            raise CommandError(f"The process manager did not answer as it should: {error}") from error
