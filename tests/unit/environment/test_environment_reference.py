import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from jsonschema import Draft202012Validator

from weighbridge.environment.reference import json_schema

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_files_are_those_of_the_types(generator: ModuleType) -> None:
    stale = [path.name for path, text in generator.generated().items() if path.read_text("utf-8") != text]
    assert stale == [], "run: python docs/generate.py"


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize(
    "path", sorted((ROOT / "environments").glob("*.yaml")), ids=lambda path: str(path.name)
)
def test_every_environment_of_the_repository_fits_the_schema_and_names_it(path: Path) -> None:
    text = path.read_text("utf-8")
    Draft202012Validator(json_schema()).validate(yaml.safe_load(text))
    assert text.splitlines()[0] == "# yaml-language-server: $schema=environment.schema.json"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("nmae", "x"),
        ("name", "Not A Name"),
        ("name", None),
        ("models", []),
        ("cluster", {"namespace": "a_b"}),
    ],
)
def test_an_editor_sees_plain_mistakes(key: str, value: object) -> None:
    environment = yaml.safe_load((ROOT / "environments" / "sandbox.yaml").read_text("utf-8"))
    environment[key] = value
    assert not Draft202012Validator(json_schema()).is_valid(environment)
