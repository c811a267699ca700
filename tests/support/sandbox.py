"""The sandbox that tests run on: started where it is down, by one of however many processes want it at a time."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from weighbridge_sandbox import status
from weighbridge_sandbox.layout import SILENCE, Layout

BIN = Path(sys.executable).parent
STARTED_WITHIN_SECONDS = 3600
"""Its tools may have to be built first."""


def enter_sandbox() -> Layout:
    """Start it unless all of it is up; its tools and credentials become this process's environment.

    ``AssertionError`` with the command's last words on a machine that cannot run it.
    """
    layout = Layout.from_environment()
    with _one_at_a_time(layout):
        found = status.look(layout)
        if found.state != "up" or found.unbuilt:
            _start()
    os.environ["KUBECONFIG"] = str(layout.kubeconfig)
    os.environ["PATH"] = os.pathsep.join([str(layout.bin), str(BIN), os.environ["PATH"]])
    os.environ["SANDBOX_S3_ACCESS_KEY"] = layout.s3_access_key.read_text().strip()
    os.environ["SANDBOX_S3_SECRET_KEY"] = layout.s3_secret_key.read_text().strip()
    os.environ["SANDBOX_PULUMI_PASSPHRASE"] = layout.passphrase.read_text().strip()
    os.environ.update(SILENCE)
    return layout


@contextmanager
def _one_at_a_time(layout: Layout) -> Iterator[None]:
    """The sandbox refuses a second `up` at the same time; the workers of one test run wait for the first instead."""
    layout.home.parent.mkdir(parents=True, exist_ok=True)
    with layout.home.with_name(f"{layout.home.name}.tests").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _start() -> None:
    up = subprocess.run(
        [BIN / "weighbridge-sandbox", "up"],
        capture_output=True,
        text=True,
        check=False,
        timeout=STARTED_WITHIN_SECONDS,
    )
    assert up.returncode == 0, (
        f"weighbridge-sandbox up: exit {up.returncode}\n{up.stdout[-3000:]}\n{up.stderr[-3000:]}"
    )
