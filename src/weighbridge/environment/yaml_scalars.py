"""What a plain (unquoted) YAML scalar means, and short YAML texts for messages.

YAML 1.1 (PyYAML, most of Kubernetes' older tools) and YAML 1.2 (editors) disagree on ``no``, ``010``, ``1_000``,
``12:30`` or ``1e3``. Where they do, the file's meaning would depend on its reader, so such a scalar carries a doubt and
is refused with the unambiguous spelling.
"""

import json
import math
import re
from collections.abc import Mapping

from weighbridge.environment.secret_shapes import shown
from weighbridge.environment.tree import Plain

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
YES = frozenset({"yes", "Yes", "YES", "on", "On", "ON"})
NO = frozenset({"no", "No", "NO", "off", "Off", "OFF"})
_MAX_DIGITS = 18
_LONGEST_NUMBER = 100
_DISPUTED = tuple(
    (re.compile(pattern), why)
    for pattern, why in (
        (r"[-+]?0[0-9_]+", "YAML 1.1 reads {} as an octal number, YAML 1.2 as a decimal one"),
        (
            r"[-+]?0(o[0-7]+|x[0-9a-fA-F_]+|b[01_]+)",
            "readers disagree on {}: a number in another base, or text",
        ),
        (
            r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?",
            "YAML 1.1 reads {} as a number in base 60, YAML 1.2 as text",
        ),
        (r"[-+]?[0-9][0-9_]*_[0-9_]*(\.[0-9_]*)?", "YAML 1.1 reads {} as a number, YAML 1.2 as text"),
        (r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "{} is not a finite number"),
        (r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][0-9]+", "YAML 1.1 reads {} as text, YAML 1.2 as a number"),
        (r"[-+]?[0-9]+[eE][-+][0-9]+", "YAML 1.1 reads {} as text, YAML 1.2 as a number"),
    )
)
_POINT_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+][0-9]+)?")
_PLAIN_TEXT = re.compile(
    r"[A-Za-z_/.~][A-Za-z0-9_/.+@*-]*(?::[A-Za-z0-9_/.+@-]+)*|[0-9]+[A-Za-z][A-Za-z0-9-]*"
)


def resolve(text: str) -> tuple[str | int | float | bool | None, str]:
    """Return the value of a plain scalar and, if readers disagree on it or it is no finite number, why it is in doubt.

    A scalar in doubt keeps its text as its value.
    """
    if text in _NULL:
        return None, ""
    if text in _TRUE:
        return True, ""
    if text in _FALSE:
        return False, ""
    if text in YES | NO:
        return text, f"YAML 1.1 reads {text} as {str(text in YES).lower()}, YAML 1.2 as text"
    if re.fullmatch(r"[-+]?(0|[1-9][0-9]*)", text):
        return (int(text), "") if len(text) <= _MAX_DIGITS else (text, "the number is too large")
    return _resolve_rare(text)


def _resolve_rare(text: str) -> tuple[str | float, str]:
    if len(text) > _LONGEST_NUMBER:
        return text, ""
    for pattern, why in _DISPUTED:
        if pattern.fullmatch(text):
            return text, why.format(text)
    if _POINT_NUMBER.fullmatch(text) is None:
        return text, ""
    value = float(text)
    return (value, "") if math.isfinite(value) else (text, "the number is too large")


def flow(value: Plain) -> str:
    """Return a value as one line of YAML in flow style, secrets hidden."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(flow(item) for item in value) + "]"
    return _text(value) if isinstance(value, str) else json.dumps(value)


def _text(text: str) -> str:
    plain = _PLAIN_TEXT.fullmatch(text) and resolve(text) == (text, "")
    quoted = shown(text)
    return text if plain and json.dumps(text) == quoted else quoted
