"""The sandbox that trials are run on."""

from weighbridge_sandbox import status
from weighbridge_sandbox.commands import wait_until
from weighbridge_sandbox.layout import Layout

HEALTHY_WITHIN_SECONDS = 120


def await_health(layout: Layout) -> None:
    """Return when every process runs, the API answers and the node is ready. ``NotReadyError`` after a while."""
    wait_until("The sandbox", lambda: status.look(layout).state == "up", timeout_s=HEALTHY_WITHIN_SECONDS)
