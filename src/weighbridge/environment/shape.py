"""The shape of an environment file, checked against the types of ``environment/types.py``: keys, types, single values.

Walks the user's tree and the types side by side, so that every mistake is found in one go and each message can say what
was meant. The types stay the only description; pydantic builds the ``Environment`` once nothing is left to say.
"""

import difflib
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from itertools import chain
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from weighbridge.environment.hints import foreign_key, wrong_shape
from weighbridge.environment.node_rule import NodeRule
from weighbridge.environment.secret_shapes import shown
from weighbridge.environment.text_rule import TextRule
from weighbridge.environment.tree import Finding, Node, at_key, at_value, dotted, key_missing
from weighbridge.environment.types import Environment
from weighbridge.environment.yaml_scalars import NO, YES, flow

_TEXT_LIMIT = 2048
_KEY_LIMIT = 100
_MIN_CLOSENESS = 0.6
_SURE_CLOSENESS = 0.8


def check_shape(root: Node, environment: type[Environment] = Environment) -> Iterator[Finding]:
    """Yield what is wrong with keys, types and single values, in no particular order."""
    yield from _Shape(levels(environment)).model(root, environment)


@cache
def levels(environment: type[Environment] = Environment) -> dict[str, tuple[type[BaseModel], ...]]:
    """Return every level of the file (``models[].storage``; the top is ``""``) with the types that may stand there."""
    found: dict[str, tuple[type[BaseModel], ...]] = {}

    def visit(level: str, annotation: Any) -> None:
        kind, _ = _unwrap(annotation)
        origin = get_origin(kind)
        if _is_union(origin):
            for member in get_args(kind):
                visit(level, member)
        elif origin is tuple:
            visit(f"{level}[]", get_args(kind)[0])
        elif origin is dict:
            visit(f"{level}.*", get_args(kind)[1])
        elif _is_model(kind):
            found[level] = (*found.get(level, ()), kind)
            for name, field in kind.model_fields.items():
                visit(f"{level}.{name}" if level else name, field.annotation)

    visit("", environment)
    return found


@dataclass(frozen=True, slots=True)
class _Shape:
    """One walk. ``levels``: where keys belong that stand in a wrong place."""

    levels: Mapping[str, tuple[type[BaseModel], ...]]

    def _value(self, node: Node, annotation: Any, field: FieldInfo | None = None) -> Iterator[Finding]:
        kind, inner = _unwrap(annotation)
        metadata = (*(field.metadata if field is not None else ()), *inner)
        origin = get_origin(kind)
        if node.value is None:
            yield at_key(node, "no-value", f"{_name(node)} has no value", _remedy_for_nothing(field))
        elif hint := wrong_shape(node):
            yield hint
        elif own := _node_rule(metadata):
            yield from own.check(node)
        elif _is_model(kind):
            yield from self.model(node, kind)
        elif origin is tuple:
            yield from self._list(node, get_args(kind)[0], metadata, field)
        elif origin is dict:
            key_type, value_type = get_args(kind)
            yield from self._mapping(node, key_type, value_type, field)
        else:
            yield from _scalar(node, kind, metadata, field)

    def model(self, node: Node, model: type[BaseModel]) -> Iterator[Finding]:
        if not isinstance(node.value, Mapping):
            yield _wrong_type(node, "a mapping (key: value)", f"known keys: {', '.join(model.model_fields)}")
            return
        meant: set[str] = set()
        for key, item in node.entries.items():
            field = model.model_fields.get(key)
            if field is None:
                finding, suggestion = self._unknown_key(node, item, key, model)
                meant.add(suggestion)
                yield finding
            else:
                yield from self._value(item, field.annotation, field)
        for key, field in model.model_fields.items():
            if field.is_required() and key not in node.entries and key not in meant:
                yield key_missing(node, key, f"write {key}: {_example(field)}")

    def _list(
        self, node: Node, item_type: Any, metadata: tuple[Any, ...], field: FieldInfo | None
    ) -> Iterator[Finding]:
        if not isinstance(node.value, tuple):
            meant = f"e.g. {_example(field)}" if node.string is None else f"[{flow(node.string)}]"
            yield _wrong_type(node, "a list", f"write {meant}")
            return
        least = next((rule.min_length for rule in metadata if isinstance(rule, MinLen)), 0)
        if len(node.items) < least:
            remedy = f"write at least one item: {_example(field)}"
            yield at_value(node, "empty-list", f"{_name(node)} is empty", remedy)
        for item in node.items:
            yield from self._value(item, item_type)

    def _mapping(
        self, node: Node, key_type: Any, value_type: Any, field: FieldInfo | None
    ) -> Iterator[Finding]:
        if not isinstance(node.value, Mapping):
            yield _wrong_type(node, "a mapping (key: value)", f"write e.g. {_example(field)}")
            return
        _, rules = _unwrap(key_type)
        for key, item in node.entries.items():
            key_node = Node(key, item.path, item.key_spot, item.key_spot, key)
            yield from _text(key_node, rules, _KEY_LIMIT * 4)
            yield from self._value(item, value_type)

    def _unknown_key(self, parent: Node, node: Node, key: str, model: type[BaseModel]) -> tuple[Finding, str]:
        """Return the finding and the known key of this level that was probably meant, or ""."""
        known = [name for name in model.model_fields if name not in parent.entries]
        level = dotted(parent.path) or "the top level"
        what = f"`{_quoted_key(key)}` is not a key of {level}"
        close = nearest(key, known)
        sure = close is not None and _closeness(key, close) >= _SURE_CLOSENESS
        elsewhere = [
            name for name, models in self.levels.items() if any(key in kind.model_fields for kind in models)
        ]
        remedy, meant = f"known keys here: {', '.join(model.model_fields)}", ""
        if hint := foreign_key(key, model):
            remedy = hint
        elif elsewhere and not sure:
            places = " or ".join(f"under {name}" if name else "at the top level" for name in elsewhere[:3])
            remedy = f"{key} belongs {places}"
        elif close is not None:
            remedy, meant = f"did you mean {close}?", close
        return at_key(node, "unknown-key", what, remedy), meant


