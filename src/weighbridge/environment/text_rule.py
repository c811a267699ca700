"""How a rule on one text is attached to a type, and what it answers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import GetJsonSchemaHandler
from pydantic_core import CoreSchema


@dataclass(frozen=True, slots=True)
class Complaint:
    what: str
    remedy: str
    code: str
    warning: bool = False


def complain(what: str, remedy: str, code: str, *, warning: bool = False) -> tuple[Complaint, ...]:
    """Return the one thing that a rule has to say."""
    return (Complaint(what, remedy, code, warning),)


Check = Callable[[str], "tuple[Complaint, ...]"]


@dataclass(frozen=True, slots=True)
class TextRule:
    """An annotation: what a text must look like. Enforced by ``environment/shape.py``, not by pydantic."""

    check: Check
    pattern: str | None = None
    """For the JSON schema: what an editor can check."""
    may_be_empty: bool = False

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler(core)
        if self.pattern is not None:
            schema["pattern"] = self.pattern
        elif not self.may_be_empty:
            schema["minLength"] = 1
        return schema
