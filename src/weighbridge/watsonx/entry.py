"""One element of ``spec.custom_foundation_models``."""

import json
from dataclasses import dataclass
from typing import Final, Self

from weighbridge.domain.digest import Json, digest

_LARGEST_EXACT: Final = 2**53


def _plain(value: Json) -> Json:
    """Return ``value`` with whole floats as integers and keys in reading order.

    Kubernetes stores ``1.0`` as ``1``; Pulumi knows doubles only, and does not keep the order of keys.
    """
    match value:
        case float() if value.is_integer() and abs(value) <= _LARGEST_EXACT:
            return int(value)
        case list():
            return [_plain(item) for item in value]
        case dict():
            return {key: _plain(value[key]) for key in sorted(value, key=_reading_order)}
        case _:
            return value


_FIRST: Final = ("model_id", "location", "pvc_name", "name", "default", "min", "max")


def _reading_order(key: str) -> tuple[int, str]:
    return (_FIRST.index(key) if key in _FIRST else len(_FIRST), key)


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One element of the list, immutable. Two entries are equal if their JSON is equal (``1`` equals ``1.0``, but not true)."""

    model_id: str
    digest: str
    """``sha256:…`` of the canonical JSON."""
    text: str
    """JSON with the keys in reading order."""

    @classmethod
    def of(cls, value: Json) -> Self:
        """Return ``value`` as an entry.

        Raise ``ValueError`` if it is not an object, or its ``model_id`` is empty or not a text.
        """
        if not isinstance(value, dict):
            msg = f"an entry is an object with a model_id, not {json.dumps(value)[:80]}"
            raise ValueError(msg)  # noqa: TRY004  callers handle one kind of malformed entry
        model_id = value.get("model_id")
        if not isinstance(model_id, str) or not model_id:
            msg = f"model_id is a text that is not empty, not {json.dumps(model_id)[:80]}"
            raise ValueError(msg)
        plain = _plain(value)
        return cls(model_id, digest(plain), json.dumps(plain, ensure_ascii=False))

    def value(self) -> dict[str, Json]:
        """Return a new copy as parsed JSON."""
        parsed: dict[str, Json] = json.loads(self.text)
        return parsed

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Entry) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


def entries_by_id(live: Json) -> dict[str, tuple[tuple[int, Entry], ...]]:
    """Return model_id → (index, entry) of every element of ``live`` that has one, duplicates included."""
    found: dict[str, tuple[tuple[int, Entry], ...]] = {}
    for index, element in enumerate(live if isinstance(live, list) else ()):
        try:
            entry = Entry.of(element)
        except ValueError:
            continue  # an element without a valid model_id cannot be ours: leave it alone
        found[entry.model_id] = (*found.get(entry.model_id, ()), (index, entry))
    return found
