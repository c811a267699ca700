"""The environment file's JSON schema and its page of reference, both made from the types. ``docs/generate.py`` writes them."""

import ast
import contextlib
import inspect
from collections.abc import Iterator
from itertools import chain, pairwise
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from weighbridge.environment.base import EnvReference, FileReference, Strict
from weighbridge.environment.parameter_rules import KNOWN, KNOWN_VERSIONS
from weighbridge.environment.sections import Sections, environment_type
from weighbridge.environment.shape import levels, type_in_words
from weighbridge.environment.tree import Plain
from weighbridge.environment.types import Environment
from weighbridge.environment.yaml_scalars import flow

SCHEMA_ID = "environment.schema.json"

_INTRODUCTION = """\
# The environment file

*Generated from the types in `src/weighbridge/environment/types.py` by `docs/generate.py`; edit those.*

One file describes one environment: `environments/NAME.yaml`, or any path given as `ENV`. `weighbridge check ENV` reads it
without the network and names every mistake at once, with line, column and what to write instead (exit code 2).

- Unknown keys, empty values, duplicate keys, tags, merge keys (`<<`) and second documents are refused. Anchors and
  aliases of whole values are taken.
- `yes`, `no`, `on`, `off`, `010`, `1_000` or `12:30` without quotes are refused: readers of YAML disagree on them.
- Secrets are references, never values: `{env: VARIABLE}`, `{file: PATH}`, or where it says so the name of an existing
  Kubernetes Secret.
- Relative paths start at the folder of the file.
- With `# yaml-language-server: $schema=environment.schema.json` as its first line, editors complete and check the file.
"""


def json_schema(brought: Sections = ()) -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of an environment file, with the sections of the steps. It says less than
    ``weighbridge check``.
    """
    environment = environment_type(brought)
    schema = environment.model_json_schema()
    for model in chain.from_iterable(levels(environment).values()):
        properties = (schema if model is environment else schema["$defs"][model.__name__])["properties"]
        for name, text in _texts(model).items():
            properties[name] = {"description": text, **properties[name]}
    schema = _tidy(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "Weighbridge environment file",
        **{key: value for key, value in schema.items() if key != "title"},
    }


def configuration_page(brought: Sections = ()) -> str:
    """Return the reference of every key as Markdown."""
    return "\n".join([_INTRODUCTION, *_levels(environment_type(brought)), *_references(), *_parameters()])


def _tidy(value: Any) -> Any:
    """An absent key is left out, never written as null: drop ``null`` from choices and defaults. Drop generated titles."""
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if not isinstance(value, dict):
        return _sentence(value) if isinstance(value, str) else value
    noise = {
        key
        for key, item in value.items()
        if (key == "default" and item is None) or (key == "title" and isinstance(item, str))
    }
    tidy = {key: _tidy(item) for key, item in value.items() if key not in noise}
    choices = [choice for choice in tidy.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) == 1:
        del tidy["anyOf"]
        return {**choices[0], **tidy}
    return {**tidy, "anyOf": choices} if choices else tidy


def _texts(model: type[BaseModel]) -> dict[str, str]:
    """What stands below the keys in the source of ``model`` and of what it is made of. pydantic reads it too
    (``use_attribute_docstrings``), but for every verb that imports the types, which then takes a fifth longer.
    """
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        source = ""
        if issubclass(base, Strict):
            with contextlib.suppress(OSError):  # a type that is made at run time
                source = inspect.getsource(base)
        for definition in ast.parse(source).body:
            for line, below in pairwise(getattr(definition, "body", [])):
                match line, below:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(
                        value=ast.Constant(value=str(text))
                    ):
                        found[name] = text
    return {name: text for name, text in found.items() if name in model.model_fields}


def _levels(environment: type[Environment]) -> Iterator[str]:
    for level, models in levels(environment).items():
        if EnvReference in models:
            continue
        yield f"## {f'`{level}`' if level else 'The top level'}\n"
        for model in models:
            if len(models) > 1:
                yield f"### {model.__name__}\n"
            yield from _keys(model)


def _references() -> Iterator[str]:
    yield "## References to secrets\n"
    for model in (EnvReference, FileReference):
        yield from _keys(model)


def _keys(model: type[BaseModel]) -> Iterator[str]:
    yield f"{_sentence(model.__doc__)}\n"
    yield "| key | type | default | meaning | example |"
    yield "|---|---|---|---|---|"
    texts = _texts(model)
    for name, field in model.model_fields.items():
        if field.is_required():
            default = "required"
        else:
            value = field.get_default(call_default_factory=True)
            default = "" if value in (None, PydanticUndefined) else f"`{flow(_plain(value))}`"
        example = f"`{flow(field.examples[0])}`" if field.examples else ""
        cells = (
            f"`{name}`",
            type_in_words(field.annotation, tuple(field.metadata)),
            default,
            _sentence(field.description or texts.get(name)),
            example,
        )
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
    yield ""


def _parameters() -> Iterator[str]:
    versions = ", ".join(f"{major}.{minor}" for major, minor in KNOWN_VERSIONS)
    yield "## Parameters that IBM documents\n"
    yield f"For `platform.version` {versions} and their patch levels. What IBM states is enforced; what its pages leave open is a warning."
    yield "`max_concurrent_requests` ≥ `max_batch_size`; `max_sequence_length` > `max_new_tokens`; min ≤ default ≤ max.\n"
    yield "| parameter | values | platform's default | up to 5.2 | from 5.3 on |"
    yield "|---|---|---|---|---|"
    for name, known in KNOWN.items():
        values = " or ".join(known.options) or f"whole numbers from {known.least}"
        before = f"not documented; `{known.before}` in its place" if known.before else "documented"
        yield f"| `{name}` | {values} | {known.platform_default} | {before} | {known.after or 'documented'} |"
    yield ""


def _plain(value: Any) -> Plain:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, str) else value


def _sentence(text: str | None) -> str:
    return " ".join((text or "").replace("``", "`").split())