def _scalar(node: Node, kind: Any, metadata: tuple[Any, ...], field: FieldInfo | None) -> Iterator[Finding]:
    allowed = _scalar_types(kind)
    choices = _choices(kind)
    if choices:
        if node.string not in choices:
            yield _not_a_choice(node, choices)
    elif node.doubt:
        yield at_value(node, "ambiguous-value", node.doubt, _plain_spelling(node, allowed))
    elif type(node.value) not in allowed and not (float in allowed and type(node.value) is int):
        yield _wrong_type(node, _described(allowed), _retyped(node, allowed, field))
    elif node.string is not None:
        yield from _text(node, metadata, _TEXT_LIMIT)
    else:
        yield from _range(node, metadata)


def _text(node: Node, metadata: tuple[Any, ...], limit: int) -> Iterator[Finding]:
    text = node.string or ""
    rules = [rule for rule in metadata if isinstance(rule, TextRule)]
    if not text:
        if rules and not any(rule.may_be_empty for rule in rules):
            yield at_value(node, "no-value", "the text is empty", "write a value, or remove the line")
    elif len(text) > limit:
        what = f"the text has {len(text)} characters; at most {limit} are taken"
        yield at_value(node, "too-long", what, "write a shorter one")
    elif text != text.strip() or not text.isprintable():
        what = f"{shown(text)} has spaces at an end, a line break or a character that cannot be seen"
        near = "".join(character for character in text if character.isprintable()).strip()
        yield at_value(node, "bad-value", what, f"write {shown(near)}")
    else:
        for said in chain.from_iterable(rule.check(text) for rule in rules):
            yield at_value(node, said.code, said.what, said.remedy, warning=said.warning)


def _range(node: Node, metadata: tuple[Any, ...]) -> Iterator[Finding]:
    least: Any = next((rule.ge for rule in metadata if isinstance(rule, Ge)), None)
    most: Any = next((rule.le for rule in metadata if isinstance(rule, Le)), None)
    number = node.number
    if number is None:
        return
    if (least is not None and number < least) or (most is not None and number > most):
        remedy = f"write a number from {least} to {most}"
        yield at_value(node, "out-of-range", f"{shown(number)} is out of range", remedy)


def nearest(text: str, known: list[str]) -> str | None:
    """Return the known word that the text most resembles, or None. ``storageClass`` is near ``storage_class``."""
    best = max(known, key=lambda word: _closeness(text, word), default=None)
    return best if best is not None and _closeness(text, best) >= _MIN_CLOSENESS else None


def _closeness(text: str, word: str) -> float:
    plain = text[:_KEY_LIMIT].lower().replace("-", "_").replace(" ", "_")
    return difflib.SequenceMatcher(None, plain, word).ratio()


def _not_a_choice(node: Node, choices: tuple[str, ...]) -> Finding:
    text = node.string or ""
    offer = {choice.lower(): choice for choice in choices}.get(text.lower()) or nearest(text, list(choices))
    found = kind_of(node) if isinstance(node.value, tuple | Mapping) else shown(node.plain())
    what = f"{found} is not one of {', '.join(choices)}"
    return at_value(node, "bad-choice", what, f"write {offer or choices[0]}")


def _wrong_type(node: Node, due: str, remedy: str) -> Finding:
    return at_value(node, "wrong-type", f"{kind_of(node)} stands where {due} is due", remedy)


