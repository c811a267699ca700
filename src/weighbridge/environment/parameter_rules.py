"""Rules on the parameters of a registration, by version of watsonx.ai software.

Sources: IBM Software Hub 5.4, "Properties and parameters for custom foundation models" (shape, min ≤ value ≤ max,
options of one type); IBM watsonx documentation, "Global parameters for custom foundation models" (names, lower bounds
and defaults as of 4.8.4 to 5.2; ``max_concurrent_requests`` ≥ ``max_batch_size``; ``max_sequence_length`` >
``max_new_tokens``); the watsonx.ai 2.3 and 2.4 pages (5.3 and 5.4: ``max_num_seqs``, ``max_model_length``, what the
runtime ``watsonx-cfm-caikit-1.1`` ignores).

What these pages state is an error. What they leave open is a warning: the custom resource's schema takes anything, and
no complete table of the parameters of 5.0 to 5.2 was to be had.
"""

import difflib
import math
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from weighbridge.environment.secret_shapes import shown
from weighbridge.environment.tree import Finding, Node, at_key, at_value
from weighbridge.environment.yaml_scalars import flow

Version = tuple[int, int]

KNOWN_VERSIONS: tuple[Version, ...] = ((4, 8), (5, 0), (5, 1), (5, 2), (5, 3), (5, 4))
VLLM_VERSION: Version = (5, 3)
"""First version whose new deployments all run on ``watsonx-cfm-caikit-1.1`` (vLLM) or a custom image."""

_SURE_TYPO = 0.8


@dataclass(frozen=True, slots=True)
class Known:
    """What IBM documents of one parameter."""

    least: int | None = None
    """Lower bound of a whole number; None for anything else."""
    platform_default: int | str | None = None
    options: tuple[str, ...] = ()
    before: str | None = None
    """The parameter that versions before ``VLLM_VERSION`` document in its place."""
    after: str | None = None
    """What to say from ``VLLM_VERSION`` on."""


KNOWN: Mapping[str, Known] = {
    "dtype": Known(platform_default="float16", options=("float16", "bfloat16")),
    "max_batch_size": Known(
        1,
        256,
        after="only deployments on the old runtime watsonx-cfm-caikit-1.0 read it; newer ones read max_num_seqs",
    ),
    "max_concurrent_requests": Known(
        1, 1024, after="the runtime watsonx-cfm-caikit-1.1 ignores it; max_num_seqs bounds what runs at once"
    ),
    "max_new_tokens": Known(20, 2048),
    "max_sequence_length": Known(20, 2048, after="deployments on vLLM read max_model_length in its place"),
    "max_num_seqs": Known(1, 16, before="max_batch_size"),
    "max_model_length": Known(20, 2048, before="max_sequence_length"),
}

_UNDOCUMENTED = Known()

OF_DEPLOYMENTS = frozenset(
    {
        "tool_call_parser",
        "chat_template",
        "enable_lora",
        "max_gpu_loras",
        "max_cpu_loras",
        "max_lora_rank",
        "max_batch_weight",
    }
)
"""Documented as parameters of a deployment, not of a registration."""


@dataclass(frozen=True, slots=True)
class _Relation:
    """``larger`` against ``smaller``: their defaults, and the bounds that a deployment may choose within."""

    larger: str
    smaller: str
    holds: Callable[[float, float], bool]
    what: str
    remedy: str
    errors: tuple[str, ...] = ()
    """Keys whose values must hold it."""
    doubts: tuple[str, ...] = ()
    """Keys whose values should."""
    must_be: str | None = None
    """The relation in words, where it binds the platform's default of the one that is not registered as well."""


_RELATIONS = (
    _Relation(
        "max_concurrent_requests",
        "max_batch_size",
        operator.ge,
        "{key} {high} of max_concurrent_requests is less than {key} {low} of max_batch_size",
        "write {low} or more here, or {high} or less there",
        errors=("default", "min", "max"),
        must_be="at least",
    ),
    _Relation(
        "max_sequence_length",
        "max_new_tokens",
        operator.gt,
        "{key} {high} of max_sequence_length is not greater than {key} {low} of max_new_tokens",
        "write more than {low} here, or less than {high} there",
        errors=("default",),
        doubts=("min", "max"),  # ranges that merely allow a bad pair
        must_be="greater than",
    ),
    _Relation(
        "max_model_length",
        "max_new_tokens",
        operator.gt,
        "max_model_length {high} leaves no room for a prompt beside max_new_tokens {low}",
        "write more than {low}",
        doubts=("default",),
    ),
)


