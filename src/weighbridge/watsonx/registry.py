"""Our entries of the ``Watsonxaiifm`` resource, on a real API server.

Nothing here creates or annotates the resource, and nothing watches it (a namespace's ``edit`` role may not). Every write
is a JSON patch that the API server refuses if the list is not as it was read; what we are about to write is recorded
first, in a ConfigMap of our own.
"""

import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol

from weighbridge.core.events import Event, Note, Observer, Warned
from weighbridge.domain.digest import Json, canonical_json
from weighbridge.domain.naming import MANAGER, intents_name, object_labels
from weighbridge.errors import PreconditionError, StepFailedError, is_passing
from weighbridge.kubernetes.client import CONFIG_MAP, WATSONX_IFM, ApiRefusedError, Kind, Object
from weighbridge.watsonx.custom_resource import LiveCustomResource, parse_custom_resource
from weighbridge.watsonx.entry import Entry, entries_by_id
from weighbridge.watsonx.merge import Merge, three_way
from weighbridge.watsonx.reconciled import (
    Baseline,
    Clock,
    Mark,
    Pace,
    overwritten,
    standing,
)
from weighbridge.watsonx.record import (
    Intents,
    UnrecordedWriteError,
    Written,
    intend,
    parse_intents,
    settled,
)
from weighbridge.watsonx.refusals import Refused
from weighbridge.watsonx.view import planned_entries, seen_by_looking, standing_entries

if TYPE_CHECKING:
    from weighbridge.ports import RegistrationState


class KubeApi(Protocol):
    """What is used of ``kubernetes.client.Kube``."""

    @property
    def where(self) -> str: ...

    def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object | None: ...

    def create(self, kind: Kind, body: Object) -> Object: ...

    def merge(self, kind: Kind, name: str, namespace: str | None, patch: Object) -> Object: ...

    def json_patch(
        self, kind: Kind, name: str, namespace: str | None, operations: Sequence[Object]
    ) -> Object: ...

    def delete(self, kind: Kind, name: str, namespace: str | None = None) -> bool: ...


