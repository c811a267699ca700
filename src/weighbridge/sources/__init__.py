"""The sources of weights. ``SOURCES`` is the only registry: a source is its own module, and one line here."""

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
"""By kind, in the order of the reference."""


def chosen(plain: Mapping[str, Any]) -> Chosen[Any]:
    """Return the source in ``Chosen.plain``, from a playbook's variables. Raise ``PreconditionError`` for anything else."""
    rest = dict(plain)
    source = SOURCES.get(str(rest.pop("kind", "")))
    try:
        if source is not None:
            return Chosen(source, source.settings.model_validate_json(json.dumps(rest)))
    except (ValidationError, TypeError, ValueError):
        pass  # its text would quote its input, which may be a secret
    raise PreconditionError(
        f"this is no source: a kind ({', '.join(SOURCES)}) and its keys, secrets by reference, are due",
        remedy="Render the variables again; secrets are {env: NAME}, {file: PATH} or {secret: NAME}, never values.",
        code="source-malformed",
    )
