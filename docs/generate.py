"""Writes what is generated from the types: ``python docs/generate.py``; with ``--check`` it only says what is stale (exit 1)."""

# ruff: noqa: INP001  (a script, not a package)

import argparse
import json
import sys
from pathlib import Path

from weighbridge.domain.environment_reference import SCHEMA_ID, configuration_page, json_schema

ROOT = Path(__file__).resolve().parent.parent


def generated() -> dict[Path, str]:
    """Return each generated file and its content."""
    return {
        ROOT / "environments" / SCHEMA_ID: json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n",
        ROOT / "docs" / "configuration.md": configuration_page(),
    }


def main() -> int:
    """Write or compare; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is stale")
    check = parser.parse_args().check
    stale = [
        path for path, text in generated().items() if not path.is_file() or path.read_text("utf-8") != text
    ]
    for path in stale:
        if not check:
            path.write_text(generated()[path], "utf-8")
        sys.stderr.write(f"{'stale' if check else 'written'}: {path.relative_to(ROOT)}\n")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
