"""Bad environment files and what is said of them: ``tests/cases/environment/NAME.yaml`` and its ``NAME.expected``."""

from pathlib import Path

import pytest

from weighbridge.environment.file import examine
from weighbridge.environment.tree import Finding, dotted

CASES = Path(__file__).parents[2] / "cases" / "environment"


def rendered(finding: Finding) -> str:
    kind = "warning" if finding.warning else "error"
    place = f"{finding.spot.line}:{finding.spot.column} {dotted(finding.path)}".rstrip()
    return f"{place}: {kind} {finding.code}: {finding.what}\n  → {finding.remedy}\n"


@pytest.mark.parametrize("path", sorted(CASES.glob("*.yaml")), ids=lambda path: str(path.stem))
def test_a_file_is_answered_as_expected(path: Path) -> None:
    said = "".join(rendered(finding) for finding in examine(path.read_text("utf-8")))
    assert said == path.with_suffix(".expected").read_text("utf-8")


def test_every_case_has_its_answer_and_every_answer_its_case() -> None:
    assert {path.stem for path in CASES.glob("*.yaml")} == {path.stem for path in CASES.glob("*.expected")}
