"""What the stand-in makes of ``spec.custom_foundation_models``: which entries cannot work, and why.

The API server takes any shape here, so every shape must be answered. Required files are the documented ones, at the
root of the entry's place on the volume: config.json, tokenizer.json and the weights as safetensors.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

REQUIRED_FILES = ("config.json", "tokenizer.json")
WEIGHTS = "*.safetensors"


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a claim's files cannot be looked at."""

    reason: str


class Volumes(Protocol):
    """Where the files of a claim lie on this machine."""

    def folder(self, namespace: str, claim: str) -> Path | Unusable:
        """The volume's root folder, or why there is none. Raises lightkube's ApiError if the API server refuses."""
        ...


def problems(spec: Mapping[str, Any], namespace: str, volumes: Volumes) -> list[str]:
    """One sentence for each registration that cannot work, naming its model_id and what is missing; empty if all can."""
    entries = spec.get("custom_foundation_models")
    if entries is None:
        return []
    if not isinstance(entries, list):
        return [f"spec.custom_foundation_models must be a list, and is {_kind(entries)}"]
    found = []
    for position, entry in enumerate(entries):
        if (problem := _problem(entry, position, namespace, volumes)) is not None:
            found.append(problem)
    return found


def _problem(entry: object, position: int, namespace: str, volumes: Volumes) -> str | None:
    where = f"spec.custom_foundation_models[{position}]"
    if not isinstance(entry, Mapping):
        return f"{where} must be a mapping, and is {_kind(entry)}"
    model_id = entry.get("model_id")
    if not isinstance(model_id, str) or not model_id:
        return f"{where}.model_id must be a string, and is {_kind(model_id)}"
    problem = _unusable(entry.get("location"), namespace, volumes)
    return f"custom foundation model {model_id!r}: {problem}" if problem else None


def _unusable(location: object, namespace: str, volumes: Volumes) -> str | None:
    claim = location.get("pvc_name") if isinstance(location, Mapping) else None
    if not isinstance(location, Mapping) or not isinstance(claim, str) or not claim:
        return "location.pvc_name must name a PersistentVolumeClaim"
    sub_path = location.get("sub_path", "")
    if not isinstance(sub_path, str):
        return f"location.sub_path must be a string, and is {_kind(sub_path)}"
    root = volumes.folder(namespace, claim)
    if isinstance(root, Unusable):
        return root.reason
    missing = _missing(root, sub_path)
    return f"{missing} on PersistentVolumeClaim {claim}" if missing else None


def _missing(root: Path, sub_path: str) -> str | None:
    """What is missing of a model under ``root``/``sub_path``, in words."""
    folder = (root / sub_path.strip("/")).resolve()
    if not folder.is_relative_to(root.resolve()):
        return f"sub_path {sub_path!r} leaves the volume"
    if not folder.is_dir():
        return f"sub_path {sub_path!r} does not exist"
    place = f"sub_path {sub_path!r}" if sub_path.strip("/") else "the root"
    absent = [name for name in REQUIRED_FILES if not (folder / name).is_file()]
    if not any(weights.is_file() for weights in folder.glob(WEIGHTS)):
        absent.append(WEIGHTS)
    if absent:
        return f"{', '.join(absent)} missing at {place}"
    return None


def _kind(value: object) -> str:
    match value:
        case None:
            return "absent"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string" if value else "an empty string"
        case list():
            return "a list"
        case _:
            return "a mapping"
