"""Where weights come from. ``SOURCES`` is the only registry: a source is its own module, and one line here."""

import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from weighbridge.errors import PreconditionError
from weighbridge.sources.folder import Folder
from weighbridge.sources.interface import Chosen, Source
from weighbridge.sources.s3 import S3

_ALL: Final[tuple[Source[Any], ...]] = (
    S3(),
    Folder(),
)  # fmt: skip

SOURCES: Final[Mapping[str, Source[Any]]] = {source.kind: source for source in _ALL}
"""By kind, in the order in which the reference names them."""


def chosen(plain: Mapping[str, Any]) -> Chosen[Any]:
    """From ``Chosen.plain``, as variables of a playbook carry it. ``PreconditionError`` if it is not that."""
    rest = dict(plain)
    source = SOURCES.get(str(rest.pop("kind", "")))
    try:
        if source is not None:
            return Chosen(source, source.settings.model_validate_json(json.dumps(rest)))
    except (ValidationError, TypeError, ValueError):
        pass  # its text would quote what was written, perhaps a secret's value
    raise PreconditionError(
        f"this is no source: a kind ({', '.join(SOURCES)}) and its keys, secrets by reference, are due",
        remedy="Render the variables again; secrets are {env: NAME}, {file: PATH} or {secret: NAME}, never values.",
        code="source-malformed",
    )