class SystemClock:
    """Real time."""

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds."""

    write: float = 120.0
    """For one write, while others write too or the API server comes and goes."""
    quiet: float = 20.0
    """How long a run of the operator is waited for before writing beside it."""
    stuck: float = 300.0
    """An operator under way that says nothing new for so long is not written to."""
    reconcile: float = 1800.0
    nudge_after: float = 5.0
    """After ``Failed``, before the operator is asked once to look again."""


def _silent(_: Event) -> None:
    """Nobody listens."""


@dataclass(frozen=True, slots=True)
class WatsonxRegistry:
    """The entries of one environment in one ``Watsonxaiifm`` resource."""

    kube: KubeApi
    namespace: str
    name: str
    environment: str
    limits: Limits = Limits()
    pace: Pace = field(default_factory=Pace)
    clock: Clock = field(default_factory=SystemClock)

    # -- reading -----------------------------------------------------------------------------------------------------

    def find(self) -> LiveCustomResource | None:
        """The custom resource now, or None where there is none."""
        raw = self.kube.get(WATSONX_IFM, self.name, self.namespace)
        return parse_custom_resource(raw) if raw is not None else None

    def read(self) -> LiveCustomResource:
        """The custom resource now. Raises ``PreconditionError`` if there is none, or none that can hold a list."""
        live = self.find()
        if live is None:
            raise PreconditionError(
                f"{self.kube.where} has no Watsonxaiifm {self.namespace}/{self.name}",
                remedy="watsonx.ai's operator makes it; name it in cluster.custom_resource, or install watsonx.ai first",
                code="cr-absent",
            )
        if not live.has_spec:
            raise PreconditionError(
                f"{live.where} has no spec, which its owner has to set", code="cr-without-spec"
            )
        return live

    def intents(self) -> Intents:
        """What this environment wrote, or meant to."""
        found = self.kube.get(CONFIG_MAP, intents_name(self.environment), self.namespace)
        return parse_intents((found or {}).get("data") or {})

    def plan(
        self, old: Iterable[Entry], new: Iterable[Entry], adopt: frozenset[str] = frozenset()
    ) -> tuple[LiveCustomResource, Merge | Refused]:
        """What :meth:`write` would do now. Writes nothing."""
        live = self.read()
        return live, three_way((*old, *self.intents().known()), live.models, new, adopt)

    def look(self, wanted: tuple[Mapping[str, Json], ...], adopt: frozenset[str]) -> "RegistrationState":
        """The list as it would be after a write of ``wanted``, what of ours stands in it, and the operator's word.

        With nothing wanted it is the list as it is. An entry of ours that somebody edited is not refused here: it shows
        as an update, which an apply then makes. Raises ``PreconditionError`` for an entry of a wanted model that
        somebody else made, or that stands there twice, and, where something would change, while the owner forbids it.
        """
        from weighbridge.ports import RegistrationState  # noqa: PLC0415  the provider's plugin starts without it

        live, intents = self.read(), self.intents()
        known = (*intents.known(), *seen_by_looking(live.models, intents.models))
        new = tuple(Entry.of(dict(entry)) for entry in wanted)
        merge = three_way(known if new else (), live.models, new, adopt)
        if isinstance(merge, Refused):
            raise merge.error(live.where)
        if not merge.is_empty:
            _require_writable(live)
        found = standing_entries(live.models, intents.models)
        recorded = any(key in found for key in intents.models)
        mark = intents.mark or (Mark.unrecorded(live) if recorded else None)
        return RegistrationState(
            entries=planned_entries(merge, intents.models),
            standing=found,
            status=live.status.describe(),
            unreconciled=standing(mark, live),
            warnings=_warnings(live),
        )

    # -- writing -----------------------------------------------------------------------------------------------------

    def write(
        self,
        old: Iterable[Entry],
        new: Iterable[Entry],
        adopt: frozenset[str] = frozenset(),
        observer: Observer = _silent,
        seen: Mapping[str, str] | None = None,
    ) -> Written:
        """Make our entries ``new``; ``old`` are those known to be ours, besides what was recorded. ``seen``: what stood there
        when that was decided (see ``three_way``).

        Raises ``PreconditionError`` (nothing was written): an entry is not ours to change, the owner forbids changes,
        an operator that is stuck. ``StepFailedError``: the API server refuses the entries, or the deadline passed.
        ``UnrecordedWriteError``: written, but not recorded.
        """
        wanted = tuple(new)
        attempt = _Attempt(self, tuple(old), wanted, adopt, observer, seen or {})
        return attempt.until_written()

    def forget(self) -> None:
        """Remove the record of this environment."""
        self.kube.delete(CONFIG_MAP, intents_name(self.environment), self.namespace)

    def record(self, before: Intents, after: Intents) -> None:
        """Write the intents' ConfigMap if it differs; one that is needed no more is removed."""
        name, old, new = intents_name(self.environment), before.data(), after.data()
        if old == new:
            return
        if after.spent:
            if old:
                self.forget()
            return
        labels = object_labels(self.environment)
        data: dict[str, str | None] = {**dict.fromkeys(old.keys() - new.keys()), **new}
        try:
            self.kube.merge(CONFIG_MAP, name, self.namespace, {"metadata": {"labels": labels}, "data": data})
        except ApiRefusedError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            metadata = {"name": name, "namespace": self.namespace, "labels": labels}
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": new}
            self.kube.create(CONFIG_MAP, body)


_CONFLICTS: Final = frozenset({HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY})


