"""The registry of sources: light to import, and whole."""

import subprocess
import sys

import pytest

from weighbridge.environment.base import Route
from weighbridge.environment.types import Source
from weighbridge.mover.sources import SOURCES as MOVERS
from weighbridge.sources import SOURCES

HEAVY = ("ansible", "boto3", "botocore", "grpc", "lightkube", "pulumi")


@pytest.mark.parametrize("module", ["weighbridge.sources", "weighbridge.environment.file"])
def test_reading_an_environment_file_imports_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*({set(HEAVY)!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("kind", SOURCES)
def test_every_kind_is_a_key_of_the_file_and_can_come_somehow(kind: str) -> None:
    source = SOURCES[kind]
    assert kind == source.kind
    assert kind in Source.model_fields
    assert source.routes
    assert Route.FETCH not in source.routes or kind in MOVERS


def test_the_movers_kinds_can_all_be_ordered() -> None:
    assert set(MOVERS) <= set(SOURCES)
