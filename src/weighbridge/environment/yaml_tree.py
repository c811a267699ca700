"""YAML text → tree with positions, for hostile text too.

Uses PyYAML's event stream alone, so nothing is constructed, no tag is obeyed, and depth, size and what aliases expand to
are bounded before memory or time is spent on them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from weighbridge.environment.tree import Finding, Node, Spot, dotted
from weighbridge.environment.yaml_scalars import resolve
from weighbridge.environment.yaml_syntax import explain_syntax

MAX_DEPTH = 32
MAX_NODES = 20_000


class SyntaxFault(ValueError):  # noqa: N818  (a finding on its way out, never an error that a user meets)
    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.code)
        self.finding = finding


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not come yet."""

    spot: Spot
    mapping: bool
    anchor: str | None
    items: list["_Raw"] = field(default_factory=list)
    entries: dict[str, tuple[Spot, "_Raw"]] = field(default_factory=dict)
    key: tuple[str, Spot] | None = None


@dataclass(frozen=True, slots=True)
class _Raw:
    """A value before its path is known; ``weight`` counts the nodes that it expands to."""

    spot: Spot
    value: str | int | float | bool | list["_Raw"] | dict[str, tuple[Spot, "_Raw"]] | None
    weight: int
    text: str = ""
    doubt: str = ""


