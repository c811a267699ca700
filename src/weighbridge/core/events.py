"""What happens while weighbridge works, as values. Observers turn them into bars, plain lines or JSON lines."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class TransferProgress:
    """Bytes of one model's files so far."""

    model_id: str
    phase: str
    """``fetch``, ``read`` (from the source, to be pushed), ``push``, ``verify`` or ``publish``."""
    bytes: int
    total: int
    rate: float
    """Bytes per second, recent."""


@dataclass(frozen=True, slots=True)
class FileVerified:
    """The SHA-256 of one file's bytes on the volume is ``sha256``."""

    model_id: str
    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ResourceChanged:
    """Pulumi finished one resource."""

    stack: str
    type: str
    name: str
    op: str
    """``create``, ``update``, ``delete``, ``replace``, ``import``, ``refresh``."""


@dataclass(frozen=True, slots=True)
class StepStarted:
    key: str
    title: str
    item: str | None = None
    """The item that the step is for: a model's id."""


@dataclass(frozen=True, slots=True)
class StepEnded:
    key: str
    title: str
    outcome: str
    """``done``, ``unchanged``, ``declined``, ``skipped`` or ``failed``."""
    detail: str
    seconds: float
    item: str | None = None


@dataclass(frozen=True, slots=True)
class Note:
    text: str


@dataclass(frozen=True, slots=True)
class Warned:
    text: str


Event: TypeAlias = TransferProgress | FileVerified | ResourceChanged | StepStarted | StepEnded | Note | Warned

Observer: TypeAlias = Callable[[Event], None]
