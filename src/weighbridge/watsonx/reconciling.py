"""Our entries and the operator that takes them in: a write is done when it was seen to be, not before."""

import contextlib
from dataclasses import dataclass, replace
from typing import Final

from weighbridge.core.events import Observer, Warned
from weighbridge.errors import StepFailedError, WeighbridgeError, is_transient
from weighbridge.watsonx.custom_resource import LiveCustomResource
from weighbridge.watsonx.ownership import resolved
from weighbridge.watsonx.reconciled import OPERATOR_FAILED, Mark, Reconciled, await_reconciled, completed
from weighbridge.watsonx.record import Intents, confirmed
from weighbridge.watsonx.registry import WatsonxRegistry, others_failure
from weighbridge.watsonx.registry_nudge import explained, nudge

_LOOKED: Final = "it has looked after our write, and failed for entries of others alone"


@dataclass(frozen=True, slots=True)
class ReconcilingRegistry(WatsonxRegistry):
    """Implements ``ports.Registry``: reads and writes are ``WatsonxRegistry``'s, waiting is added."""

    def confirm(self, mark: Mark) -> None:
        """Remember that the operator has taken in the write of ``mark``, so that the next run need not wait again."""
        intents = self.intents()
        if (
            intents.mark is not None
            and intents.pending
            and intents.mark.written_at in {None, mark.written_at}
        ):
            self.record(intents, confirmed(intents, mark))

    def unconfirmed(self) -> bool:
        """Whether the operator is not known to have taken in our last write, a removal included. An intended one that was
        not done is forgotten.
        """
        live, intents = self.find(), self.intents()
        return (self._resolved(intents, live) if live is not None else intents).pending

    def await_reconciled(self, observer: Observer) -> str:
        """Wait until the operator has reconciled after our last write; returns what was seen.

        An operator that has failed is asked once to look again, which is announced, and waited for once more. One that has
        failed for others' entries alone has taken ours in: that is warned of.
        Raises ``StepFailedError``: the operator's message if it failed again and which models of ours it names, who
        undid our write, or the deadline.
        """
        intents, found = self._first_look()
        if found is not None and found.has_spec:
            intents = self._resolved(intents, found)
        if not intents.models and intents.mark and (found is None or found.uid != intents.mark.cr_uid):
            self.forget()
            return f"Watsonxaiifm {self.namespace}/{self.name} that held the entries is gone"
        live = found if found is not None and found.has_spec else self.read()
        mark = completed(intents.mark, live) if intents.mark else Mark.unrecorded(live)
        try:
            seen = self._await(mark, observer)
        except StepFailedError as failure:
            if failure.code != OPERATOR_FAILED:
                raise
            if (blamed := self._others(mark)) is not None:
                observer(Warned(blamed))
                self.confirm(mark)
                return _LOOKED
            mark = nudge(self, failure, mark, observer)
            try:
                seen = self._await(mark, observer)
            except StepFailedError as again:
                blamed = self._others(mark) if again.code == OPERATOR_FAILED else None
                if blamed is None:
                    raise explained(self, again) from failure
                observer(Warned(blamed))
                seen = Reconciled(_LOOKED)
        self.confirm(mark)
        return seen.evidence

    def _resolved(self, intents: Intents, live: LiveCustomResource) -> Intents:
        """What the list shows of an interrupted write is kept as long as it shows it: others may write at any moment."""
        found = resolved(intents, live)
        with contextlib.suppress(WeighbridgeError):  # what cannot be kept now is looked at again
            self.record(intents, found)
            return found
        return intents

    def _others(self, mark: Mark) -> str | None:
        """See ``others_failure``: a failure that may be ours is none of these."""
        return others_failure(self.read(), replace(self.intents(), mark=mark))

    def _await(self, mark: Mark, observer: Observer) -> Reconciled:
        return await_reconciled(self.read, mark, self.clock, self.limits.reconcile, observer, self.pace)

    def _first_look(self) -> tuple[Intents, LiveCustomResource | None]:
        """Our record and the custom resource, asked for again while the API server comes and goes."""
        deadline = self.clock.monotonic() + self.limits.write
        while True:
            try:
                return self.intents(), self.find()
            except WeighbridgeError as error:
                if not is_transient(error) or self.clock.monotonic() >= deadline:
                    raise
            self.clock.sleep(1.0)
