"""Why a text is not YAML, in words for somebody who writes an environment file once a month.

Takes the reader's terse problem ("mapping values are not allowed here") and the line, and says what is usually meant.
Quotes nothing of the text: where it does not parse, what is a secret cannot be told.
"""

import re


def explain_syntax(problem: str, context: str, text: str, line: int) -> tuple[str, str]:
    """Return what is wrong and what to do, for the problem that PyYAML's scanner or parser reports at ``line`` (1-based)."""
    lines = text.splitlines()
    here = lines[line - 1] if 0 < line <= len(lines) else ""
    before = next(
        (lines[number] for number in range(min(line - 1, len(lines)) - 1, -1, -1) if lines[number].strip()),
        "",
    )
    if "\\t" in problem or re.match(r" *\t", here):
        return "a tab stands here; YAML indents with spaces only", "replace the tab by spaces"
    found = ((what, remedy) for pattern, what, remedy in _PROBLEMS if re.search(pattern, problem))
    what, remedy = next(found, ("this is not YAML", "compare with environments/example.yaml"))
    if "mapping values" in problem and _opens_item(before) and _indent(here) > _indent(before) + 2:
        column = _indent(before) + 3
        what = "this key is indented further than the first key of its list item"
        remedy = f"start it in column {column}, under that key"
    elif "flow" in context and "expected" in problem:
        what = "a bracket is not closed, or a comma is missing"
        remedy = "close it on this line or the one above; a text with , : { } [ ] in it needs quotes"
    return what, remedy


def _opens_item(line: str) -> bool:
    return re.match(r"\s*-\s+[\w.-]+\s*:\s*\S", line) is not None


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


_PROBLEMS: tuple[tuple[str, str, str], ...] = (
    (
        r"mapping values are not allowed",
        "a key stands where none can: wrong indentation, or a colon in a text without quotes",
        "line it up with its neighbours, or put the text in quotes",
    ),
    (
        r"could not find expected ':'",
        "a key without its colon, or a text that runs into the next line",
        "write key: value, and quotes around a text over several lines",
    ),
    (
        r"expected <block end>",
        "this line is indented unlike its neighbours",
        "line it up with the keys of its level",
    ),
    (
        r"expected ',' or",
        "a bracket is not closed, or a comma is missing",
        "close it; a text with , : { } [ ] in it needs quotes",
    ),
    (r"found unexpected end of stream", "the quote or bracket that opens here is never closed", "close it"),
    (
        r"found unexpected document separator",
        "a quote or bracket is never closed",
        "close it before the document ends",
    ),
    (
        r"found unknown escape|expected escape sequence",
        "a backslash in double quotes starts an escape that YAML does not know",
        "use single quotes",
    ),
    (r"cannot start any token", "a text cannot start with this character", "put the text in quotes"),
    (
        r"expected '<document start>'",
        "text follows after the document's end",
        "write one document a file, without a line of three dots",
    ),
    (
        r"tag",
        "a tag (!…) stands here; an environment file has none",
        "write the value without its tag",
    ),
    (
        r"block (sequence|collection|mapping)|sequence entries are not allowed",
        "a list item stands where none can",
        "start it on a line of its own, indented under its key",
    ),
    (
        r"alphabetic or numeric character",
        "an anchor (&) or alias (*) without a name, or a text that starts with & or *",
        "put the text in quotes",
    ),
    (
        r"directive|version",
        "a line starting with % is a YAML directive; this one is wrong",
        "remove the line, or put the text in quotes",
    ),
    (
        r"indentation indicator|expected a comment or a line break|chomping",
        "after | or > only an indentation digit, + or - may follow",
        "start the text on the next line",
    ),
)