def kind_of(node: Node) -> str:
    """Return what stands here, in words: ``a list``, ``text``, ``a whole number`` …"""
    if isinstance(node.value, Mapping):
        return "a mapping (key: value)"
    names: dict[type, str] = {
        tuple: "a list",
        str: "text",
        bool: "true or false",
        int: "a whole number",
        float: "a number with a point",
    }
    return names.get(type(node.value), "nothing")


def _described(allowed: frozenset[type]) -> str:
    words = {str: "text", bool: "true or false", int: "a whole number", float: "a number"}
    parts = [words[kind] for kind in (str, int, float, bool) if kind in allowed]
    if "a number" in parts and "a whole number" in parts:
        parts.remove("a whole number")
    return " or ".join(parts)


def _retyped(node: Node, allowed: frozenset[type], field: FieldInfo | None) -> str:
    if isinstance(node.value, tuple | Mapping):
        return f"write e.g. {_example(field)}"
    if allowed == {str}:
        differs = isinstance(node.value, float) and str(node.value) != node.text
        note = f" (YAML reads {node.text} as the number {node.value})" if differs else ""
        return f'write it in quotes: "{node.text[:60]}"{note}'
    if isinstance(node.value, str) and bool in allowed and node.value.lower() in {"true", "false"}:
        return f"write {node.value.lower()} without quotes"
    if isinstance(node.value, str) and allowed & {int, float} and node.value.strip().isdecimal():
        return f"write {shown(node.value.strip())} without quotes".replace('"', "")
    return f"write e.g. {_example(field)}"


def _plain_spelling(node: Node, allowed: frozenset[type]) -> str:
    if allowed == {str}:
        return f"write it in quotes: {shown(node.text)}"
    or_text = f", or in quotes {shown(node.text)} for text" if str in allowed else ""
    if bool in allowed and node.text in YES | NO:
        return f"write {str(node.text in YES).lower()}{or_text}"
    if allowed & {int, float}:
        return f"write it in plain decimal digits{or_text}"
    return "write true or false"


def _remedy_for_nothing(field: FieldInfo | None) -> str:
    if field is None:
        return "write a value, or remove the item"
    return f"write e.g. {_example(field)}" + ("" if field.is_required() else ", or remove the line")


def _example(field: FieldInfo | None) -> str:
    examples = field.examples if field is not None else None
    return flow(examples[0]) if examples else "a value"


def _name(node: Node) -> str:
    last = node.path[-1] if node.path else "the file"
    return "the item" if isinstance(last, int) else dotted((last,))


def _quoted_key(key: str) -> str:
    return shown(key)[1:-1] if shown(key).startswith('"') else shown(key)


def _choices(kind: Any) -> tuple[str, ...]:
    if get_origin(kind) is Literal:
        return tuple(get_args(kind))
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return tuple(str(choice) for choice in kind)
    return ()


def _scalar_types(kind: Any) -> frozenset[type]:
    members = get_args(kind) if _is_union(get_origin(kind)) else (kind,)
    return frozenset(member for member in members if member in {str, int, float, bool})


def _unwrap(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """Strip ``Annotated`` and ``| None``; return the type and the annotations met on the way."""
    metadata: tuple[Any, ...] = ()
    while True:
        if get_origin(annotation) is Annotated:
            annotation, *extra = get_args(annotation)
            metadata = (*metadata, *extra)
            continue
        if _is_union(get_origin(annotation)):
            members = [member for member in get_args(annotation) if member is not type(None)]
            if len(members) < len(get_args(annotation)):
                annotation = Union[tuple(members)] if len(members) > 1 else members[0]  # noqa: UP007  (built at run time)
                continue
        return annotation, metadata


def _node_rule(metadata: tuple[Any, ...]) -> NodeRule | None:
    return next((rule for rule in metadata if isinstance(rule, NodeRule)), None)


def _is_union(origin: Any) -> bool:
    return origin is Union or origin is types.UnionType


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def type_in_words(annotation: Any, rules: tuple[Any, ...] = ()) -> str:
    """Return a type as the reference names it: ``text``, ``list of text``, ``fetch or push`` …"""
    kind, metadata = _unwrap(annotation)
    origin = get_origin(kind)
    if (own := _node_rule((*rules, *metadata))) is not None and own.words is not None:
        return own.words
    if choices := _choices(kind):
        return " or ".join(f"`{choice}`" for choice in choices)
    if origin is tuple:
        return f"list of {type_in_words(get_args(kind)[0])}"
    if origin is dict:
        return f"mapping of name to {type_in_words(get_args(kind)[1])}"
    allowed = _scalar_types(kind)
    return _described(allowed) if allowed else "mapping"
