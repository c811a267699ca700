"""Writes what is generated from the types: ``python docs/generate.py``; with ``--check`` it only says what is stale (exit 1)."""

# ruff: noqa: INP001  (a script, not a package)

import argparse
import inspect
import io
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.text import Text

from weighbridge import messages
from weighbridge.cli import EPILOG, EXAMPLES, parser, verbs_of
from weighbridge.environment.reference import SCHEMA_ID, configuration_page, json_schema
from weighbridge.steps import SECTIONS

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = 110
STYLES = {"$": "bold", "✓": "green", "✗": "red", "+": "green", "!": "yellow", "▸": "bold cyan", "•": "cyan"}
"""How a line begins, and how it is shown."""
FULL, HEAD, TAIL = 26, 8, 12
"""Lines: what a command printed is shown whole up to the first number, else its beginning and its end."""


def generated() -> dict[Path, str]:
    """Return each generated file and its content."""
    readme = ROOT / "README.md"
    return {
        readme: filled(readme.read_text("utf-8"), passages()),
        ROOT / "docs" / "screen.svg": picture((ROOT / "docs" / "screen.txt").read_text("utf-8")),
        ROOT / "environments" / SCHEMA_ID: json.dumps(json_schema(SECTIONS), indent=2, ensure_ascii=False)
        + "\n",
        ROOT / "docs" / "configuration.md": configuration_page(SECTIONS),
        ROOT / "docs" / "cli.md": cli_page(),
    }


def passages() -> dict[str, str]:
    """Return what README repeats: the marker's name and the text below it."""
    example = (ROOT / "environments" / "example.yaml").read_text("utf-8")
    codes = [line.split(maxsplit=1) for line in EPILOG.splitlines()[1:] if line.startswith("  ")]
    table = ["| code | meaning |", "|---|---|", *(f"| {code} | {meaning} |" for code, meaning in codes)]
    return {
        "environments/example.yaml": f"```yaml\n{example}```\n",
        "exit codes": "\n".join(table) + "\n",
    }


def filled(text: str, passages: Mapping[str, str]) -> str:
    """Put each passage between its marker and the next end. ``ValueError`` where a marker is missing."""
    for name, passage in passages.items():
        before, marker, rest = text.partition(f"<!-- generated: {name} -->\n")
        _, end, after = rest.partition("<!-- end -->")
        if not end:
            raise ValueError(f"README.md has no marker {name!r} with an end")
        text = f"{before}{marker}{passage}{end}{after}"
    return text


def picture(run: str) -> str:
    """Draw a recorded run (``docs/record.py``) as a terminal's window. Fonts are the reader's own: nothing is fetched."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    for command in re.split(r"^(?=\$ )", run, flags=re.MULTILINE):
        lines = command.splitlines()
        for line in lines if len(lines) <= FULL else [*lines[:HEAD], "…", *lines[-TAIL:]]:
            style = next((style for mark, style in STYLES.items() if line.lstrip().startswith(mark)), "")
            console.print(Text(line, style), no_wrap=True, overflow="ellipsis")
    drawn = console.export_svg(title="weighbridge", unique_id="screen")
    drawn = re.sub(r"\s*@font-face \{.*?\}", "", drawn, flags=re.DOTALL)
    return re.sub(r"[ \t]+$", "", drawn, flags=re.MULTILINE).rstrip() + "\n"


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
