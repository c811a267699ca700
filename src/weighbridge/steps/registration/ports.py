"""What the registration step needs of the world."""

from collections.abc import Mapping
from typing import Protocol

from weighbridge.core.events import Observer
from weighbridge.domain.digest import Json
from weighbridge.watsonx.entries import RegistrationState


class Registry(Protocol):
    """The ``Watsonxaiifm`` resource: somebody else's object with entries of ours in it."""

    def look(self, wanted: tuple[Mapping[str, Json], ...], adopt: frozenset[str]) -> RegistrationState:
        """Read it. ``PreconditionError`` where it is absent, where somebody else made an entry of our id (both shown), or
        where something would change while its owner forbids changes.

        An entry of ours that somebody edited is no refusal: it shows as an update, which an apply then makes.
        """
        ...

    def unconfirmed(self) -> bool:
        """Whether the operator is not known to have taken in our last write, a removal by an earlier run included."""
        ...

    def await_reconciled(self, observer: Observer) -> str:
        """Wait until the operator has reconciled after our last write; what was seen, in words. One that has failed is
        asked once to look again, which is announced. ``StepFailedError`` with the operator's message and the models of ours
        that it names where it failed again, or at the deadline.
        """
        ...
