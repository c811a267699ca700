"""A tenant of the sandbox for end-to-end tests: one operands namespace for each module."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.estate import Estate
from weighbridge_sandbox.layout import Layout
from weighbridge_sandbox.tenancy import create_operands, delete_operands


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
