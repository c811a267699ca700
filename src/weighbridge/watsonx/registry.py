"""Our entries of the ``Watsonxaiifm`` resource, on a real API server.

This module never creates, annotates or watches the resource (a namespace's ``edit`` role may not). Every write is a
JSON patch that the API server refuses if the list has changed since it was read. What we are about to write is first
recorded in a ConfigMap of our own.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol

from weighbridge.core.events import Event, Observer
from weighbridge.domain.clock import Clock, SystemClock
from weighbridge.domain.digest import Json
from weighbridge.domain.naming import intents_name, is_ours, object_labels
from weighbridge.errors import PreconditionError
from weighbridge.kubernetes.client import CONFIG_MAP, WATSONX_IFM, ApiRefusedError, Kind, Object
from weighbridge.watsonx.attempt import Attempt, require_writable, warnings_of
from weighbridge.watsonx.blame import only_others
from weighbridge.watsonx.custom_resource import LiveCustomResource, parse_custom_resource
from weighbridge.watsonx.entries import RegistrationState
from weighbridge.watsonx.entry import Entry
from weighbridge.watsonx.merge import Merge, three_way
from weighbridge.watsonx.ownership import resolved, unproven_words
from weighbridge.watsonx.reconciled import Mark, Pace, overwritten, standing
from weighbridge.watsonx.record import Intents, Written, parse_intents
from weighbridge.watsonx.refusals import Refused
from weighbridge.watsonx.view import planned_entries, seen_by_looking, standing_entries


def others_failure(live: LiveCustomResource, intents: Intents) -> str | None:
    """Return in words that the operator failed only for entries of others, while ours stand as written. Return
    ``None`` if it did not fail, or if that cannot be told.
    """
    mark, said = intents.mark, live.status.failure
    if said is None or mark is None or mark.intended is not None or overwritten(mark, live) is not None:
        return None
    ours: dict[str, Entry | None] = dict.fromkeys(dict(mark.entries))
    ours |= {model_id: intent.entry for model_id, intent in intents.models.items()}
    named = only_others(said, live.models, ours)
    if not named:
        return None
    return (
        f"the operator failed on {live.where}, and names {', '.join(named)} alone, which others registered: {said}. Ours stand as they"
        " were written, and it has looked at them; ask whoever registered what it names"
    )


class KubeApi(Protocol):
    """The part of ``kubernetes.client.Kube`` that is used here."""

    @property
    def where(self) -> str: ...

    def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object | None: ...

    def create(self, kind: Kind, body: Object) -> Object: ...

    def merge(self, kind: Kind, name: str, namespace: str | None, patch: Object) -> Object: ...

    def json_patch(
        self, kind: Kind, name: str, namespace: str | None, operations: Sequence[Object]
    ) -> Object: ...

    def delete(self, kind: Kind, name: str, namespace: str | None = None) -> bool: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """Time limits, in seconds."""

    write: float = 120.0
    """For one write, while others write too or the API server is temporarily unreachable."""
    quiet: float = 20.0
    """How long to wait for a run of the operator before writing during the run."""
    stuck: float = 300.0
    """A running operator without a new report for this long counts as stuck: do not write."""
    reconcile: float = 1800.0
    nudge_after: float = 5.0
    """Pause after ``Failed``, before the operator is asked once to look again."""


def _silent(_: Event) -> None:
    """Drop the event."""


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
        """Return the custom resource now, or ``None`` if there is none."""
        raw = self.kube.get(WATSONX_IFM, self.name, self.namespace)
        return parse_custom_resource(raw) if raw is not None else None

    def read(self) -> LiveCustomResource:
        """Return the custom resource now. Raise ``PreconditionError`` if there is none, or if it cannot hold a list."""
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
        """Return the record of what this environment wrote or intended to (``ownership.resolved`` says how much of it
        is true).
        """
        found = self.kube.get(CONFIG_MAP, intents_name(self.environment), self.namespace)
        return parse_intents((found or {}).get("data") or {})

    def plan(
        self, old: Iterable[Entry], new: Iterable[Entry], adopt: frozenset[str] = frozenset()
    ) -> tuple[LiveCustomResource, Merge | Refused]:
        """Return what :meth:`write` would do now. Write nothing."""
        live = self.read()
        intents = resolved(self.intents(), live)
        known = (*old, *intents.known())
        return live, three_way(known, live.models, new, adopt, unproven=intents.unproven)

    def look(self, wanted: tuple[Mapping[str, Json], ...], adopt: frozenset[str]) -> RegistrationState:
        """Return the list as it would be after a write of ``wanted``, our present entries, and the operator's status.

        If nothing is wanted, it is the list as it is. An entry of ours that somebody edited is not refused here: it
        shows as an update, which an apply then makes. Raise ``PreconditionError`` if another author made an entry of
        a wanted model, or if it is there twice; and, if something would change, while the owner forbids changes.
        """
        live = self.read()
        intents = resolved(self.intents(), live)
        ours = intents.ours
        known = (*intents.known(), *seen_by_looking(live.models, ours))
        new = tuple(Entry.of(dict(entry)) for entry in wanted)
        merge = three_way(known if new else (), live.models, new, adopt, unproven=intents.unproven)
        if isinstance(merge, Refused):
            raise merge.error(live.where)
        if not merge.is_empty:
            require_writable(live)
        found = standing_entries(live.models, ours)
        recorded = any(key in found for key in ours)
        mark = intents.mark or (Mark.unrecorded(live) if recorded else None)
        left = intents.unproven.keys() - adopt
        behind = standing(mark, live)
        blamed = (
            others_failure(live, intents)
            if behind is not None and mark is not None and mark.confirmed
            else None
        )
        return RegistrationState(
            entries=planned_entries(merge, ours, left),
            standing=found,
            status=live.status.describe(),
            unreconciled=None if blamed else behind,
            warnings=(*warnings_of(live), *unproven_words(sorted(left)), *([blamed] if blamed else [])),
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
        """Make our entries ``new``. ``old``: entries known to be ours, besides the recorded ones. ``seen``: what
        stood there when that was decided (see ``three_way``).

        Raise ``PreconditionError`` (nothing was written) if an entry is not ours to change, the owner forbids
        changes, or the operator is stuck. Raise ``StepFailedError`` if the API server refuses the entries, or the
        deadline passed. ``UnrecordedWriteError``: written, but not recorded.
        """
        wanted = tuple(new)
        attempt = Attempt(self, tuple(old), wanted, adopt, observer, seen)
        return attempt.until_written()

    def forget(self) -> None:
        """Delete the record of this environment. Leave an object with its name but without its labels."""
        name = intents_name(self.environment)
        found = self.kube.get(CONFIG_MAP, name, self.namespace)
        if found is not None and is_ours(found, self.environment):
            self.kube.delete(CONFIG_MAP, name, self.namespace)

    def record(self, before: Intents, after: Intents) -> None:
        """Write the intents' ConfigMap if it differs. Delete it if it is no longer needed."""
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