def parse_yaml(text: str) -> Node:
    """Return the tree of a YAML text. Raises ``SyntaxFault`` (a ``ValueError``) at the first fault."""
    for number, line in enumerate(text.split("\n"), 1):
        bad = next((at for at, character in enumerate(line) if _is_bad(character)), None)
        if bad is not None:
            raise _fault(
                Spot(number, bad + 1),
                "a character stands here that cannot be seen or typed",
                "delete it; only UTF-8 text is taken",
            )
    try:
        raw = _Builder().build(yaml.parse(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        unclosed = "end of stream" in (error.problem or "") and error.context_mark is not None
        mark = error.context_mark if unclosed else error.problem_mark or error.context_mark
        spot = _spot(mark)
        what, remedy = explain_syntax(error.problem or "", error.context or "", text, spot.line)
    except yaml.YAMLError:
        spot, what, remedy = Spot(1, 1), "the file is not YAML", "compare with environments/sandbox.yaml"
    else:
        return _node(raw, (), raw.spot)
    # Outside the handler: PyYAML's errors carry lines of the file, and nothing that may hold a secret is chained.
    raise _fault(spot, what, remedy)


def _spot(mark: Any) -> Spot:
    """PyYAML counts from 0, and types its marks in two ways."""
    return Spot(mark.line + 1, mark.column + 1) if mark is not None else Spot(1, 1)


def _is_bad(character: str) -> bool:
    return (
        (character < " " and character not in "\t\r")
        or "\x7f" <= character <= "\x9f"
        or "\ud800" <= character <= "\udfff"
        or character in "\ufeff\u2028\u2029\ufffe\uffff"
    )


def _fault(spot: Spot, what: str, remedy: str, code: str = "yaml-syntax") -> SyntaxFault:
    return SyntaxFault(Finding(what, remedy, code, (), spot))


class _Builder:
    """Events in, one tree out; iterative, so depth costs no stack."""

    def __init__(self) -> None:
        self._stack: list[_Open] = []
        self._anchors: dict[str, _Raw] = {}
        self._root: _Raw | None = None
        self._nodes = 0

    def build(self, events: Iterator[yaml.Event]) -> _Raw:
        documents = 0
        for event in events:
            spot = _spot(event.start_mark)
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _fault(spot, "a second document starts here", "write one environment a file")
            elif isinstance(event, yaml.NodeEvent):
                self._node_event(event, spot)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._close()
        if self._root is None or (self._root.value is None and not self._root.text):
            raise _fault(
                Spot(1, 1), "the file is empty", "start from environments/sandbox.yaml", "empty-file"
            )
        return self._root

    def _node_event(self, event: yaml.NodeEvent, spot: Spot) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _fault(
                spot, f"the file has more than {MAX_NODES} values", "give an environment file", "too-large"
            )
        if isinstance(event, yaml.AliasEvent):
            self._add(self._alias(event, spot))
            return
        if getattr(event, "tag", None) is not None:
            raise _fault(
                spot,
                "a tag (!…) stands here; an environment file has none",
                "write the value without its tag",
            )
        if isinstance(event, yaml.ScalarEvent):
            value, doubt = resolve(event.value) if event.style is None else (event.value, "")
            raw = _Raw(spot, value, 1, event.value, doubt)
            if event.anchor is not None:
                self._anchors[event.anchor] = raw
            self._add(raw)
            return
        if len(self._stack) >= MAX_DEPTH:
            raise _fault(
                spot,
                f"lists and mappings are nested deeper than {MAX_DEPTH} levels",
                "close a bracket, or write it flatter",
                "too-deep",
            )
        self._stack.append(_Open(spot, isinstance(event, yaml.MappingStartEvent), event.anchor))

    def _alias(self, event: yaml.AliasEvent, spot: Spot) -> _Raw:
        raw = self._anchors.get(event.anchor or "")
        if raw is None:
            raise _fault(
                spot, "this alias (*…) names no anchor (&…) that is complete above it", "write the value out"
            )
        self._nodes += raw.weight
        if self._nodes > MAX_NODES:
            raise _fault(
                spot, f"aliases expand to more than {MAX_NODES} values", "write the values out", "too-large"
            )
        return raw

    def _close(self) -> None:
        done = self._stack.pop()
        value: list[_Raw] | dict[str, tuple[Spot, _Raw]] = done.entries if done.mapping else done.items
        children = [raw for _, raw in done.entries.values()] if done.mapping else done.items
        raw = _Raw(done.spot, value, 1 + sum(child.weight for child in children))
        if done.anchor is not None:
            self._anchors[done.anchor] = raw
        self._add(raw)

    def _add(self, raw: _Raw) -> None:
        if not self._stack:
            self._root = raw
            return
        top = self._stack[-1]
        if not top.mapping:
            top.items.append(raw)
        elif top.key is None:
            top.key = self._key(top, raw)
        else:
            key, spot = top.key
            top.entries[key] = (spot, raw)
            top.key = None

    def _key(self, top: _Open, raw: _Raw) -> tuple[str, Spot]:
        if isinstance(raw.value, list | dict):
            raise _fault(
                raw.spot,
                "a list or mapping stands where a key is due",
                "write a plain key; did a value lose its quotes ({{ … }})?",
            )
        key = raw.text
        if not key:
            raise _fault(raw.spot, "a key is empty", "write the key before the colon")
        if key == "<<":
            raise _fault(
                raw.spot,
                "merge keys (<<) are not taken",
                "write the keys out, or alias the whole value (key: *anchor)",
            )
        if key in top.entries:
            first = top.entries[key][0]
            name = dotted((key,))
            raise _fault(
                raw.spot,
                f"{name} stands twice in one mapping (first in line {first.line})",
                "keep one of them",
                "duplicate-key",
            )
        return key, raw.spot


def _node(raw: _Raw, path: tuple[str | int, ...], key_spot: Spot) -> Node:
    """Give every value its path; aliases are expanded here, within the bound that the builder kept."""
    if isinstance(raw.value, dict):
        entries = {key: _node(item, (*path, key), spot) for key, (spot, item) in raw.value.items()}
        return Node(entries, path, raw.spot, key_spot)
    if isinstance(raw.value, list):
        items = tuple(_node(item, (*path, index), item.spot) for index, item in enumerate(raw.value))
        return Node(items, path, raw.spot, key_spot)
    return Node(raw.value, path, raw.spot, key_spot, raw.text, raw.doubt)