def check_parameters(parameters: Node, version: Version | None) -> Iterator[Finding]:
    """Yield what is wrong with ``parameters`` (name → ``{default, min, max, options}``).

    Without a version only the rules that hold for every version are applied.
    """
    for name, node in parameters.entries.items():
        known = KNOWN.get(name, _UNDOCUMENTED)
        yield from _known_name(node, name, version)
        if known.least is None:
            yield from _texts(node, name, known.options)
        else:
            yield from _whole_numbers(node, name, known.least)
        yield from _order(node)
        yield from _options(node, name, known.options)
    for relation in _RELATIONS:
        yield from _related(parameters, relation)
        if version is not None and version < VLLM_VERSION:
            yield from _against_default(parameters, relation)


def _known_name(node: Node, name: str, version: Version | None) -> Iterator[Finding]:
    known = KNOWN.get(name)
    if known is None:
        yield _unknown_name(node, name)
    elif version is not None and version >= VLLM_VERSION and known.after is not None:
        what = f"{name} is out of use in {_name(version)}"
        yield at_key(node, "replaced-parameter", what, known.after, warning=True)
    elif version is not None and version < VLLM_VERSION and known.before is not None:
        what = f"{name} is documented from 5.3 on, not for {_name(version)}"
        remedy = f"for {_name(version)} IBM documents {known.before}"
        yield at_key(node, "replaced-parameter", what, remedy, warning=True)


def _unknown_name(node: Node, name: str) -> Finding:
    short = name[:100].lower().replace("-", "_")
    likeness = {word: difflib.SequenceMatcher(None, short, word).ratio() for word in KNOWN}
    close = max(likeness, key=likeness.__getitem__)
    sure = name not in OF_DEPLOYMENTS and likeness[close] >= _SURE_TYPO
    if name in OF_DEPLOYMENTS:
        what = f"{name} is documented as a parameter of a deployment, not of a registration"
        remedy = "leave it out here; the platform may ignore it or refuse the deployment"
    elif sure:
        what = f"{shown(name)} is not a parameter that IBM documents"
        remedy = f"did you mean {close}?"
    else:
        what = f"{shown(name)} is not among the parameters that IBM documents"
        remedy = f"documented: {', '.join(KNOWN)}; what the platform does with others is unknown"
    return at_key(node, "unknown-parameter", what, remedy, warning=not sure)


def _whole_numbers(node: Node, name: str, least: int) -> Iterator[Finding]:
    for value in _scalars(node.at("default"), *_bounds(node), *node.at("options").items):
        if isinstance(value.value, bool) or not isinstance(value.value, int):
            what = f"{name} is a whole number, not {_kind(value)}"
            yield at_value(value, "parameter-value", what, f"write {_whole(value)}")
        elif value.value < least:
            key = value.path[-1] if isinstance(value.path[-1], str) else "the option"
            what = f"{key} {value.value} is below IBM's lower bound of {name}, {least}"
            yield at_value(value, "parameter-bound", what, f"write {least} or more")


def _texts(node: Node, name: str, documented: tuple[str, ...]) -> Iterator[Finding]:
    """One of the documented options, where there are any; and no bounds beside what is no number."""
    default = node.at("default")
    for value in _scalars(default, *node.at("options").items):
        if documented and value.value not in documented:
            what = f"{name} is {' or '.join(documented)}, not {shown(value.value)}"
            yield at_value(value, "parameter-value", what, f"write {documented[0]}")
    for bound in _bounds(node) if _is_scalar(default) and default.number is None else ():
        what = f"{bound.path[-1]} is for numbers; the default is {_kind(default)}"
        remedy = "leave it out; name the values that may be chosen under options"
        yield at_key(bound, "parameter-value", what, remedy)


def _order(node: Node) -> Iterator[Finding]:
    """IBM: min ≤ value ≤ max."""
    low, high, default = (node.at(key) for key in ("min", "max", "default"))
    least = low.number if low.number is not None else -math.inf
    most = high.number if high.number is not None else math.inf
    if least > most:
        what = f"min {shown(least)} is above max {shown(most)}"
        yield at_value(low, "parameter-range", what, "write min ≤ default ≤ max")
    elif default.number is not None:
        if default.number < least:
            what = f"default {shown(default.number)} is below min {shown(least)}"
            remedy = f"write {shown(least)} or more, or a smaller min"
            yield at_value(default, "parameter-range", what, remedy)
        if default.number > most:
            what = f"default {shown(default.number)} is above max {shown(most)}"
            remedy = f"write {shown(most)} or less, or a larger max"
            yield at_value(default, "parameter-range", what, remedy)
        for option in node.at("options").items:
            if option.number is not None and not least <= option.number <= most:
                what = f"option {shown(option.number)} lies outside min and max"
                yield at_value(option, "parameter-range", what, "write options between min and max")


