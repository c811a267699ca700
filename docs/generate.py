"""Writes what is generated from the types: ``python docs/generate.py``; with ``--check`` it only says what is stale (exit 1)."""

# ruff: noqa: INP001  (a script, not a package)

import argparse
import inspect
import json
import sys
from pathlib import Path

from weighbridge import messages
from weighbridge.cli import EPILOG, EXAMPLES, parser, verbs_of
from weighbridge.environment.reference import SCHEMA_ID, configuration_page, json_schema
from weighbridge.steps import SECTIONS

ROOT = Path(__file__).resolve().parent.parent


def generated() -> dict[Path, str]:
    """Return each generated file and its content."""
    return {
        ROOT / "environments" / SCHEMA_ID: json.dumps(json_schema(SECTIONS), indent=2, ensure_ascii=False)
        + "\n",
        ROOT / "docs" / "configuration.md": configuration_page(SECTIONS),
        ROOT / "docs" / "cli.md": cli_page(),
    }


def cli_page() -> str:
    """Return the command line's reference: verbs and options from its parser, messages from their docstrings."""
    lines = [
        "# The command line",
        "",
        "Generated from the parser and the messages' docstrings; `make generate` writes it anew.",
        "",
    ]
    for name, verb in verbs_of(parser()).items():
        lines += [
            f"## weighbridge {name} ENV",
            "",
            str(verb.description),
            "",
            "```sh",
            *EXAMPLES[name],
            "```",
            "",
            "| option | meaning |",
            "|---|---|",
        ]
        for action in verb._actions:  # noqa: SLF001 - argparse has no other way
            if action.option_strings and "--help" not in action.option_strings:
                value = f" {action.metavar}" if action.metavar else ""
                meaning = argparse.HelpFormatter("")._expand_help(action)  # noqa: SLF001 - likewise
                lines.append(f"| `{', '.join(action.option_strings)}{value}` | {meaning} |")
        lines.append("")
    lines += ["## Exit codes", "", "```text", EPILOG.strip(), "```", "", "## Messages of `--json`", ""]
    lines += [
        "One object on standard output; progress as JSON lines on standard error, with the fields of `core/events.py`.",
        "",
    ]
    for name, function in vars(messages).items():
        if name.endswith("_message"):
            lines.append(f"- {inspect.getdoc(function)}")
    return "\n".join(lines) + "\n"


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
