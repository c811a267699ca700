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
from collections.abc import Iterator, Mapping
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
    """Lower bound of a whole number; None for text."""
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


def check_parameters(parameters: Node, version: Version | None) -> Iterator[Finding]:
    """Yield what is wrong with ``parameters`` (name → ``{default, min, max, options}``).

    Without a version only the rules that hold for every version are applied.
    """
    for name, node in parameters.entries.items():
        known = KNOWN.get(name)
        yield from _known_name(node, name, version)
        yield from _values(node, name, known)
        yield from _order(node)
        yield from _options(node, name)
    yield from _at_least(parameters, "max_concurrent_requests", "max_batch_size", version)
    yield from _greater(parameters, "max_sequence_length", "max_new_tokens", version)
    yield from _room_for_tokens(parameters)


def _known_name(node: Node, name: str, version: Version | None) -> Iterator[Finding]:
    known = KNOWN.get(name)
    if known is None:
        yield _unknown_name(node, name)
    elif version is None:
        return
    elif version >= VLLM_VERSION and known.after is not None:
        yield at_key(
            node, "replaced-parameter", f"{name} is out of use in {_name(version)}", known.after, warning=True
        )
    elif version < VLLM_VERSION and known.before is not None:
        what = f"{name} is documented from 5.3 on, not for {_name(version)}"
        yield at_key(
            node,
            "replaced-parameter",
            what,
            f"for {_name(version)} IBM documents {known.before}",
            warning=True,
        )


def _unknown_name(node: Node, name: str) -> Finding:
    if name in OF_DEPLOYMENTS:
        what = f"{name} is documented as a parameter of a deployment, not of a registration"
        return at_key(
            node,
            "unknown-parameter",
            what,
            "leave it out here; the platform may ignore it or refuse the deployment",
            warning=True,
        )
    short = name[:100].lower().replace("-", "_")
    close = max(KNOWN, key=lambda word: difflib.SequenceMatcher(None, short, word).ratio())
    if difflib.SequenceMatcher(None, short, close).ratio() >= _SURE_TYPO:
        return at_key(
            node,
            "unknown-parameter",
            f"{shown(name)} is not a parameter that IBM documents",
            f"did you mean {close}?",
        )
    what = f"{shown(name)} is not among the parameters that IBM documents"
    return at_key(
        node,
        "unknown-parameter",
        what,
        f"documented: {', '.join(KNOWN)}; what the platform does with others is unknown",
        warning=True,
    )


def _values(node: Node, name: str, known: Known | None) -> Iterator[Finding]:
    """Types, documented options and lower bounds."""
    if known is None:
        yield from _numbers_only(node)
        return
    if known.options:
        for value in _scalars(node.get("default"), *_items(node, "options")):
            if value.value not in known.options:
                yield at_value(
                    value,
                    "parameter-value",
                    f"{name} is {' or '.join(known.options)}, not {shown(value.value)}",
                    f"write {known.options[0]}",
                )
        yield from _numbers_only(node)
        return
    for value in _scalars(node.get("default"), *_bounds(node), *_items(node, "options")):
        if isinstance(value.value, bool) or not isinstance(value.value, int):
            remedy = f"write {_whole(value)}"
            yield at_value(value, "parameter-value", f"{name} is a whole number, not {_kind(value)}", remedy)
        elif known.least is not None and value.value < known.least:
            what = f"{value.path[-1] if isinstance(value.path[-1], str) else 'the option'} {value.value} is below IBM's lower bound of {name}, {known.least}"
            yield at_value(value, "parameter-bound", what, f"write {known.least} or more")


def _numbers_only(node: Node) -> Iterator[Finding]:
    default = node.get("default")
    if default is None or not _is_scalar(default) or default.number is not None:
        return
    for bound in _bounds(node):
        if bound.number is not None:
            what = f"{bound.path[-1]} is for numbers; the default is {_kind(default)}"
            yield at_key(
                bound,
                "parameter-value",
                what,
                "leave it out; name the values that may be chosen under options",
            )


def _order(node: Node) -> Iterator[Finding]:
    """IBM: min ≤ value ≤ max."""
    low, high, default = (node.get(key) for key in ("min", "max", "default"))
    least, most, value = (part.number if part is not None else None for part in (low, high, default))
    if low is not None and least is not None and most is not None and least > most:
        yield at_value(
            low,
            "parameter-range",
            f"min {shown(least)} is above max {shown(most)}",
            "write min ≤ default ≤ max",
        )
        return
    if default is None or value is None:
        return
    if least is not None and value < least:
        yield at_value(
            default,
            "parameter-range",
            f"default {shown(value)} is below min {shown(least)}",
            f"write {shown(least)} or more, or a smaller min",
        )
    if most is not None and value > most:
        yield at_value(
            default,
            "parameter-range",
            f"default {shown(value)} is above max {shown(most)}",
            f"write {shown(most)} or less, or a larger max",
        )
    for option in _items(node, "options"):
        number = option.number
        if number is not None and (
            (least is not None and number < least) or (most is not None and number > most)
        ):
            yield at_value(
                option,
                "parameter-range",
                f"option {shown(number)} lies outside min and max",
                "write options between min and max",
            )