def _options(node: Node, name: str, documented: tuple[str, ...]) -> Iterator[Finding]:
    """IBM: a list of values of one type, the value a member of it."""
    options, default = node.at("options"), node.at("default")
    scalars = _scalars(*options.items)
    if options.value == ():
        remedy = "list the values that may be chosen, or remove the line"
        yield at_value(options, "parameter-options", f"options of {name} is empty", remedy)
    seen: list[tuple[str, object]] = []
    for option in scalars:
        key = (_type(option), option.value)
        if key in seen:
            what = f"option {shown(option.value)} stands twice"
            yield at_value(option, "parameter-options", what, "remove one of them")
        seen.append(key)
    if not options.items or not _is_scalar(default):
        return
    wrong = [option for option in scalars if _type(option) != _type(default)]
    for option in wrong:
        what = f"option {shown(option.value)} is {_type(option)}, the default is {_type(default)}"
        yield at_value(option, "parameter-options", what, f"write every option as {_type(default)}")
    if documented and default.value not in documented:
        return  # said already, and adding it to the options would not help
    if not wrong and len(scalars) == len(options.items) and (_type(default), default.value) not in seen:
        what = f"default {shown(default.value)} is not among the options"
        offer = flow([*(option.plain() for option in options.items[:8]), default.plain()])
        yield at_value(default, "parameter-options", what, f"write one of the options, or options: {offer}")


def _related(parameters: Node, relation: _Relation) -> Iterator[Finding]:
    for key in (*relation.errors, *relation.doubts):
        node = parameters.at(relation.larger, key)
        high, low = node.number, parameters.at(relation.smaller, key).number
        if high is not None and low is not None and not relation.holds(high, low):
            values = {"key": key, "high": shown(high), "low": shown(low)}
            what, remedy = relation.what.format(**values), relation.remedy.format(**values)
            yield at_value(node, "parameter-relation", what, remedy, warning=key in relation.doubts)


def _against_default(parameters: Node, relation: _Relation) -> Iterator[Finding]:
    """A warning where only one of the two is registered and the platform's default of the other breaks the relation."""
    larger, smaller = relation.larger, relation.smaller
    if relation.must_be is None or (larger in parameters.entries) == (smaller in parameters.entries):
        return
    given, absent = (larger, smaller) if larger in parameters.entries else (smaller, larger)
    node, default = parameters.at(given, "default"), KNOWN[absent].platform_default
    if node.number is None or not isinstance(default, int):
        return
    high, low = (node.number, default) if given == larger else (default, node.number)
    if not relation.holds(high, low):
        what = f"{larger} must be {relation.must_be} {smaller}, and {absent} is left to the platform's default of {default}"
        remedy = f"write {absent}: {{default: …}} as well"
        yield at_value(node, "parameter-relation", what, remedy, warning=True)


def _bounds(node: Node) -> list[Node]:
    """Min and max, where they are numbers; where not, the rule on types has spoken."""
    return [bound for key in ("min", "max") if (bound := node.at(key)).number is not None]


def _scalars(*nodes: Node) -> list[Node]:
    return [node for node in nodes if _is_scalar(node)]


def _is_scalar(node: Node) -> bool:
    return isinstance(node.value, str | int | float) and not node.doubt


def _type(node: Node) -> str:
    """IBM's three types of values."""
    return "a number" if node.number is not None else _kind(node)


def _kind(node: Node) -> str:
    if isinstance(node.value, bool):
        return "true or false"
    if isinstance(node.value, float):
        return "a number with a point"
    return "text" if isinstance(node.value, str) else "a number"


def _whole(node: Node) -> str:
    if isinstance(node.value, float):
        return str(round(node.value))
    text = str(node.value).strip()
    return f"{text} without quotes" if text.isdecimal() and len(text) < 19 else "e.g. 2048"  # noqa: PLR2004


def _name(version: Version) -> str:
    return f"{version[0]}.{version[1]}"
