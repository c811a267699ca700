"""YAML text → tree with positions, for hostile text too.

Uses PyYAML's event stream alone, so nothing is constructed, no tag is obeyed, and depth, size and what aliases expand to
are bounded before memory or time is spent on them.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import yaml

from weighbridge.environment.tree import Finding, Node, Path, Spot, dotted
from weighbridge.environment.yaml_scalars import resolve
from weighbridge.environment.yaml_syntax import explain_syntax

MAX_DEPTH = 32
MAX_NODES = 20_000
_UNSEEN = re.compile(r"[^\t\n\r -~\xa0-\U0010ffff]|[\ud800-\udfff\ufeff\u2028\u2029\ufffe\uffff]")


class SyntaxFault(ValueError):  # noqa: N818  (a finding on its way out, never an error that a user meets)
    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.code)
        self.finding = finding


def parse_yaml(text: str) -> Node:
    """Return the tree of a YAML text. Raises ``SyntaxFault`` (a ``ValueError``) at the first fault."""
    if bad := _UNSEEN.search(text):
        spot = Spot(text.count("\n", 0, bad.start()) + 1, bad.start() - text.rfind("\n", 0, bad.start()))
        what = "a character stands here that cannot be seen or typed"
        raise _fault(spot, what, "delete it; only UTF-8 text is taken")
    try:
        return _Reader(yaml.parse(text, Loader=yaml.SafeLoader)).document()
    except yaml.MarkedYAMLError as error:
        unclosed = "end of stream" in (error.problem or "") and error.context_mark is not None
        mark = error.context_mark if unclosed else error.problem_mark or error.context_mark
        spot = _spot(mark)
        what, remedy = explain_syntax(error.problem or "", error.context or "", text, spot.line)
    except yaml.YAMLError:
        spot, what, remedy = Spot(1, 1), "the file is not YAML", "compare with environments/example.yaml"
    # Outside the handler: PyYAML's errors carry lines of the file, and nothing that may hold a secret is chained.
    raise _fault(spot, what, remedy)


def _spot(mark: Any) -> Spot:
    """PyYAML counts from 0, and types its marks in two ways."""
    return Spot(mark.line + 1, mark.column + 1) if mark is not None else Spot(1, 1)


def _fault(spot: Spot, what: str, remedy: str, code: str = "yaml-syntax") -> SyntaxFault:
    return SyntaxFault(Finding(what, remedy, code, (), spot))


class _Reader:
    """Reads the events of one document, top down; ``MAX_DEPTH`` bounds the recursion."""

    def __init__(self, events: Iterator[yaml.Event]) -> None:
        self._events = events
        self._anchors: dict[str, Node] = {}
        """Complete values alone, so no value holds itself."""
        self._count = 0

    def document(self) -> Node:
        root: Node | None = None
        for event in self._events:
            if isinstance(event, yaml.NodeEvent):
                root = self._node(event, ())
            elif isinstance(event, yaml.DocumentStartEvent) and root is not None:
                spot = _spot(event.start_mark)
                raise _fault(spot, "a second document starts here", "write one environment a file")
        if root is None or (root.value is None and not root.text):
            remedy = "start from environments/example.yaml"
            raise _fault(Spot(1, 1), "the file is empty", remedy, "empty-file")
        return root

    def _node(self, event: yaml.Event, path: Path, key_spot: Spot | None = None) -> Node:
        """The value that ``event`` begins; ``key_spot``: where its key starts, if it has one."""
        spot = _spot(event.start_mark)
        self._one_more(spot, "the file has more than {} values", "give an environment file")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, spot, path, key_spot)
        if getattr(event, "tag", None) is not None:
            what = "a tag (!…) stands here; an environment file has none"
            raise _fault(spot, what, "write the value without its tag")
        if isinstance(event, yaml.ScalarEvent):
            value, doubt = resolve(event.value) if event.style is None else (event.value, "")
            node = Node(value, path, spot, key_spot or spot, event.value, doubt)
        elif isinstance(event, yaml.MappingStartEvent):
            _refuse_depth(spot, path)
            node = Node(self._entries(path), path, spot, key_spot or spot)
        else:
            _refuse_depth(spot, path)
            items = (self._node(item, (*path, index)) for index, item in enumerate(self._until_the_end()))
            node = Node(tuple(items), path, spot, key_spot or spot)
        if (anchor := getattr(event, "anchor", None)) is not None:
            self._anchors[anchor] = node
        return node

    def _until_the_end(self) -> Iterator[yaml.Event]:
        """First events of what a list or mapping holds, each read to its end before the next is asked for."""
        while not isinstance(event := next(self._events), yaml.CollectionEndEvent):
            yield event

    def _entries(self, path: Path) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        for event in self._until_the_end():
            key = self._node(event, (*path, ""))
            _refuse_key(key, entries.get(key.text))
            entries[key.text] = self._node(next(self._events), (*path, key.text), key.spot)
        return entries

    def _alias(self, event: yaml.AliasEvent, spot: Spot, path: Path, key_spot: Spot | None) -> Node:
        found = self._anchors.get(event.anchor or "")
        if found is None:
            what = "this alias (*…) names no anchor (&…) that is complete above it"
            raise _fault(spot, what, "write the value out")
        return self._copy(found, spot, path, key_spot or found.spot)

    def _copy(self, node: Node, alias: Spot, path: Path, key_spot: Spot) -> Node:
        self._one_more(alias, "aliases expand to more than {} values", "write the values out")
        value = node.value
        if isinstance(value, Mapping | tuple):
            _refuse_depth(alias, path)
        if isinstance(value, Mapping):
            value = {key: self._copy(item, alias, (*path, key), item.key_spot) for key, item in value.items()}
        elif isinstance(value, tuple):
            value = tuple(self._copy(item, alias, (*path, at), item.spot) for at, item in enumerate(value))
        return replace(node, value=value, path=path, key_spot=key_spot)

    def _one_more(self, spot: Spot, what: str, remedy: str) -> None:
        self._count += 1
        if self._count > MAX_NODES:
            raise _fault(spot, what.format(MAX_NODES), remedy, "too-large")


def _refuse_depth(spot: Spot, path: Path) -> None:
    """A list or mapping begins at ``path``."""
    if len(path) >= MAX_DEPTH:
        what = f"lists and mappings are nested deeper than {MAX_DEPTH} levels"
        raise _fault(spot, what, "close a bracket, or write it flatter", "too-deep")


def _refuse_key(key: Node, same: Node | None) -> None:
    """``same``: what the mapping has under this key already."""
    if isinstance(key.value, tuple | Mapping):
        what = "a list or mapping stands where a key is due"
        raise _fault(key.spot, what, "write a plain key; did a value lose its quotes ({{ … }})?")
    if not key.text:
        raise _fault(key.spot, "a key is empty", "write the key before the colon")
    if key.text == "<<":
        remedy = "write the keys out, or alias the whole value (key: *anchor)"
        raise _fault(key.spot, "merge keys (<<) are not taken", remedy)
    if same is not None:
        what = f"{dotted((key.text,))} stands twice in one mapping (first in line {same.key_spot.line})"
        raise _fault(key.spot, what, "keep one of them", "duplicate-key")
