"""The only place that renders: from templates to parsed Kubernetes objects.

Templates are strict about names (an unknown one is an error) and write every value as JSON, which is YAML. So no
value, whatever its content, can change a manifest's structure.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import yaml

from weighbridge.domain import sizing
from weighbridge.domain.digest import Json
from weighbridge.domain.naming import claim_name, object_labels
from weighbridge.domain.weights import SourceListing
from weighbridge.environment.types import Environment, Model
from weighbridge.errors import DefectError
from weighbridge.manifests.contexts import (
    ClaimContext,
    Context,
    EntryItem,
    ParameterItem,
    RegistrationContext,
)
from weighbridge.manifests.resources import share_dir

if TYPE_CHECKING:
    import jinja2

Object: TypeAlias = dict[str, Json]
"""One Kubernetes object, parsed."""


def render_claim(
    environment: Environment, model: Model, listing: SourceListing, current_size_bytes: int | None = None
) -> Object | None:
    """Return the model's PersistentVolumeClaim, or ``None`` if it uses an existing claim, which is not ours to
    declare.

    ``current_size_bytes``: what the claim requests now. Raise ``PreconditionError`` if ``storage.size`` is too small
    for the listing.
    """
    if model.storage.existing_pvc is not None:
        return None
    explicit = None if model.storage.size == "auto" else model.storage.size
    return render(
        ClaimContext(
            name=claim_name(environment.name, model.id),
            namespace=environment.cluster.namespace,
            labels=object_labels(environment.name, model.id),
            storage_class=model.storage.storage_class,
            access_mode=model.storage.access_mode.value,
            size=sizing.claim_size(
                listing.total_bytes, model.storage.keep, explicit=explicit, current_bytes=current_size_bytes
            ),
        )
    )


def render_registration(environment: Environment, places: Mapping[str, tuple[str, str]]) -> Object:
    """Return the ``Watsonxaiifm`` resource with only our entries: for reading, and as the source of our entries. It
    must never be applied as a whole (that would replace the list that other teams share).

    ``places``: model id → (claim, sub_path). Leave out a model without a place. The order is the environment file's.
    """
    return render(
        RegistrationContext(
            name=environment.cluster.custom_resource,
            namespace=environment.cluster.namespace,
            entries=tuple(
                _entry(model, *places[model.id]) for model in environment.models if model.id in places
            ),
        )
    )


def render_entries(environment: Environment, places: Mapping[str, tuple[str, str]]) -> list[Object]:
    """Return our items of ``spec.custom_foundation_models``; see ``render_registration``."""
    spec = cast("dict[str, list[Object]]", render_registration(environment, places)["spec"])
    return spec["custom_foundation_models"]


def render(context: Context) -> Object:
    """Return one object from its template. A template with any other result is our defect."""
    import jinja2  # noqa: PLC0415  what renders nothing starts without it

    values = {field.name: getattr(context, field.name) for field in fields(context)}
    try:
        text = jinja().get_template(context.template).render(values)
        found = yaml.load(text, _JsonNumbers)  # noqa: S506 - a SafeLoader
    except (jinja2.TemplateError, yaml.YAMLError, ValueError) as error:
        raise DefectError(f"template {context.template} cannot be rendered: {error}") from error
    if not isinstance(found, dict) or "kind" not in found:
        raise DefectError(f"template {context.template} does not give one Kubernetes object")
    return found


def to_yaml(value: Json, *, comment: str = "") -> str:
    """Return block-style YAML in the given key order, with every line of ``comment`` as a comment above it."""
    head = "".join(f"# {line}\n" for line in comment.splitlines())
    return head + "---\n" + yaml.dump(value, Dumper=_Blocks, sort_keys=False, allow_unicode=True, width=110)


@cache
def jinja() -> "jinja2.Environment":
    """Return the only template environment."""
    import jinja2  # noqa: PLC0415  likewise

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(share_dir("templates")),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - YAML, not HTML: every value goes through tojson
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["tojson"] = _to_json
    environment.globals.clear()  # one of them is called `namespace`, and would replace a missing value
    return environment


def _entry(model: Model, claim: str, sub_path: str) -> EntryItem:
    return EntryItem(
        model_id=model.id,
        claim=claim,
        sub_path=sub_path,
        tags=model.tags,
        functions=model.functions,
        parameters=tuple(
            ParameterItem(name=name, default=item.default, min=item.min, max=item.max, options=item.options)
            for name, item in model.parameters.items()
        ),
    )


_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
"""Characters that JSON allows unescaped and YAML 1.1 does not."""


def _to_json(value: Any) -> Any:
    import jinja2  # noqa: PLC0415  likewise
    from markupsafe import Markup  # noqa: PLC0415  likewise

    if isinstance(value, jinja2.Undefined):
        str(value)  # raises an error with the name
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return Markup(_UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text))  # noqa: S704 - YAML, not HTML


class _JsonNumbers(yaml.SafeLoader):
    """Reads JSON's ``1e-05`` as a number. YAML 1.1 reads it as a string, because it has no dot."""


_JsonNumbers.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?[eE][-+]?[0-9]+$"),
    list("-0123456789"),
)


class _Blocks(yaml.SafeDumper):
    """Writes texts of several lines as literal blocks, lists indented below their key, and no anchors."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - likewise
        super().increase_indent(flow, indentless=False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if _UNPRINTABLE.search(text) else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Blocks.add_representer(str, _text)
