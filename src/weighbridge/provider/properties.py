"""Pulumi's property values on the wire: a ``Struct`` in which secrets and unknown values are marked.

The marks are part of Pulumi's protocol (pulumi/sdk ``resource/plugin/rpc.go`` and ``resource/sig/sig.go``).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from google.protobuf import struct_pb2

from weighbridge.domain.digest import Json

SIGNATURE_KEY: Final = "4dabf18193072939515e22adb298388d"
SECRET_SIGNATURE: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105  a public mark, no secret
UNKNOWN_TEXT: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWN: Final = frozenset(
    {
        UNKNOWN_TEXT,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # bool
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # array
        "030794c1-ac77-496b-92df-f27374a8bd58",  # asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # object
    }
)


@dataclass(frozen=True, slots=True)
class Properties:
    """Plain values, and the first keys of those that are secret or unknown, or contain a secret or unknown value."""

    values: Mapping[str, Json]
    secret: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()

    @property
    def empty(self) -> bool:
        return not self.values


def unmarshal(message: struct_pb2.Struct) -> Properties:
    """Return the plain values of ``message``. Drop nulls, as the engine does with inputs that are not set."""
    values: dict[str, Json] = {}
    secret, unknown = set(), set()
    for key, value in message.fields.items():
        marks: set[str] = set()
        plain = _plain(value, marks)
        if plain is None and not marks:
            continue
        values[key] = plain
        if "secret" in marks:
            secret.add(key)
        if "unknown" in marks:
            unknown.add(key)
    return Properties(values, frozenset(secret), frozenset(unknown))


def _plain(value: struct_pb2.Value, marks: set[str]) -> Json:
    match value.WhichOneof("kind"):
        case "string_value" if value.string_value in _UNKNOWN:
            marks.add("unknown")
            return None
        case "number_value":
            number = float(value.number_value)
            return int(number) if number.is_integer() else number
        case "list_value":
            return [_plain(item, marks) for item in value.list_value.values]
        case "struct_value":
            return _plain_object(value.struct_value, marks)
        case "string_value" | "bool_value" as kind:
            scalar: str | bool = getattr(value, kind)
            return scalar
        case _:
            return None


def _plain_object(message: struct_pb2.Struct, marks: set[str]) -> Json:
    fields = message.fields
    if SIGNATURE_KEY in fields and fields[SIGNATURE_KEY].string_value == SECRET_SIGNATURE:
        marks.add("secret")
        return _plain(fields["value"], marks)
    return {key: _plain(item, marks) for key, item in fields.items()}


def marshal(
    values: Mapping[str, Json], *, secret: Iterable[str] = (), unknown: Iterable[str] = ()
) -> struct_pb2.Struct:
    """Return ``values`` for the engine. Mark what is under a ``secret`` key; put a mark in place of ``unknown`` keys."""
    message = struct_pb2.Struct()
    secret_keys = set(secret)
    for key, value in values.items():
        if value is None:
            continue
        wrapped: Json = {SIGNATURE_KEY: SECRET_SIGNATURE, "value": value} if key in secret_keys else value
        message.fields[key].CopyFrom(_value(wrapped))
    for key in unknown:
        message.fields[key].string_value = UNKNOWN_TEXT
    return message


def _value(value: Json) -> struct_pb2.Value:
    match value:
        case bool():
            message = struct_pb2.Value(bool_value=value)
        case int() | float():
            message = struct_pb2.Value(number_value=float(value))
        case str():
            message = struct_pb2.Value(string_value=value)
        case list():
            message = struct_pb2.Value(
                list_value=struct_pb2.ListValue(values=[_value(item) for item in value])
            )
        case dict():
            fields = {key: _value(item) for key, item in value.items()}
            message = struct_pb2.Value(struct_value=struct_pb2.Struct(fields=fields))
        case None:
            message = struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
    return message
