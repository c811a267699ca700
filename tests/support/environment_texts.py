"""The sandbox's environment file as raw material for tests: read, refused, walked and mutated."""

import copy
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml

from weighbridge.environment.file import excerpt, load
from weighbridge.errors import InputErrors

ENVIRONMENTS = Path(__file__).parents[2] / "environments"
SANDBOX = (ENVIRONMENTS / "sandbox.yaml").read_text("utf-8")
_TREE = yaml.safe_load(SANDBOX)

TreePath: TypeAlias = tuple[str | int, ...]


def refusal(text: str | bytes, folder: Path, name: str = "sandbox.yaml") -> InputErrors:
    """Load a file of this content; return the refusal, or fail if it is taken."""
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    with pytest.raises(InputErrors) as caught:
        load(str(path), folder)
    return caught.value


def everything_shown(errors: InputErrors) -> str:
    """Return all that can reach a screen or a log: messages, excerpts, reprs and the traceback with its chain."""
    shown = [str(errors), repr(errors), "".join(traceback.format_exception(errors))]
    shown += [f"{error} {error!r} {error.place} {excerpt(error)}" for error in errors.errors]
    return "\n".join(shown)


def places(value: Any, path: TreePath = ()) -> Iterator[TreePath]:
    if path:
        yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from places(item, (*path, index))


def at(tree: Any, path: TreePath) -> Any:
    for part in path:
        tree = tree[part]
    return tree


def mutated(change: Callable[[Any], None]) -> str:
    tree = copy.deepcopy(_TREE)
    change(tree)
    return yaml.dump(tree, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)


def replaced(path: TreePath, value: Any) -> str:
    def change(tree: Any) -> None:
        at(tree, path[:-1])[path[-1]] = copy.deepcopy(value)

    return mutated(change)


def renamed(path: TreePath, key: str) -> str:
    def change(tree: Any) -> None:
        parent = at(tree, path[:-1])
        items = [(key if name == path[-1] else name, value) for name, value in parent.items()]
        parent.clear()
        parent.update(items)

    return mutated(change)
