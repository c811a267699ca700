"""What import-linter's contracts cannot say: no circle of imports, and what starting a verb may import."""

import subprocess
import sys
from pathlib import Path

import grimp
import pytest

from weighbridge.steps import ROOMS, STEPS

SANDBOX = Path(__file__).resolve().parents[2] / "environments/sandbox.yaml"
HEAVY = (
    "ansible",
    "ansible_runner",
    "boto3",
    "botocore",
    "grpc",
    "kubernetes",
    "lightkube",
    "pulumi",
    "rich",
)


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = grimp.build_graph("weighbridge", "weighbridge_stacks", include_external_packages=False)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    waiting = dict(imports)
    while leaves := [module for module, found in waiting.items() if not found & waiting.keys()]:
        for module in leaves:
            del waiting[module]
    assert not waiting, f"in a circle, or behind one: {sorted(waiting)}"


def test_what_a_room_says_without_its_step_is_what_its_step_says() -> None:
    assert [(room.SECTIONS, room.STACK) for room in ROOMS] == [(step.sections, step.stack) for step in STEPS]
    assert [step.name for step in STEPS] == [room.__name__.rpartition(".")[2] for room in ROOMS]


@pytest.mark.parametrize(
    ("what", "code", "heavy"),
    [
        ("the registry of steps", "import weighbridge.steps", HEAVY),
        (
            "--help",
            "from weighbridge.cli import parser; parser().format_help()",
            (*HEAVY, "pydantic", "yaml"),
        ),
        ("check", "from weighbridge.cli import run; run(['check', 'nowhere'])", HEAVY),
        (
            "check of a good file",
            f"from weighbridge.cli import run; assert run(['check', {str(SANDBOX)!r}]) == 0",
            (
                *HEAVY,
                "jinja2",
                "weighbridge.core.step",
                "weighbridge.manifests",
                "weighbridge.steps.weights.step",
            ),
        ),
    ],
)
def test_what_needs_neither_cluster_nor_engine_imports_none(
    what: str, code: str, heavy: tuple[str, ...]
) -> None:
    seen = f"{code}\nimport sys\nprint([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]", what
