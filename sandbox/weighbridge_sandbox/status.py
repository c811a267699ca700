"""What `status` reports: every process, the API, the node, S3; as values first, as text second."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from weighbridge_sandbox import objects, tools
from weighbridge_sandbox.errors import CommandError
from weighbridge_sandbox.layout import LISTENERS, Layout
from weighbridge_sandbox.supervision import RUNNING, ProcessState, Supervision

TAIL_LINES = 5


@dataclass(frozen=True)
class Status:
    """The sandbox now. `state` is `up`, `degraded` or `down`; `unbuilt` names tools that `up` would have to build."""

    state: str
    home: str
    api_ready: bool
    node_ready: bool
    processes: tuple[ProcessState, ...]
    unbuilt: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values, with the addresses listened on."""
        addresses = {name: f"{host}:{port}" for name, (host, port) in LISTENERS.items()}
        return {**asdict(self), "addresses": addresses}


def look(layout: Layout) -> Status:
    """Ask every part; changes nothing."""
    unbuilt = tuple(tool.program for tool in tools.TOOLS if not tools.is_current(layout, tool))
    supervision = Supervision(layout)
    if supervision.pid() is None:
        return Status(
            "down", str(layout.home), api_ready=False, node_ready=False, processes=(), unbuilt=unbuilt
        )
    try:
        processes = tuple(supervision.states(TAIL_LINES).values())
    except CommandError:
        return Status(
            "degraded", str(layout.home), api_ready=False, node_ready=False, processes=(), unbuilt=unbuilt
        )
    api = objects.api_ready(layout)
    node = api and objects.node_ready(layout, datetime.now(UTC) - objects.LEASE_RENEWED_WITHIN)
    return Status(verdict(processes, node_is_ready=node), str(layout.home), api, node, processes, unbuilt)


def verdict(processes: tuple[ProcessState, ...], *, node_is_ready: bool) -> str:
    """`up` if every process runs and the node is ready, else `degraded`."""
    return "up" if node_is_ready and all(p.state == RUNNING for p in processes) else "degraded"


def as_lines(status: Status) -> list[str]:
    """The same for people: a line a process, and for those that do not run their log's last lines."""
    lines = [f"sandbox {status.state}   {status.home}"]
    if status.unbuilt:
        lines.append(f"  `up` would build: {', '.join(status.unbuilt)}")
    for process in status.processes:
        restarted = f"   restarts: {process.restarts}" if process.restarts else ""
        lines.append(f"  {process.name:<24} {process.state:<9} {process.note}{restarted}")
        lines += [f"      | {line}" for line in process.tail]
    if status.processes:
        lines.append(f"  {'API':<24} {'ready' if status.api_ready else 'not ready'}")
        lines.append(f"  {'node':<24} {'ready' if status.node_ready else 'not ready'}")
    return lines
