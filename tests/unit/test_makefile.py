"""``make help`` lists what there is."""

import re
import subprocess
from pathlib import Path

from weighbridge.cli import parser, verbs_of

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()


def listed() -> dict[str, str]:
    """Target → what it is for, as `make help` prints them."""
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    rows = re.findall(r"^  (\S+) +(\S.*)$", said, re.MULTILINE)
    assert len(rows) == len(dict(rows)), "a target twice"
    return dict(rows)


def test_every_target_is_listed_with_what_it_is_for() -> None:
    heads = re.findall(r"^([a-z][a-z -]*):(?!=)", MAKEFILE, re.MULTILINE)
    targets = {name for head in heads for name in head.split()}
    [phony] = re.findall(r"^\.PHONY: ((?:.*\\\n)*.*)$", MAKEFILE, re.MULTILINE)
    assert set(phony.replace("\\\n", " ").split()) == targets
    assert set(listed()) == targets


def test_every_verb_is_a_target() -> None:
    assert set(verbs_of(parser())) <= set(listed())
