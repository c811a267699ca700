"""Write our entries once: look, merge, record, patch; start over if others wrote between the look and the patch."""

import contextlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Final, Protocol

from weighbridge.core.events import Note, Observer, Warned
from weighbridge.domain.clock import Clock
from weighbridge.domain.digest import canonical_json
from weighbridge.domain.naming import MANAGER
from weighbridge.errors import (
    ForbiddenError,
    PreconditionError,
    StepFailedError,
    WeighbridgeError,
    is_transient,
)
from weighbridge.kubernetes.client import WATSONX_IFM, ApiRefusedError, Kind, Object
from weighbridge.watsonx.custom_resource import LiveCustomResource, parse_custom_resource
from weighbridge.watsonx.entry import Entry, entries_by_id
from weighbridge.watsonx.merge import Merge, three_way
from weighbridge.watsonx.ownership import list_digest, resolved, unproven_words
from weighbridge.watsonx.reconciled import Baseline, Intended, Mark, overwritten
from weighbridge.watsonx.record import Intents, UnrecordedWriteError, Written, intend, settled
from weighbridge.watsonx.refusals import Refused


class Patching(Protocol):
    """The part of ``kubernetes.client.Kube`` that is used here."""

    def json_patch(
        self, kind: Kind, name: str, namespace: str | None, operations: Sequence[Object]
    ) -> Object: ...


class Patience(Protocol):
    """Seconds (``watsonx.registry.Limits``)."""

    @property
    def write(self) -> float: ...

    @property
    def quiet(self) -> float: ...

    @property
    def stuck(self) -> float: ...


class Registry(Protocol):
    """The part of ``watsonx.registry.WatsonxRegistry`` that is used here."""

    @property
    def kube(self) -> Patching: ...

    @property
    def namespace(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def limits(self) -> Patience: ...

    @property
    def clock(self) -> Clock: ...

    def read(self) -> LiveCustomResource: ...

    def intents(self) -> Intents: ...

    def record(self, before: Intents, after: Intents) -> None: ...


_CONFLICTS: Final = frozenset({HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY})
_UNKNOWN: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT})
"""Status codes below 500 after which the write may have been done nevertheless."""


