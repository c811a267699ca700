"""The registry of sources: light to import, and each heavy library in one room."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import weighbridge
from weighbridge.environment.base import Route
from weighbridge.environment.types import Source
from weighbridge.mover.sources import SOURCES as MOVERS
from weighbridge.sources import SOURCES

ROOT = Path(weighbridge.__file__).parent
HEAVY = ("ansible", "boto3", "botocore", "grpc", "lightkube", "pulumi")


@pytest.mark.parametrize("module", ["weighbridge.sources", "weighbridge.environment.file"])
def test_reading_an_environment_file_imports_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*({set(HEAVY)!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def imported(file: Path) -> Iterator[str]:
    """Top-level packages that a module imports, wherever in its text."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_s3s_library_is_imported_in_its_room_alone() -> None:
    users = {
        str(file.relative_to(ROOT).parent)
        for file in ROOT.rglob("*.py")
        if {"boto3", "botocore"} & set(imported(file))
    }
    assert users == {"s3"}


@pytest.mark.parametrize("kind", SOURCES)
def test_every_kind_is_a_key_of_the_file_and_can_come_somehow(kind: str) -> None:
    source = SOURCES[kind]
    assert kind == source.kind
    assert kind in Source.model_fields
    assert source.routes
    assert Route.FETCH not in source.routes or kind in MOVERS


def test_the_movers_kinds_can_all_be_ordered() -> None:
    assert set(MOVERS) <= set(SOURCES)
