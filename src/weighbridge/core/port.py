"""A port: how a step names a part of the world that it uses."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Port(Generic[T]):
    """The name of one part of the world that steps use. ``T`` is its protocol.

    ``make`` builds the real object from the parts that ``wiring.py`` has (a ``Workshop``), at its first use. ``make``
    itself imports the heavy modules, so declaring a port costs nothing.
    """

    name: str
    make: Callable[[Any], T] = field(repr=False, compare=False)
