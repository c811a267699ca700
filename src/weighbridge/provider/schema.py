"""The provider's package schema, as ``pulumi package get-schema`` shows it."""

import json

from weighbridge.provider.resources import Types


def schema(version: str, types: Types) -> str:
    """Return the schema as JSON, with the part of each type from its module."""
    resources = {token: types.of(token).schema() for token in types}
    return json.dumps({"name": "weighbridge", "version": version, "resources": resources})