def _options(node: Node, name: str) -> Iterator[Finding]:
    """IBM: a list of values of one type, the value a member of it."""
    options, default = node.get("options"), node.get("default")
    if options is None or not isinstance(options.value, tuple):
        return
    if not options.items:
        yield at_value(
            options,
            "parameter-options",
            f"options of {name} is empty",
            "list the values that may be chosen, or remove the line",
        )
        return
    scalars = [option for option in options.items if _is_scalar(option)]
    seen: list[tuple[str, object]] = []
    for option in scalars:
        key = (_type(option), option.value)
        if key in seen:
            yield at_value(
                option,
                "parameter-options",
                f"option {shown(option.value)} stands twice",
                "remove one of them",
            )
        seen.append(key)
    if default is None or not _is_scalar(default):
        return
    wrong = [option for option in scalars if _type(option) != _type(default)]
    for option in wrong:
        what = f"option {shown(option.value)} is {_type(option)}, the default is {_type(default)}"
        yield at_value(option, "parameter-options", what, f"write every option as {_type(default)}")
    documented = KNOWN[name].options if name in KNOWN else ()
    if documented and default.value not in documented:
        return  # said already, and adding it to the options would not help
    if not wrong and len(scalars) == len(options.items) and (_type(default), default.value) not in seen:
        offer = flow([*(option.plain() for option in options.items[:8]), default.plain()])
        yield at_value(
            default,
            "parameter-options",
            f"default {shown(default.value)} is not among the options",
            f"write one of the options, or options: {offer}",
        )


def _at_least(parameters: Node, larger: str, smaller: str, version: Version | None) -> Iterator[Finding]:
    """IBM: ``max_concurrent_requests`` ≥ ``max_batch_size``, for the values and so for the bounds of both ranges."""
    for key in ("default", "min", "max"):
        node, other = parameters.get(larger, key), parameters.get(smaller, key)
        if node is not None and other is not None:
            high, low = node.number, other.number
            if high is not None and low is not None and high < low:
                what = f"{key} {shown(high)} of {larger} is less than {key} {shown(low)} of {smaller}"
                yield at_value(
                    node,
                    "parameter-relation",
                    what,
                    f"write {shown(low)} or more here, or {shown(high)} or less there",
                )
    yield from _against_default(parameters, larger, smaller, version, equal_is_fine=True)


def _greater(parameters: Node, larger: str, smaller: str, version: Version | None) -> Iterator[Finding]:
    """IBM: ``max_sequence_length`` > ``max_new_tokens``. Ranges that merely allow a bad pair are a warning."""
    for key in ("default", "min", "max"):
        node, other = parameters.get(larger, key), parameters.get(smaller, key)
        if node is None or other is None:
            continue
        high, low = node.number, other.number
        if high is None or low is None or high > low:
            continue
        what = f"{key} {shown(high)} of {larger} is not greater than {key} {shown(low)} of {smaller}"
        yield at_value(
            node,
            "parameter-relation",
            what,
            f"write more than {shown(low)} here, or less than {shown(high)} there",
            warning=key != "default",
        )
    yield from _against_default(parameters, larger, smaller, version, equal_is_fine=False)


def _against_default(
    parameters: Node, larger: str, smaller: str, version: Version | None, *, equal_is_fine: bool
) -> Iterator[Finding]:
    """A warning where only one of the two is registered and the platform's default of the other breaks the rule."""
    if (
        version is None
        or version >= VLLM_VERSION
        or (larger in parameters.entries) == (smaller in parameters.entries)
    ):
        return
    given, absent = (larger, smaller) if larger in parameters.entries else (smaller, larger)
    node, default = parameters.get(given, "default"), KNOWN[absent].platform_default
    value = node.number if node is not None else None
    if node is None or value is None or not isinstance(default, int):
        return
    high, low = (value, default) if given == larger else (default, value)
    if high < low or (high == low and not equal_is_fine):
        relation = "at least" if equal_is_fine else "greater than"
        what = f"{larger} must be {relation} {smaller}, and {absent} is left to the platform's default of {default}"
        yield at_value(
            node, "parameter-relation", what, f"write {absent}: {{default: …}} as well", warning=True
        )


def _room_for_tokens(parameters: Node) -> Iterator[Finding]:
    length, tokens = (
        parameters.get("max_model_length", "default"),
        parameters.get("max_new_tokens", "default"),
    )
    if (
        length is None
        or tokens is None
        or length.number is None
        or tokens.number is None
        or length.number > tokens.number
    ):
        return
    what = f"max_model_length {shown(length.number)} leaves no room for a prompt beside max_new_tokens {shown(tokens.number)}"
    yield at_value(
        length, "parameter-relation", what, f"write more than {shown(tokens.number)}", warning=True
    )


def _items(node: Node, key: str) -> tuple[Node, ...]:
    found = node.get(key)
    return found.items if found is not None else ()


def _bounds(node: Node) -> list[Node]:
    """Min and max, where they are numbers; where not, the rule on types has spoken."""
    return [
        bound for key in ("min", "max") if (bound := node.get(key)) is not None and bound.number is not None
    ]


def _scalars(*nodes: Node | None) -> list[Node]:
    return [node for node in nodes if node is not None and _is_scalar(node)]


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
