"""The bridge that pods hang on, whose address is this machine's end: S3 listens there."""

import json

from weighbridge_sandbox.commands import run
from weighbridge_sandbox.layout import BRIDGE, GATEWAY, POD_SUBNET, Layout

# A bridge takes its lowest port's address unless it has one; a changing address would cost pods a few seconds of ARP.
BRIDGE_ADDRESS = "02:5b:0a:d5:4d:01"


def owner() -> str | None:
    """The folder of the sandbox whose bridge is there, '' if it is somebody else's, None if there is no bridge."""
    shown = run(["ip", "-json", "link", "show", BRIDGE], check=False)
    if shown.returncode != 0:
        return None
    return str(json.loads(shown.stdout)[0].get("ifalias", ""))


def create(layout: Layout) -> None:
    """Make the bridge if it is not there; addressed, up, and marked as this folder's."""
    if owner() is None:
        run(["ip", "link", "add", BRIDGE, "address", BRIDGE_ADDRESS, "type", "bridge"])
    run(["ip", "link", "set", BRIDGE, "alias", str(layout.home)])
    run(["ip", "address", "replace", f"{GATEWAY}/{POD_SUBNET.split('/')[1]}", "dev", BRIDGE])
    run(["ip", "link", "set", BRIDGE, "up"])


def remove(layout: Layout) -> None:
    """Remove the bridge if it is this folder's."""
    if owner() == str(layout.home):
        run(["ip", "link", "delete", BRIDGE])


def clashing_route(routes: str) -> str | None:
    """The line of `ip -4 route` that already leads to our subnet over another device, if there is one."""
    prefix = POD_SUBNET.rsplit(".", 1)[0] + "."
    for line in routes.splitlines():
        if line.startswith(prefix) and f"dev {BRIDGE}" not in line:
            return line.strip()
    return None
