"""A port: how a step names a part of the world that it works with."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Port(Generic[T]):
    """Names one thing of the world that steps work with; ``T`` is its protocol.

    ``make`` builds the real one from the parts that ``wiring.py`` has (a ``Workshop``), when it is first asked for. It
    imports what is heavy, so that naming a port costs nothing.
    """

    name: str
    make: Callable[[Any], T] = field(repr=False, compare=False)
