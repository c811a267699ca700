"""The plugin as a process: what it prints, how long it takes, when it ends."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.engine import Failure
from support.plugin import PROGRAM, started


def test_standard_output_is_the_port_and_nothing_else(tmp_path: Path) -> None:
    nowhere = {"KUBECONFIG": str(tmp_path / "none")}
    with started(nowhere) as plugin:
        assert plugin.port_line.strip().isdecimal()
        inputs = {
            "namespace": "n",
            "customResource": "c",
            "environment": "e",
            "clusterUid": "u",
            "entries": {},
        }
        with pytest.raises(Failure, match="weighbridge 3 cluster-config"):
            plugin.engine.check({**inputs, "context": None})
        with pytest.raises(Failure, match="weighbridge 3 cluster-config"):
            plugin.engine.check({**inputs, "context": "here"})
        plugin.process.kill()
        assert plugin.process.stdout is not None
        assert plugin.process.stdout.read() == ""


def test_what_reaches_the_cluster_knows_no_step() -> None:
    code = "import sys, weighbridge.provider.resources.registrations, weighbridge.kubernetes.client, weighbridge.denied; print(*sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"pydantic", "jinja2", "weighbridge.steps", "weighbridge.permissions"} & set(told)


def test_the_port_is_out_before_anything_heavy_is_imported() -> None:
    code = (
        "import sys; from weighbridge.provider.main import without_sdk; without_sdk();"
        "import weighbridge.provider.serving; print(*sorted(sys.modules))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "pulumi.runtime.proto.provider_pb2" in told
    assert "pulumi.resource" not in told, "the SDK is not run, for its messages alone"
    assert not {"lightkube", "httpx2", "pydantic", "boto3", "kubernetes", "pulumi_kubernetes"} & set(told)
    assert "weighbridge.provider.resources.registrations" not in told, (
        "a type's module waits until it is asked for"
    )


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes through /proc")
def test_it_ends_with_the_engine_however_that_ends(tmp_path: Path) -> None:
    script = tmp_path / "engine.py"
    script.write_text(
        "import subprocess, sys, time\n"
        f"plugin = subprocess.Popen([{str(PROGRAM)!r}, '127.0.0.1:9'], stdout=subprocess.PIPE, text=True)\n"
        "plugin.stdout.readline()\n"
        "print(plugin.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as engine:
        assert engine.stdout is not None
        plugin = int(engine.stdout.readline())
        engine.send_signal(signal.SIGKILL)
    try:
        deadline = time.monotonic() + 10
        while _alive(plugin) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not _alive(plugin)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(plugin, signal.SIGKILL)


def _alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
