"""Generated mutations of the sandbox's file: every key and every value, each wrong in several ways; and random edits."""

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.environment_texts import SANDBOX, TreePath, places, renamed, replaced
from weighbridge.environment.file import excerpt, load
from weighbridge.errors import InputErrors

STRANGERS: tuple[Any, ...] = (
    None,
    "",
    "?!",
    7,
    7.5,
    -1,
    True,
    [],
    {},
    ["x", 1],
    {"unheard": "of"},
    [[]],
    "x" * 5000,
    "a\nb",
    " a",
    "é",
)
TEXT_THAT_IS_TEXT = ("?!", "é")


def is_valid_here(path: TreePath, value: Any) -> bool:
    """The few strangers that are right after all."""
    match path:
        case ("cluster", "context") | ("models", _, "tags", _):
            return value in TEXT_THAT_IS_TEXT
        case ("models", _, "tags"):
            return bool(value == [])
        case ("models", _, "source", "s3", "prefix"):
            return bool(value == "")
        case ("models", _, "parameters"):
            return bool(value == {})
        case ("models", _, "parameters", "max_batch_size", "min"):
            return bool(value == 7)
        case _:
            return False


def mutations() -> Iterator[tuple[str, str]]:
    tree = yaml.safe_load(SANDBOX)
    for path in places(tree):
        name = ".".join(str(part) for part in path)
        for number, stranger in enumerate(STRANGERS):
            if not is_valid_here(path, stranger):
                yield f"{name} = stranger {number}", replaced(path, stranger)
        key = path[-1]
        if isinstance(key, str):
            for other in (f"{key}x", key[1:], key.upper(), key.replace("_", "-") + "-", f"{key}_"):
                yield f"{name} renamed {other}", renamed(path, other)


def fault_of(text: str, folder: Path) -> str | None:
    """Return what is wrong with the answer to a file that is wrong, or None."""
    path = folder / "sandbox.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        load(str(path), folder)
    except InputErrors as refused:
        errors = refused.errors
    else:
        return "taken"
    for error in errors:
        if "docs/configuration.md" in str(error):
            return f"found by the types alone, without a line: {error}"
        if error.exit_code != 2 or error.place is None or not error.place.line or not error.remedy:
            return f"no line or remedy: {error}"
        if not error.place.key and error.code not in {
            "yaml-syntax",
            "wrong-type",
            "duplicate-key",
            "empty-file",
            "not-utf-8",
        }:
            return f"no key: {error}"
        excerpt(error)
    return None


# Every fifth meets every key and, from one key to the next, every stranger; all of them are for the night.
@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.nightly)])
def test_every_mutation_is_refused_with_its_line_and_key(
    tmp_path: Path, record_property: Any, capsys: pytest.CaptureFixture[str], every: int
) -> None:
    generated = dict(itertools.islice(mutations(), None, None, every))
    faults = {name: fault for name, text in generated.items() if (fault := fault_of(text, tmp_path))}
    assert faults == {}
    assert len(generated) >= 300
    record_property("mutations", len(generated))
    with capsys.disabled():
        sys.stdout.write(f" {len(generated)} generated mutations, all refused with their place ")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_random_edits_of_the_text_are_taken_or_refused_but_never_crash(
    data: st.DataObject, tmp_path: Path
) -> None:
    start = data.draw(st.integers(0, len(SANDBOX)))
    end = data.draw(st.integers(start, min(len(SANDBOX), start + 40)))
    fragments = st.sampled_from(
        [
            "\t",
            ":",
            "- ",
            "{",
            "}",
            "[",
            "]",
            "&a ",
            "*a",
            "!x ",
            '"',
            "'",
            "|",
            ">",
            "#",
            "---\n",
            "...\n",
            "%",
            "\n",
            "? ",
            "<<: ",
            "\\",
            "@",
            "`",
            ",",
        ]
    )
    fragment = data.draw(fragments | st.text(max_size=20))
    text = SANDBOX[:start] + fragment + SANDBOX[end:]
    assert fault_of(text, tmp_path) in {None, "taken"}
