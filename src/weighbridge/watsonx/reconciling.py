"""Our entries and the operator that takes them in: a write counts as done only when it was seen."""

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
    """Implement ``ports.Registry``: read and write as ``WatsonxRegistry``, and wait for the operator."""

    def confirm(self, mark: Mark) -> None:
        """Record that the operator has taken in the write of ``mark``, so that the next run need not wait again."""
        intents = self.intents()
        if (
            intents.mark is not None
            and intents.pending
            and intents.mark.written_at in {None, mark.written_at}
        ):
            self.record(intents, confirmed(intents, mark))

    def unconfirmed(self) -> bool:
        """Return whether the operator may not have taken in our last write; a removal counts as a write. Forget an
        intended write that was not done.
        """
        live, intents = self.find(), self.intents()
        return (self._resolved(intents, live) if live is not None else intents).pending

    def await_reconciled(self, observer: Observer) -> str:
        """Wait until the operator has reconciled after our last write; return what was seen.

        If the operator failed, announce it, ask it once to look again, and wait once more. If it failed only for
        entries of others, it has taken ours in: only warn. Raise ``StepFailedError`` with the operator's message if
        it failed again (and the models of ours that it names), with who undid our write, or at the deadline.
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
        """Record what the list shows about an interrupted write now: others may write at any moment and hide it."""
        found = resolved(intents, live)
        with contextlib.suppress(WeighbridgeError):  # if it cannot be recorded now, look again later
            self.record(intents, found)
            return found
        return intents

    def _others(self, mark: Mark) -> str | None:
        """Return the failure if it is only others' (see ``others_failure``). A failure that may be ours does not count."""
        return others_failure(self.read(), replace(self.intents(), mark=mark))

    def _await(self, mark: Mark, observer: Observer) -> Reconciled:
        return await_reconciled(self.read, mark, self.clock, self.limits.reconcile, observer, self.pace)

    def _first_look(self) -> tuple[Intents, LiveCustomResource | None]:
        """Return our record and the custom resource. Ask again while the API server is temporarily unreachable."""
        deadline = self.clock.monotonic() + self.limits.write
        while True:
            try:
                return self.intents(), self.find()
            except WeighbridgeError as error:
                if not is_transient(error) or self.clock.monotonic() >= deadline:
                    raise
            self.clock.sleep(1.0)
