"""The part of the package schema for ``weighbridge:index:Registrations``."""

from typing import Any, Final

from weighbridge.provider.resources.registration_inputs import DESCRIPTIONS

_ANY: Final = {"$ref": "pulumi.json#/Any"}
_TYPES: Final[dict[str, dict[str, Any]]] = {
    "inCluster": {"type": "boolean"},
    "entries": {"type": "object", "additionalProperties": _ANY},
    "adopt": {"type": "array", "items": {"type": "string"}},
}
_OUTPUTS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "written": (
        "entries as we wrote them last, by model_id",
        {"type": "object", "additionalProperties": _ANY},
    ),
    "digests": (
        "sha256 of each entry's canonical JSON, as written",
        {"type": "object", "additionalProperties": {"type": "string"}},
    ),
    "writtenAt": ("when the list was written last, by the API server's clock (RFC 3339)", {"type": "string"}),
    "crUid": ("UID of the custom resource", {"type": "string"}),
}


def registrations_schema() -> dict[str, Any]:
    """Return the value of the type's token in the package schema."""
    inputs = {
        key: {"description": text, **_TYPES.get(key, {"type": "string"})}
        for key, text in DESCRIPTIONS.items()
    }
    stored = {key: value for key, value in inputs.items() if key != "adopt"}
    outputs = {key: {"description": text, **kind} for key, (text, kind) in _OUTPUTS.items()}
    return {
        "description": "Our entries of spec.custom_foundation_models in one Watsonxaiifm resource; others' are untouched.",
        "inputProperties": inputs,
        "requiredInputs": ["clusterUid", "customResource", "entries", "environment", "namespace"],
        "properties": {**stored, **outputs},
        "required": ["digests", "entries", "written"],
    }
