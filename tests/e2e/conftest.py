"""The sandbox for end-to-end tests: started where it is down, one operands namespace for each module."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.estate import Estate
from weighbridge_sandbox.layout import Layout
from weighbridge_sandbox.tenancy import create_operands, delete_operands


@pytest.fixture(scope="session")
def sandbox() -> Layout:
    """The running sandbox; its environment becomes this process's. A machine that cannot run it fails here, and says why."""
    program = Path(sys.executable).parent / "weighbridge-sandbox"
    up = subprocess.run([program, "up"], capture_output=True, text=True, check=False, timeout=3600)
    if up.returncode != 0:
        pytest.fail(f"weighbridge-sandbox up: exit {up.returncode}\n{up.stdout[-3000:]}\n{up.stderr[-3000:]}")
    layout = Layout.from_environment()
    os.environ["KUBECONFIG"] = str(layout.kubeconfig)
    os.environ["PATH"] = (
        f"{layout.bin}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    )
    os.environ["SANDBOX_S3_ACCESS_KEY"] = layout.s3_access_key.read_text().strip()
    os.environ["SANDBOX_S3_SECRET_KEY"] = layout.s3_secret_key.read_text().strip()
    os.environ["SANDBOX_PULUMI_PASSPHRASE"] = layout.passphrase.read_text().strip()
    return layout


@pytest.fixture(scope="module")
def estate(
    sandbox: Layout, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Estate]:
    """An operands namespace of its own with two other teams' models, a bucket folder with models, an environment file."""
    name = f"e2e-{Path(str(request.module.__file__)).stem.removeprefix('test_').replace('_', '-')[:20]}-{os.getpid() % 10000}"
    create_operands(name)
    made = Estate(name=name, layout=sandbox, folder=tmp_path_factory.mktemp(name))
    try:
        made.fill()
        yield made
    finally:
        made.empty()
        made.kube.close()
        made.s3.close()
        delete_operands(name)
