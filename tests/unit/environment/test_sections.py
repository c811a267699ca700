"""A step's own section of the environment file, made up here: read, judged, hinted, documented like every other key."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import Field

from support.environment_texts import SANDBOX
from weighbridge.environment import text_rules
from weighbridge.environment.base import Strict
from weighbridge.environment.file import examine, load
from weighbridge.environment.reference import configuration_page, json_schema
from weighbridge.environment.sections import Section, environment_type
from weighbridge.environment.text_rule import TextRule
from weighbridge.environment.tree import Finding, Node, at_value
from weighbridge.environment.types import Environment, Model
from weighbridge.errors import InputErrors


class Budget(Strict):
    """What all models together may take."""

    gpus: Annotated[int, Field(ge=1, le=100, examples=[8])]
    """GPUs in all."""
    reserve: Annotated[int, Field(ge=0, examples=[1])] = 0
    """Of these, GPUs that stay free."""


class Probe(Strict):
    """A question and its answer."""

    prompt: Annotated[str, TextRule(text_rules.accept), Field(examples=["2+2="])]
    """What the model is asked."""


def reserve_within_gpus(section: Node) -> Iterator[Finding]:
    gpus, reserve = section.get("gpus"), section.get("reserve")
    if gpus is not None and reserve is not None and (reserve.number or 0) > (gpus.number or 0):
        yield at_value(reserve, "contradiction", "reserve exceeds gpus", "write a smaller number")


BUDGET = Section[Budget | None](
    key="budget",
    annotation=Budget | None,
    default=None,
    description="What all models together may take.",
    examples=({"gpus": 8},),
    rules=reserve_within_gpus,
)
PROBE = Section[Probe | None](
    key="probe",
    of="model",
    annotation=Probe | None,
    default=None,
    description="How it is proven that the model answers.",
    examples=({"prompt": "2+2="},),
)
BOTH = (BUDGET, PROBE)


def edited(**changes: Any) -> str:
    tree = yaml.safe_load(SANDBOX)
    probe = changes.pop("probe", None)
    if probe is not None:
        tree["models"][0]["probe"] = probe
    return yaml.safe_dump({**tree, **changes}, sort_keys=False)


def test_a_section_is_read_typed_and_absent_ones_have_their_default(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.yaml"
    path.write_text(edited(budget={"gpus": 4}, probe={"prompt": "hello"}))
    environment = load(str(path), tmp_path, BOTH).environment
    budget = BUDGET.read(environment)
    assert budget is not None
    assert (budget.gpus, budget.reserve) == (4, 0)
    first, second = (PROBE.read(model) for model in environment.models[:2])
    assert first is not None
    assert (first.prompt, second) == ("hello", None)
    assert isinstance(environment, Environment)
    assert all(isinstance(model, Model) for model in environment.models)


def test_without_it_the_key_is_unknown_and_its_default_is_read(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.yaml"
    path.write_text(SANDBOX)
    environment = load(str(path), tmp_path, ()).environment
    assert BUDGET.read(environment) is None
    path.write_text(edited(budget={"gpus": 4}))
    with pytest.raises(InputErrors, match="budget"):
        load(str(path), tmp_path, ())


def test_its_own_rules_speak_with_the_line() -> None:
    text = edited(budget={"gpus": 4, "reserve": 5})
    [found] = examine(text, BOTH)
    assert (found.what, found.path) == ("reserve exceeds gpus", ("budget", "reserve"))
    assert text.splitlines()[found.spot.line - 1].strip() == "reserve: 5"


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({"bugdet": {"gpus": 4}}, "did you mean budget?"),
        ({"budget": {"gpu": 4}}, "did you mean gpus?"),
        ({"prompt": "x"}, "prompt belongs under models[].probe"),
        ({"budget": {}}, "write gpus: 8"),
        ({"budget": {"gpus": 101}}, "write a number from 1 to 100"),
        ({"probe": {"prompt": 4}}, 'write it in quotes: "4"'),
    ],
)
def test_mistakes_in_it_are_answered_as_anywhere(changes: dict[str, Any], remedy: str) -> None:
    assert [found.remedy for found in examine(edited(**changes), BOTH)] == [remedy]


def test_schema_and_reference_name_it() -> None:
    schema = Draft202012Validator(json_schema(BOTH))
    assert schema.is_valid(yaml.safe_load(edited(budget={"gpus": 4}, probe={"prompt": "x"})))
    assert not schema.is_valid(yaml.safe_load(edited(budget={"gpus": 4, "x": 1})))
    assert not schema.is_valid(yaml.safe_load(edited(probe={"promt": "x"})))
    page = configuration_page(BOTH)
    assert "| `budget` | mapping |  | What all models together may take. | `{gpus: 8}` |" in page
    assert "## `models[].probe`" in page
    assert "## `budget`" in page


def test_two_sections_of_one_key_are_our_defect() -> None:
    with pytest.raises(AssertionError, match="share a key"):
        environment_type((BUDGET, BUDGET))


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("registraton", "did you mean registration?"), ("other", "stacks: storage, registration")],
)
def test_a_context_for_a_stack_that_there_is_not_is_found_with_its_line(name: str, remedy: str) -> None:
    text = SANDBOX.replace("cluster: {", f"cluster: {{contexts: {{{name}: switch-admin}}, ")
    assert text != SANDBOX
    [found] = examine(text, stacks=("storage", "registration"))
    assert (found.code, found.remedy, found.path[-1]) == ("unknown-stack", remedy, name)
    assert examine(text.replace(name, "registration"), stacks=("storage", "registration")) == ()
