"""The sandbox that trials are run on."""

import os
import subprocess
import sys
from pathlib import Path

from weighbridge_sandbox import status
from weighbridge_sandbox.commands import wait_until
from weighbridge_sandbox.layout import Layout

HEALTHY_WITHIN_SECONDS = 120


def enter_sandbox() -> Layout:
    """Start it where it is down; its tools and credentials become this process's environment."""
    programs = Path(sys.executable).parent
    subprocess.run([programs / "weighbridge-sandbox", "up"], check=True, timeout=3600)
    layout = Layout.from_environment()
    os.environ["KUBECONFIG"] = str(layout.kubeconfig)
    os.environ["PATH"] = os.pathsep.join([str(layout.bin), str(programs), os.environ["PATH"]])
    os.environ["SANDBOX_S3_ACCESS_KEY"] = layout.s3_access_key.read_text().strip()
    os.environ["SANDBOX_S3_SECRET_KEY"] = layout.s3_secret_key.read_text().strip()
    os.environ["SANDBOX_PULUMI_PASSPHRASE"] = layout.passphrase.read_text().strip()
    return layout


def await_health(layout: Layout) -> None:
    """Return when every process runs, the API answers and the node is ready. ``NotReadyError`` after a while."""
    wait_until("The sandbox", lambda: status.look(layout).state == "up", timeout_s=HEALTHY_WITHIN_SECONDS)
