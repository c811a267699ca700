"""What somebody meant who wrote another tool's spelling: IBM's custom resource, Kubernetes manifests, a URL for a source."""

from collections.abc import Mapping

from pydantic import BaseModel

from weighbridge.environment import types as env
from weighbridge.environment.base import Strict
from weighbridge.environment.ibm_entry import equivalent_model, is_entry, parameters_by_name, parameters_text
from weighbridge.environment.tree import Finding, Node, at_value
from weighbridge.sources import SOURCES

_FOREIGN: Mapping[type[BaseModel], Mapping[str, str]] = {
    env.Environment: {
        "custom_foundation_models": "that is the custom resource's list; write models:, and see `weighbridge render` for what becomes of it",
        "apiVersion": "that is a Kubernetes manifest's key; an environment file has none",
        "kind": "that is a Kubernetes manifest's key; an environment file has none",
        "metadata": "write name: and cluster: {namespace: …}",
        "spec": "that is a Kubernetes manifest's key; write its content under models:, cluster:, …",
        "model": "write models: and a list, even for one model",
    },
    env.Model: {
        "model_id": "write id",
        "location": "write storage: {existing_pvc: NAME}, or storage: {storage_class: NAME} for a claim that Weighbridge makes",
        "pvc_name": "write storage: {existing_pvc: NAME}",
        "sub_path": "leave it out: Weighbridge gives each version of the weights its own sub_path",
        "pvc": "write storage: {existing_pvc: NAME}",
        **{kind: f"write source: {{{kind}: {{…}}}}" for kind in SOURCES},
    },
    env.Storage: {
        "pvc_name": "write existing_pvc",
        "claim": "write existing_pvc",
        "storageClassName": "write storage_class",
        "accessModes": "write access_mode: and one mode",
        "class": "write storage_class",
        "sub_path": "leave it out: Weighbridge gives each version of the weights its own sub_path",
    },
    env.Parameter: {
        "name": "leave it out: the parameter's name is the key above",
        "value": "write default",
        "type": "leave it out",
    },
    env.Resources: {
        "requests": "write cpu: and memory: directly",
        "limits": "write cpu: and memory: directly",
    },
}


def foreign_key(key: str, model: type[BaseModel]) -> str | None:
    """Return what to write in place of a key that another format uses here, or None."""
    tables = [_FOREIGN.get(base, {}) for base in model.__mro__]
    tables.append(model.FOREIGN if issubclass(model, Strict) else {})
    return next((table[key] for table in tables if key in table), None)


def wrong_shape(node: Node) -> Finding | None:
    """Return a finding for a value whose shape is another format's, or None."""
    match node.path:
        case ("models",) if isinstance(node.value, Mapping):
            remedy = "start each model with a hyphen: models: [{id: …, source: …, storage: …}]"
            return at_value(node, "wrong-type", "models is a mapping; a list is due", remedy)
        case ("models", int()) if is_entry(node):
            what = "this is an entry of the Watsonxaiifm custom resource (model_id, location), not a model of an environment file"
            return at_value(node, "foreign-format", what, f"write instead:\n{equivalent_model(node)}")
        case ("models", int(), "parameters") if node.items and parameters_by_name(node).entries:
            what = (
                "parameters is a list, as in IBM's custom resource; here it is a mapping from name to values"
            )
            return at_value(node, "foreign-format", what, f"write instead:\n{parameters_text(node, '    ')}")
        case ("models", int(), "source") | ("models", int(), "source", str()) if node.string:
            meant = [found for kind in SOURCES.values() if (found := kind.meant_by(node.string))]
            what = "a URL" if "://" in node.string else "text"
            due = f"{what} stands where a mapping is due"
            return at_value(node, "wrong-type", due, meant[0]) if meant else None
        case _:
            return None
