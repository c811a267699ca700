"""The types of resource. To add one, add a line here and a module beside this one."""

import importlib
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from typing import Final, TypeAlias

from weighbridge.errors import InputError
from weighbridge.provider.resource import Resource

_REGISTERED: Final = {
    "weighbridge:index:Registrations": "weighbridge.provider.resources.registrations:Registrations",
}
"""Type token → ``module:class`` that makes its ``Resource``. It is imported when the engine first asks for the type."""

Make: TypeAlias = Callable[[], Resource]


def _make(place: str) -> Resource:
    module, _, name = place.partition(":")
    made: Resource = getattr(importlib.import_module(module), name)()
    return made


RESOURCES: Final[Mapping[str, Make]] = {token: partial(_make, place) for token, place in _REGISTERED.items()}


class Types:
    """The types of one provider process, each made at its first use."""

    def __init__(self, makers: Mapping[str, Make]) -> None:
        self._makers = dict(makers)
        self._made = lru_cache(maxsize=None)(lambda token: self._makers[token]())

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def of(self, token: str) -> Resource:
        """Return the type's resource. Raise ``InputError`` if there is no such type."""
        if token not in self._makers:
            there_are = "there is one" if len(self._makers) == 1 else "there are"
            raise InputError(
                f"weighbridge has no resource type {token}",
                remedy=f"{there_are}: {', '.join(self._makers)}",
                code="resource-type",
            )
        return self._made(token)
