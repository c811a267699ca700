"""A user's file as a tree that remembers where everything stands, and the findings made about it.

Readers of text (``environment/file.py``) build the tree; rules walk it and yield findings. Accessors are
tolerant: a rule that asks for text where a list stands gets None and stays silent, because the rule on types has spoken.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from weighbridge.environment.secret_shapes import HIDDEN, looks_like_secret
from weighbridge.errors import InputError, Place

Plain: TypeAlias = "str | int | float | bool | list[Plain] | dict[str, Plain] | None"
Path: TypeAlias = tuple[str | int, ...]

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")


@dataclass(frozen=True, slots=True)
class Spot:
    """A position in the text, both 1-based."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Node:
    """One value of the file: a scalar, a list (tuple of nodes) or a mapping (key → node)."""

    value: "str | int | float | bool | tuple[Node, ...] | Mapping[str, Node] | None"
    path: Path
    spot: Spot
    """Where the value starts."""
    key_spot: Spot
    """Where its key starts; the same as ``spot`` for items of a list and for the root."""
    text: str = ""
    """A scalar as it is written, without quotes."""
    doubt: str = ""
    """Why a scalar is refused although YAML reads it: readers disagree on it (``environment/yaml_scalars.py``)."""

    @property
    def entries(self) -> "Mapping[str, Node]":
        return self.value if isinstance(self.value, Mapping) else {}

    @property
    def items(self) -> "tuple[Node, ...]":
        return self.value if isinstance(self.value, tuple) else ()

    @property
    def string(self) -> str | None:
        return self.value if isinstance(self.value, str) and not self.doubt else None

    @property
    def number(self) -> int | float | None:
        """A number that is no boolean, or None."""
        return (
            self.value if isinstance(self.value, int | float) and not isinstance(self.value, bool) else None
        )

    def get(self, *keys: str) -> "Node | None":
        """Return the node below these keys, or None where one of them is absent."""
        node: Node | None = self
        for key in keys:
            node = node.entries.get(key) if node is not None else None
        return node

    def at(self, *keys: str) -> "Node":
        """As ``get``, but where there is no such node one without a value, to be asked on."""
        return self.get(*keys) or _NOTHING

    def plain(self) -> Plain:
        """Return plain lists, dicts and scalars."""
        if isinstance(self.value, Mapping):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, tuple):
            return [node.plain() for node in self.value]
        return self.value


_NOTHING = Node(None, (), Spot(0, 0), Spot(0, 0))


@dataclass(frozen=True, slots=True)
class Finding:
    """One mistake (or, with ``warning``, one doubt): what is wrong, what to write instead, where."""

    what: str
    remedy: str
    code: str
    path: Path
    spot: Spot
    warning: bool = False

    def error(self, file: str) -> InputError:
        place = Place(file, self.spot.line, self.spot.column, dotted(self.path) or None)
        return InputError(self.what, remedy=self.remedy, place=place, code=self.code)


def at_value(node: Node, code: str, what: str, remedy: str, *, warning: bool = False) -> Finding:
    """Return a finding that points at a value."""
    return Finding(what, remedy, code, node.path, node.spot, warning)


def at_key(node: Node, code: str, what: str, remedy: str, *, warning: bool = False) -> Finding:
    """Return a finding that points at the key of a value (for an item of a list, at the item)."""
    return Finding(what, remedy, code, node.path, node.key_spot, warning)


def key_missing(node: Node, key: str, remedy: str) -> Finding:
    """Return a finding that points at a mapping, for a key that it must have."""
    return Finding(f"{key} is missing", remedy, "missing-key", (*node.path, key), node.key_spot)


def dotted(path: Path) -> str:
    """Return a path as ``models[0].parameters.dtype``; keys that are not plain words stand quoted in brackets."""
    parts = []
    for part in path:
        if isinstance(part, int):
            parts.append(f"[{part}]")
        elif _PLAIN_KEY.fullmatch(part) and not looks_like_secret(part):
            parts.append(f".{part}" if parts else part)
        elif looks_like_secret(part) or not part.isprintable() or len(part) > 100:  # noqa: PLR2004
            parts.append(f"[{HIDDEN}]")
        else:
            parts.append(f'["{part}"]')
    return "".join(parts)
