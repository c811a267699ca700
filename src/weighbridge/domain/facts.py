"""Facts by typed keys. Steps put in what they saw or made, and later steps read it."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Key(Generic[T]):
    """The name of one kind of fact. ``T`` is the type of its values."""

    name: str


class Facts:
    """Facts of one run, by key and part: a model's id, a stack's name, or nothing. Several threads may use it."""

    def __init__(self) -> None:
        self._values: dict[tuple[Key[Any], str], Any] = {}
        self._lock = threading.Lock()

    def one(self, key: Key[T], part: str = "") -> T | None:
        """Return the fact, or ``None`` if it was not put in."""
        with self._lock:
            return cast("T | None", self._values.get((key, part)))

    def known(self, key: Key[T], part: str = "") -> T:
        """Return the fact. Raise ``KeyError`` if it was not put in: then a step reads it before the step that finds it."""
        with self._lock:
            return cast("T", self._values[key, part])

    def all(self, key: Key[T]) -> Mapping[str, T]:
        """Return every part of ``key``, in the order in which they were put in."""
        with self._lock:
            return {part: value for (found, part), value in self._values.items() if found == key}

    def put(self, key: Key[T], value: T, part: str = "") -> None:
        """Store ``value``; replace an earlier one of the same key and part."""
        with self._lock:
            self._values[key, part] = value

    def put_all(self, key: Key[T], values: Mapping[str, T]) -> None:
        """Store several parts at once."""
        with self._lock:
            self._values |= {(key, part): value for part, value in values.items()}
