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
    links = re.findall(r"\]\(([^)#\s]*)(?:#([^)]*))?\)", page.read_text("utf-8"))
    for link, heading in links:
        if "://" not in link:
            leads = page.parent / link if link else page
            assert leads.exists(), link
            assert not heading or heading in headings(leads), f"{link}#{heading}"


def headings(page: Path) -> set[str]:
    """As the usual hosts name them: lower case, hyphens for spaces, no punctuation."""
    found = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in found}


def test_the_example_of_the_readme_passes_the_check_without_a_warning() -> None:
    assert load("example", ROOT / "environments", SECTIONS).warnings == ()


def test_the_picture_asks_nobody_for_a_font() -> None:
    assert "url(" not in re.sub(r"url\(#[\w-]+\)", "", (ROOT / "docs" / "screen.svg").read_text("utf-8"))
