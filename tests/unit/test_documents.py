"""What documents promise of the repository itself: links lead somewhere, and the example is one that may be copied."""

import re
from pathlib import Path

import pytest

from weighbridge.environment.file import load
from weighbridge.steps import SECTIONS

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(path for pattern in ("*.md", "docs/**/*.md", "sandbox/*.md") for path in ROOT.glob(pattern))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_within_the_repository_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    inside = [link for link in links if "://" not in link]
    assert [link for link in inside if not (page.parent / link).exists()] == []


def test_the_example_of_the_readme_passes_the_check_without_a_warning() -> None:
    assert load("example", ROOT / "environments", SECTIONS).warnings == ()


def test_the_picture_asks_nobody_for_a_font() -> None:
    assert "url(" not in re.sub(r"url\(#[\w-]+\)", "", (ROOT / "docs" / "screen.svg").read_text("utf-8"))