@dataclass(slots=True)
class _Attempt:
    """One write: looks, merges, records, patches, and starts over as long as others write between look and patch."""

    registry: WatsonxRegistry
    old: tuple[Entry, ...]
    new: tuple[Entry, ...]
    adopt: frozenset[str]
    observer: Observer
    seen: Mapping[str, str]
    by_version: bool = False
    """Guard the patch by resourceVersion: the API server found the list different though it reads equal (it compares
    numbers as text, ``1e-7`` is not ``1e-07``)."""
    tries: int = 0

    def until_written(self) -> Written:
        clock = self.registry.clock
        deadline = clock.monotonic() + self.registry.limits.write
        while True:
            clock.sleep(0)  # a clock that can be cancelled notices here
            try:
                if (written := self._once()) is not None:
                    return written
                last = "others kept changing the list between our look and our write"
            except UnrecordedWriteError:
                raise
            except (PreconditionError, StepFailedError) as error:
                if not is_passing(error):
                    raise
                last = error.what
                if clock.monotonic() >= deadline:
                    raise
            if clock.monotonic() >= deadline:
                raise StepFailedError(
                    f"could not write {self.registry.name} within {self.registry.limits.write:.0f} s: {last}",
                    remedy="run the same command again; nothing of anybody's was changed",
                    code="registration-contended",
                    transient=True,
                )
            self.tries += 1
            # Short at first: the sooner the next look, the shorter the window in which others can write.
            clock.sleep(random.uniform(0.2, 1.0) * min(2.0, 0.02 * 2**self.tries))  # noqa: S311  jitter, no secret

    def _once(self) -> Written | None:
        """One look and one patch; None if somebody wrote in between."""
        live, intents = self._quiet(), self.registry.intents()
        merge = three_way((*self.old, *intents.known()), live.models, self.new, self.adopt, self.seen)
        if isinstance(merge, Refused):
            raise merge.error(live.where)
        if merge.is_empty:
            return self._nothing_to_do(live, intents)
        _require_writable(live)
        for warning in _warnings(live):
            self.observer(Warned(warning))
        before = [entry for copies in entries_by_id(live.models).values() for _, entry in copies]
        mark = Mark(live.uid, None, Baseline.of(live, exact=False), self._entries(merge))
        intended = intend(intents, before, self.new, mark)
        self.registry.record(intents, intended)
        after = self._patch(live, merge)
        return None if after is None else self._wrote(after, merge, intended)

    def _quiet(self) -> LiveCustomResource:
        """The custom resource, between two runs of the operator if that can be had."""
        registry, clock = self.registry, self.registry.clock
        live = registry.read()
        start = said_at = clock.monotonic()
        said = live.status.digest
        while live.status.running and self.tries == 0:
            now = clock.monotonic()
            if live.status.digest != said:
                said, said_at = live.status.digest, now
            if now - start >= registry.limits.quiet and said_at > start:
                break  # busy but alive, with other people's changes: ours joins the queue
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

    def _patch(self, live: LiveCustomResource, merge: Merge) -> LiveCustomResource | None:
        registry = self.registry
        guard = live.resource_version if self.by_version or not merge.list_present else None
        try:
            operations = [dict(operation) for operation in merge.patch(guard)]
            return parse_custom_resource(
                registry.kube.json_patch(WATSONX_IFM, registry.name, registry.namespace, operations)
            )
        except ApiRefusedError as error:
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

    def _wrote(self, after: LiveCustomResource, merge: Merge, intended: Intents) -> Written:
        writer = after.spec_written(MANAGER)
        at = writer.time.isoformat() if writer is not None and writer.time else None
        mark = Mark(after.uid, at, Baseline.of(after, exact=True), self._entries(merge))
        written = Written(after, merge.changes, mark)
        try:
            self._as_wanted(after)
            self.registry.record(intended, settled(self.new, mark))
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

    def _nothing_to_do(self, live: LiveCustomResource, intents: Intents) -> Written:
        """Tidy the record: an interrupted run may have left it half written, or somebody else has made the list what we
        want, which the operator then has to take in as well.
        """
        mark = intents.mark
        if mark is None and not intents.models and not self.new:
            return Written(live, (), None)  # nothing of ours was ever here
        if mark is None or mark.written_at is None or overwritten(mark, live) is not None:
            made = mark is None or mark.written_at is None
            writer = (live.spec_written(MANAGER) if made else None) or live.spec_written()
            at = writer.time.isoformat() if writer is not None and writer.time else None
            gone = tuple(
                (model_id, None)
                for model_id in sorted(intents.models.keys() - {entry.model_id for entry in self.new})
            )
            here = tuple((entry.model_id, entry.digest) for entry in self.new)
            known = mark or Mark.unrecorded(live)
            mark = Mark(live.uid, at, replace(known.baseline, exact=False), (*here, *gone))
        self.registry.record(intents, settled(self.new, mark))
        return Written(live, (), mark if self.new else None)

    def _entries(self, merge: Merge) -> tuple[tuple[str, str | None], ...]:
        gone = [change.model_id for change in merge.changes if change.after is None]
        return (
            *((entry.model_id, entry.digest) for entry in self.new),
            *((model_id, None) for model_id in gone),
        )


def _require_writable(live: LiveCustomResource) -> None:
    """``PreconditionError`` while the custom resource's owner, or an upgrade, forbids changes."""
    if (obstacle := live.obstacle()) is not None:
        raise PreconditionError(
            f"{live.where} must not be changed now: {obstacle}",
            remedy="wait until its owner is done, or ask them; then apply again",
            code="cr-not-writable",
        )


def _warnings(live: LiveCustomResource) -> tuple[str, ...]:
    """What whoever changes the list should know, though it hinders nobody."""
    if not live.gitops:
        return ()
    return (f"{live.where} is kept by {', '.join(map(str, live.gitops))}, which may undo what others write",)
