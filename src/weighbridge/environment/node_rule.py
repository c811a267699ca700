"""How a rule on a whole value is attached to a type, in place of what its shape would be checked for."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from weighbridge.environment.tree import Finding, Node


@dataclass(frozen=True, slots=True)
class NodeRule:
    """An annotation: who judges the value, whatever stands there. Enforced by ``environment/shape.py``, not by pydantic.

    For values of which nothing may be quoted, or of which more can be said than that they fit no type.
    """

    check: Callable[[Node], Iterable[Finding]]
    words: str | None = None
    """The type in words, for the reference; ``None``: those of the type itself."""
