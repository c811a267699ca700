"""The resource ``weighbridge:index:Registrations``: our entries of one custom resource for one environment.

All entries are one resource, because they are written by one patch and an operator takes them in serially.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, TypeAlias

from weighbridge.core.events import Event
from weighbridge.errors import PreconditionError
from weighbridge.provider.clusters import (
    Connection,
    context_of_run,
    identity,
    open_kube,
    refuse_other_cluster,
)
from weighbridge.provider.resource import (
    Operation,
    PartialFailureError,
    Problem,
    PropertyDifference,
    Stored,
    Values,
)
from weighbridge.provider.resources.registration_inputs import Inputs, check, entries_of, keyed, parse_id
from weighbridge.provider.resources.registration_schema import registrations_schema
from weighbridge.provider.resources.registration_state import State, after_write, entry_differences, known
from weighbridge.provider.seen import seen_by_plan
from weighbridge.watsonx.custom_resource import LiveCustomResource
from weighbridge.watsonx.entry import Entry, entries_by_id
from weighbridge.watsonx.merge import Merge
from weighbridge.watsonx.ownership import resolved
from weighbridge.watsonx.record import Intents, UnrecordedWriteError, Written
from weighbridge.watsonx.refusals import Refused

if TYPE_CHECKING:
    from weighbridge.kubernetes.client import Kube

_REPLACING: Final = ("namespace", "customResource", "environment")


class Registry(Protocol):
    """The part of ``watsonx/registry.py`` that is used here, for one custom resource."""

    def find(self) -> LiveCustomResource | None: ...

    def intents(self) -> Intents: ...

    def forget(self) -> None: ...

    def plan(
        self, old: Iterable[Entry], new: Iterable[Entry], adopt: frozenset[str]
    ) -> tuple[LiveCustomResource, Merge | Refused]: ...

    def write(
        self,
        old: Iterable[Entry],
        new: Iterable[Entry],
        adopt: frozenset[str],
        observer: Callable[[Event], None],
        seen: Mapping[str, str] | None,
    ) -> Written: ...


class Cluster(Protocol):
    """A connection to one cluster."""

    @property
    def where(self) -> str: ...

    def identity(self) -> str:
        """UID of namespace ``kube-system``."""
        ...

    def registry(self, namespace: str, name: str, environment: str) -> Registry: ...


Connect: TypeAlias = Callable[[Connection, Operation], Cluster]
"""Opens a cluster for one call."""


@dataclass(frozen=True, slots=True)
class _KubeCluster:
    kube: "Kube"
    operation: Operation

    @property
    def where(self) -> str:
        return self.kube.where

    def identity(self) -> str:
        return identity(self.kube)

    def registry(self, namespace: str, name: str, environment: str) -> Registry:
        from weighbridge.watsonx.registry import Limits, WatsonxRegistry  # noqa: PLC0415  after the port was printed

        limits = Limits(write=self.operation.seconds) if self.operation.seconds else Limits()
        return WatsonxRegistry(
            self.kube, namespace, name, environment, limits=limits, clock=self.operation.clock
        )


def _connect(connection: Connection, operation: Operation) -> Cluster:
    return _KubeCluster(open_kube(connection), operation)


@dataclass(frozen=True, slots=True)
class Registrations:
    """Implement ``provider.resource.Resource``."""

    connect: Connect = _connect

    identifying: ClassVar = frozenset({"clusterUid", "context", "inCluster"})
    unstored: ClassVar = frozenset({"adopt"})
    outcome: ClassVar = "written"
    sensitive: ClassVar = ("entries", "written")

    def schema(self) -> Mapping[str, Any]:
        return registrations_schema()

    def check(self, given: Values, unknown: Collection[str]) -> tuple[Problem, ...]:
        return check(given, unknown)

    def normalised(self, given: Values, unknown: Collection[str]) -> Values:
        """Return the entries by model_id."""
        entries = given.get("entries")
        if "entries" in unknown or not isinstance(entries, list):
            return {}
        return {"entries": keyed(entries_of(entries))}

    def refuse_other(self, inputs: Values, operation: Operation) -> None:
        self._cluster(Inputs.of(inputs), operation)

    def diff(self, old: Values, new: Values, unknown: Collection[str]) -> dict[str, PropertyDifference]:
        """Compare entry by entry, down to the single value."""
        state, wanted = State.of(old), Inputs.of(new)
        if state.inputs.cluster_uid and wanted.cluster_uid not in {state.inputs.cluster_uid, ""}:
            raise PreconditionError(
                f"this state belongs to cluster {state.inputs.cluster_uid}, not to {wanted.cluster_uid}",
                remedy="use another stack (or backend) for another cluster; destroy this one with its own context first",
                code="other-cluster",
            )
        found: dict[str, PropertyDifference] = {}
        have, want = state.inputs.as_json(), wanted.as_json()
        for key in _REPLACING:
            if key in unknown or have[key] != want[key]:
                found[key] = PropertyDifference("update", replaces=True)
        old_connection, new_connection = state.inputs.connection, wanted.connection
        if old_connection.context is not None and old_connection.context != new_connection.context:
            found["context"] = PropertyDifference("update" if new_connection.context else "delete")
        if old_connection.in_cluster and not new_connection.in_cluster:
            found["inCluster"] = PropertyDifference("delete")
        if "entries" in unknown:
            return found | {"entries": PropertyDifference("update")}
        return found | dict(entry_differences(state.inputs.entries, wanted.entries))

    def preview(self, old: Values | None, new: Values, operation: Operation) -> Stored:
        state, wanted = _typed(old), Inputs.of(new)
        registry = self._registry(wanted, operation)
        live, merge = registry.plan(known(state, wanted), wanted.entries, wanted.adopt)
        if isinstance(merge, Refused):
            raise merge.error(live.where)
        after = State(wanted, wanted.entries, state.written_at if state else None, live.uid)
        return after.stored(("writtenAt",) if state is None or not merge.is_empty else ())

    def write(self, old: Values | None, new: Values, operation: Operation) -> Stored:
        """Make the list hold the wanted entries."""
        state, wanted = _typed(old), Inputs.of(new)
        registry = self._registry(wanted, operation)
        try:
            written = registry.write(
                known(state, wanted),
                wanted.entries,
                wanted.adopt,
                operation.observer,
                _seen(wanted, _leaving(state, wanted.entries)),
            )
        except UnrecordedWriteError as error:
            raise PartialFailureError(error, after_write(wanted, error.written).stored()) from error
        return after_write(wanted, written).stored()

    def read(self, old: Values, operation: Operation) -> Stored | None:
        """Return the resource as the list shows it; ``None`` if the list is gone, or holds no entry of ours."""
        state = State.of(old)
        return self._read(state, self._registry(state.inputs, operation))

    def import_(self, identifier: str, operation: Operation) -> Stored:
        """Return what this environment registered, from its own record in the cluster."""
        namespace, name, environment = parse_id(identifier)
        inputs = Inputs(Connection(context_of_run()), namespace, name, environment, "", ())
        cluster = self._cluster(inputs, operation)
        inputs = replace(inputs, cluster_uid=cluster.identity())
        registry = cluster.registry(namespace, name, environment)
        live, intents = registry.find(), registry.intents()
        known_ours = (resolved(intents, live) if live is not None else intents).ours
        written = tuple(intent.entry for intent in known_ours.values())
        at = intents.mark.written_at if intents.mark else None
        state = State(replace(inputs, entries=written), written, at, live.uid if live else None)
        found = self._read(state, registry) if written else None
        if found is None:
            raise PreconditionError(
                f"nothing shows that environment {environment} registered a model in {namespace}/{name}",
                remedy="declare the entries and adopt them: --adopt MODEL_ID",
                code="nothing-to-import",
            )
        return found

    def delete(self, old: Values, inputs: Values, operation: Operation) -> None:
        """Take our entries out of the list, and nothing else. Refuse if one is not as we wrote it."""
        state, adopt = State.of(old), Inputs.of(inputs).adopt
        registry = self._registry(state.inputs, operation)
        if registry.find() is None:
            registry.forget()
            return
        registry.write(state.written, (), adopt, operation.observer, _seen(state.inputs, _leaving(state, ())))

    def lock_key(self, values: Values) -> str:
        """Return a key for one custom resource of one cluster."""
        inputs = Inputs.of(values)
        return f"{inputs.cluster_uid}/{inputs.namespace}/{inputs.custom_resource}"

    def _cluster(self, inputs: Inputs, operation: Operation) -> Cluster:
        """Return the intended cluster. Refuse any other before anything else is asked of it."""
        cluster = self.connect(inputs.connection.as_run(), operation)
        if inputs.cluster_uid:
            refuse_other_cluster(cluster.where, cluster.identity(), inputs.cluster_uid, "these registrations")
        return cluster

    def _registry(self, inputs: Inputs, operation: Operation) -> Registry:
        cluster = self._cluster(inputs, operation)
        return cluster.registry(inputs.namespace, inputs.custom_resource, inputs.environment)

    @staticmethod
    def _read(state: State, registry: Registry) -> Stored | None:
        live = registry.find()
        expected = dict.fromkeys(entry.model_id for entry in (*state.inputs.entries, *state.written))
        if live is None:
            return None
        standing = entries_by_id(live.models)
        entries = tuple(standing[model_id][0][1] for model_id in expected if model_id in standing)
        if expected and not entries:
            return None
        return replace(state, inputs=replace(state.inputs, entries=entries), cr_uid=live.uid).stored()


def _seen(inputs: Inputs, leaving: Iterable[str]) -> Mapping[str, str] | None:
    """Return what the plan saw of this custom resource. Return ``None`` for a previous custom resource, from which
    entries are removed: the plan did not look at that one.

    The plan names every entry that stood there. So if a state holds an entry to be removed that the plan does not
    name, there was no such entry; one that came since must not be removed unseen.
    """
    found = seen_by_plan()
    about = found and (found.namespace, found.settings.get("custom_resource"))
    if not found or about != (inputs.namespace, inputs.custom_resource):
        return None
    return {**dict.fromkeys(leaving, ""), **found.digests}


def _leaving(state: State | None, staying: Iterable[Entry]) -> set[str]:
    held = {entry.model_id for entry in state.written} if state is not None else set[str]()
    return held - {entry.model_id for entry in staying}


def _typed(old: Values | None) -> State | None:
    return None if old is None else State.of(old)