@dataclass(slots=True)
class Attempt:
    """One write, repeated until it is done. ``old``, ``new``, ``adopt`` and ``seen`` as in ``three_way``."""

    registry: Registry
    old: tuple[Entry, ...]
    new: tuple[Entry, ...]
    adopt: frozenset[str]
    observer: Observer
    seen: Mapping[str, str] | None
    by_version: bool = False
    """Guard the patch by resourceVersion. Needed if the API server finds the list different although it reads equal:
    it compares numbers as text, so ``1e-7`` is not ``1e-07``.
    """
    tries: int = 0
    refused: set[str] = field(default_factory=set)
    """Digests of the lists that the API server refused to take from us."""

    def until_written(self) -> Written:
        """See ``WatsonxRegistry.write``."""
        clock = self.registry.clock
        deadline = clock.monotonic() + self.registry.limits.write
        while True:
            clock.sleep(0)  # a clock that can be cancelled raises here
            try:
                if (written := self._once()) is not None:
                    return written
                last = "others kept changing the list between our look and our write"
            except UnrecordedWriteError:
                raise
            except (PreconditionError, StepFailedError) as error:
                if not is_transient(error) or clock.monotonic() >= deadline:
                    self._take_back()
                    raise
                last = error.what
            if clock.monotonic() >= deadline:
                self._take_back()
                raise StepFailedError(
                    f"could not write {self.registry.name} within {self.registry.limits.write:.0f} s: {last}",
                    remedy="run the same command again; nothing of anybody's was changed",
                    code="registration-contended",
                    transient=True,
                )
            self.tries += 1
            # Short at first: the sooner the next look, the less time others have to write in between.
            clock.sleep(random.uniform(0.2, 1.0) * min(2.0, 0.02 * 2**self.tries))  # noqa: S311  jitter, no secret

    def _once(self) -> Written | None:
        """Look once and patch once. Return ``None`` if somebody wrote in between."""
        live, recorded = self._quiet(), self.registry.intents()
        intents = resolved(recorded, live, self.refused)
        known = (*self._old(recorded, intents), *intents.known())
        merge = three_way(known, live.models, self.new, self.adopt, self.seen, intents.unproven)
        if isinstance(merge, Refused):
            self._settle_record(recorded, intents)
            raise merge.error(live.where)
        left = {key: row for key, row in intents.unproven.items() if key not in self.adopt}
        if merge.is_empty:
            return self._nothing_to_do(live, recorded, intents, left)
        require_writable(live)
        for warning in (*warnings_of(live), *unproven_words(left)):
            self.observer(Warned(warning))
        before = [entry for copies in entries_by_id(live.models).values() for _, entry in copies]
        after = list_digest(merge.after)
        mark = Mark(
            live.uid,
            None,
            Baseline.of(live, exact=False),
            self._entries(merge, intents, left),
            intended=Intended(after, _written(intents.mark)),
        )
        wanted = [entry for entry in self.new if entry.model_id not in left]
        intended = intend(intents, before, wanted, mark, known)
        self.registry.record(recorded, intended)
        patched = self._patch(live, merge, after)
        return None if patched is None else self._wrote(patched, merge, intended, left)

    def _old(self, recorded: Intents, intents: Intents) -> tuple[Entry, ...]:
        """Return ``old`` without entries that our record shows to be gone: an entry with such an id now belongs to others."""
        gone = recorded.models.keys() - intents.models.keys()
        if intents.mark is not None and intents.mark.intended is None:
            gone |= intents.mark.removed - intents.models.keys()
        return tuple(entry for entry in self.old if entry.model_id not in gone)

    def _settle_record(self, recorded: Intents, intents: Intents) -> None:
        """Record what the list shows about an earlier write. Ignore a failure: the caller's own error matters more."""
        with contextlib.suppress(WeighbridgeError):
            self.registry.record(recorded, intents)

    def _take_back(self) -> None:
        """Remove the record of a write that the API server refused, before anybody relies on it."""
        if not self.refused:
            return
        with contextlib.suppress(WeighbridgeError):
            recorded = self.registry.intents()
            mark = recorded.mark
            if mark is not None and mark.intended is not None and mark.intended.after in self.refused:
                self.registry.record(recorded, resolved(recorded, self.registry.read(), self.refused))

    def _quiet(self) -> LiveCustomResource:
        """Return the custom resource, if possible between two runs of the operator."""
        registry, clock = self.registry, self.registry.clock
        live = registry.read()
        start = said_at = clock.monotonic()
        said = live.status.digest
        while live.status.running and self.tries == 0:
            now = clock.monotonic()
            if live.status.digest != said:
                said, said_at = live.status.digest, now
            if now - start >= registry.limits.quiet and said_at > start:
                break  # busy with other people's changes, but not stuck: write anyway
            if now - said_at >= registry.limits.stuck:
                raise PreconditionError(
                    f"the operator of {live.where} is under way since before and says nothing new: {live.status.describe()}",
                    remedy="look at its pod and log (ibm-cpd-watsonx-ai-ifm-operator); apply again when it is done",
                    code="operator-busy",
                )
            if now == start:
                self.observer(Note(f"waiting for the operator to end its run: {live.status.describe()}"))
            clock.sleep(1.0)
            live = registry.read()
        return live

    def _patch(self, live: LiveCustomResource, merge: Merge, after: str) -> LiveCustomResource | None:
        registry = self.registry
        guard = live.resource_version if self.by_version or not merge.list_present else None
        operations = [dict(operation) for operation in merge.patch(guard)]
        try:
            return parse_custom_resource(
                registry.kube.json_patch(WATSONX_IFM, registry.name, registry.namespace, operations)
            )
        except ForbiddenError:
            self.refused.add(after)
            raise
        except ApiRefusedError as error:
            if error.status < HTTPStatus.INTERNAL_SERVER_ERROR and error.status not in _UNKNOWN:
                self.refused.add(after)
            if error.status not in _CONFLICTS:
                raise
            now = registry.read()
            same_list = canonical_json(now.models) == canonical_json(live.models)
            if error.status == HTTPStatus.UNPROCESSABLE_ENTITY and same_list:
                if guard is None:
                    self.by_version = True
                elif now.resource_version == live.resource_version:
                    raise StepFailedError(
                        f"the API server does not accept our entries in {live.where}: {error.what}",
                        remedy="compare them with IBM's page on the properties of custom foundation models",
                        code="registration-rejected",
                    ) from error
            return None

    def _wrote(
        self, after: LiveCustomResource, merge: Merge, intended: Intents, left: Mapping[str, Entry]
    ) -> Written:
        writer = after.spec_written(MANAGER)
        at = writer.time.isoformat() if writer is not None and writer.time else None
        entries = intended.mark.entries if intended.mark is not None else ()
        mark = Mark(after.uid, at, Baseline.of(after, exact=True), entries)
        written = Written(after, merge.changes, mark, frozenset(left))
        try:
            self._as_wanted(after)
            self.registry.record(intended, self._settled(mark, left))
        except (PreconditionError, StepFailedError) as error:
            raise UnrecordedWriteError(error, written) from error
        return written

    def _as_wanted(self, after: LiveCustomResource) -> None:
        found = entries_by_id(after.models)
        for entry in self.new:
            if [copy for _, copy in found.get(entry.model_id, ())] != [entry]:
                raise StepFailedError(
                    f"what {after.where} holds for {entry.model_id} is not what was written: an admission webhook alters it",
                    remedy="ask the platform team which policy rewrites spec.custom_foundation_models",
                    code="registration-altered",
                )

    def _nothing_to_do(
        self, live: LiveCustomResource, recorded: Intents, intents: Intents, left: Mapping[str, Entry]
    ) -> Written:
        """Tidy the record. An interrupted run may have left it half written; or others made the list what we want,
        and the operator still has to take that in.
        """
        for warning in unproven_words(left):
            self.observer(Warned(warning))
        mark, ours = intents.mark, [entry for entry in self.new if entry.model_id not in left]
        if mark is None and not intents.ours and not ours:
            self.registry.record(recorded, intents)
            return Written(live, (), None, frozenset(left))  # there was never an entry of ours
        if mark is None or mark.written_at is None or overwritten(mark, live) is not None:
            made = mark is None or mark.written_at is None
            writer = (live.spec_written(MANAGER) if made else None) or live.spec_written()
            at = writer.time.isoformat() if writer is not None and writer.time else None
            gone = intents.ours.keys() | (mark.removed if mark is not None else frozenset())
            gone -= {entry.model_id for entry in self.new}
            here = tuple((entry.model_id, entry.digest) for entry in ours)
            known = mark or Mark.unrecorded(live)
            entries = (*here, *((model_id, None) for model_id in sorted(gone)))
            mark = Mark(live.uid, at, replace(known.baseline, exact=False), entries)
        self.registry.record(recorded, self._settled(mark, left))
        return Written(live, (), mark if ours else None, frozenset(left))

    def _settled(self, mark: Mark, left: Mapping[str, Entry]) -> Intents:
        """Return the record after a write. Drop unproven entries once no entry is wanted: then their owner does not matter."""
        ours = [entry for entry in self.new if entry.model_id not in left]
        return settled(ours, mark, left.values() if self.new else ())

    def _entries(
        self, merge: Merge, intents: Intents, left: Mapping[str, Entry]
    ) -> tuple[tuple[str, str | None], ...]:
        here = {entry.model_id: entry.digest for entry in self.new}
        gone = [change.model_id for change in merge.changes if change.after is None]
        return (
            *((model_id, digest) for model_id, digest in here.items() if model_id not in left),
            *((model_id, None) for model_id in dict.fromkeys((*gone, *intents.ours)) if model_id not in here),
        )


def _written(mark: Mark | None) -> Mark | None:
    """Return the last write that was done, or may have been done."""
    if mark is not None and mark.intended is not None:
        return mark.intended.before
    return mark


def require_writable(live: LiveCustomResource) -> None:
    """Raise ``PreconditionError`` while the custom resource's owner, or an upgrade, forbids changes."""
    if (obstacle := live.obstacle()) is not None:
        raise PreconditionError(
            f"{live.where} must not be changed now: {obstacle}",
            remedy="wait until its owner is done, or ask them; then apply again",
            code="cr-not-writable",
        )


def warnings_of(live: LiveCustomResource) -> tuple[str, ...]:
    """Return warnings for everybody who changes the list. They stop nothing."""
    if not live.gitops:
        return ()
    return (f"{live.where} is kept by {', '.join(map(str, live.gitops))}, which may undo what others write",)
