"""Keys of the environment file that a step brings itself: their model, their rules, and how they are read.

The static types of ``environment/types.py`` know nothing of them; the type that a file is read with is made of those and
of every section. Whoever brings a section reads it through ``Section.read``, which is typed.
"""

from collections.abc import Callable, Iterable, Iterator
from copy import copy
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, Literal, TypeAlias, TypeVar, cast

from pydantic import Field, create_model

from weighbridge.environment.base import Strict
from weighbridge.environment.tree import Finding, Node, Plain
from weighbridge.environment.types import Environment, Model

T = TypeVar("T")

Holder: TypeAlias = Literal["environment", "model"]


def _no_rules(_: Node) -> Iterator[Finding]:
    yield from ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Section(Generic[T]):
    """One key of the file's top level, or of each model. ``T``: what is read there."""

    key: str
    annotation: Any
    """Of ``T``, with the rules on single values (``environment/base.py``); ``| None`` where ``default`` is ``None``."""
    default: T
    """Where the file does not have the key: a section is never required."""
    description: str
    """For the reference and the schema."""
    examples: tuple[Plain, ...]
    """At least one; messages show the first."""
    of: Holder = "environment"
    rules: Callable[[Node], Iterable[Finding]] = _no_rules
    """What is wrong between the fields of the section, given its node. Tolerant: what has another type was said already."""

    def read(self, holder: Environment | Model) -> T:
        """The section of an environment or of a model."""
        return cast("T", getattr(holder, self.key, self.default))


Sections: TypeAlias = tuple[Section[Any], ...]


@cache
def environment_type(brought: Sections) -> type[Environment]:
    """The type that a file is read with."""
    model = _with(Model, [section for section in brought if section.of == "model"])
    own = _with(Environment, [section for section in brought if section.of == "environment"])
    if model is Model:
        return own
    models = copy(Environment.model_fields["models"])
    models.annotation = tuple[model, ...]  # type: ignore[valid-type]  # made at run time
    return create_model(
        "Environment", __base__=own, __doc__=Environment.__doc__, __module__=__name__,
        models=(models.annotation, models),
    )  # fmt: skip


def check_sections(root: Node, brought: Sections) -> Iterator[Finding]:
    """What the sections' own rules say."""
    for section in brought:
        for holder in (root,) if section.of == "environment" else root.at("models").items:
            node = holder.get(section.key)
            if node is not None and node.value is not None:
                yield from section.rules(node)


S = TypeVar("S", bound=Strict)


def _with(base: type[S], brought: list[Section[Any]]) -> type[S]:
    if not brought:
        return base
    twice = [section.key for section in brought if section.key in base.model_fields]
    if twice or len({section.key for section in brought}) != len(brought):
        raise AssertionError(f"sections of {base.__name__} share a key: {', '.join(twice)}")
    fields: dict[str, Any] = {
        section.key: (
            section.annotation,
            Field(default=section.default, description=section.description, examples=list(section.examples)),
        )
        for section in brought
    }
    return create_model(base.__name__, __base__=base, __doc__=base.__doc__, __module__=__name__, **fields)
