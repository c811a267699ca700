"""What the registration step needs from the world."""

from collections.abc import Mapping
from typing import Protocol

from weighbridge.core.events import Observer
from weighbridge.domain.digest import Json
from weighbridge.watsonx.entries import RegistrationState


class Registry(Protocol):
    """The ``Watsonxaiifm`` resource: an object of another owner that holds our entries."""

    def look(self, wanted: tuple[Mapping[str, Json], ...], adopt: frozenset[str]) -> RegistrationState:
        """Read the resource. Raise ``PreconditionError`` if it is missing, if another author made an entry with our
        id (the error shows both), or if something would change while its owner forbids changes.

        An entry of ours that somebody edited is not refused: the plan shows an update, and an apply makes it.
        """
        ...

    def unconfirmed(self) -> bool:
        """Return whether the operator may not have taken in our last write. A removal by an earlier run counts as a write."""
        ...

    def await_reconciled(self, observer: Observer) -> str:
        """Wait until the operator has reconciled after our last write; return in words what was seen. If it failed,
        ask it once to look again, and report that. Raise ``StepFailedError`` if it fails again or the deadline
        passes, with the operator's message and those of our models that it names.
        """
        ...
