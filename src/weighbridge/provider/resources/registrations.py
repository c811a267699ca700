"""The resource ``weighbridge:index:Registrations``: our entries of one custom resource for one environment.

One resource for all of them, because they are written by one patch and taken in by an operator that works serially.
Everything here is independent of gRPC; the servicer translates.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol

from weighbridge.core.events import Event
from weighbridge.domain.digest import Json, canonical_json
from weighbridge.domain.stacks import CONTEXT_VARIABLE, IN_CLUSTER_VARIABLE
from weighbridge.errors import PreconditionError, WeighbridgeError
from weighbridge.provider.resources.registration_inputs import (
    Connection,
    Inputs,
    entries_of,
    keyed,
    parse_id,
    path_of,
)
from weighbridge.watsonx.custom_resource import LiveCustomResource
from weighbridge.watsonx.merge import Entry, Merge, Refused, entries_by_id
from weighbridge.watsonx.record import Intents, UnrecordedWriteError, Written

_REPLACING: Final = ("namespace", "customResource", "environment")


class PartialFailureError(WeighbridgeError):
    """The list was written, then something failed: ``state`` has to be kept."""

    def __init__(self, cause: WeighbridgeError, state: "State") -> None:
        super().__init__(cause.what)
        self.cause = cause
        self.state = state


class Registry(Protocol):
    """What is needed of one custom resource (``watsonx/registry.py``)."""

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
    ) -> Written: ...


class Cluster(Protocol):
    """One connection."""

    @property
    def where(self) -> str: ...

    def identity(self) -> str:
        """UID of namespace ``kube-system``."""
        ...

    def registry(self, namespace: str, name: str, environment: str) -> Registry: ...


@dataclass(frozen=True, slots=True)
class State:
    """What Pulumi remembers of the resource."""

    inputs: Inputs
    """``entries``: as they stood in the list when they were last read or written."""
    written: tuple[Entry, ...]
    """As we wrote them last; reading does not change this."""
    written_at: str | None
    cr_uid: str | None

    def as_json(self) -> dict[str, Json]:
        values = self.inputs.as_json()
        values.pop("adopt", None)
        return values | {
            "written": keyed(self.written),
            "digests": {entry.model_id: entry.digest for entry in self.written},
            "writtenAt": self.written_at,
            "crUid": self.cr_uid,
        }

    @classmethod
    def of(cls, values: Mapping[str, Json]) -> "State":
        at, uid = values.get("writtenAt"), values.get("crUid")
        return cls(
            inputs=Inputs.of(values),
            written=entries_of(values.get("written")),
            written_at=at if isinstance(at, str) else None,
            cr_uid=uid if isinstance(uid, str) else None,
        )


@dataclass(frozen=True, slots=True)
class PropertyDifference:
    kind: str
    """``add``, ``delete`` or ``update``."""
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class Registrations:
    """The resource's operations. ``connect`` opens a cluster; the rest raises ``WeighbridgeError`` only."""

    connect: Callable[[Connection], Cluster]
    observer: Callable[[Event], None] = lambda _: None

    def refuse_other_cluster(self, inputs: Inputs) -> Cluster:
        """The cluster that is meant. Raises ``PreconditionError`` for any other, before anything else is asked of it."""
        connection = inputs.connection
        if os.environ.get(IN_CLUSTER_VARIABLE) == "true":
            connection = Connection(None, in_cluster=True)
        elif chosen := os.environ.get(CONTEXT_VARIABLE):
            connection = Connection(chosen)
        cluster = self.connect(connection)
        if inputs.cluster_uid and (actual := cluster.identity()) != inputs.cluster_uid:
            raise PreconditionError(
                f"{cluster.where} is cluster {actual}, but these registrations belong to cluster {inputs.cluster_uid}",
                remedy="choose the context of that cluster, or another stack for this one",
                code="other-cluster",
            )
        return cluster

    def diff(self, state: State, wanted: Inputs, *, unknown: frozenset[str]) -> dict[str, PropertyDifference]:
        """Property path → difference between what stands in the list and what is wanted."""
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
        return found | dict(_entry_differences(state.inputs.entries, wanted.entries))

    def preview(self, state: State | None, wanted: Inputs) -> tuple[State, bool]:
        """The state as a write would leave it, and whether it would write. Refuses what the write would refuse."""
        registry = self._registry(wanted)
        live, merge = registry.plan(_known(state, wanted), wanted.entries, wanted.adopt)
        if isinstance(merge, Refused):
            raise merge.error(live.where)
        at = None if state is None else state.written_at
        return State(wanted, wanted.entries, at, live.uid), not merge.is_empty

    def write(self, state: State | None, wanted: Inputs) -> State:
        """Make the list hold ``wanted``; ``state`` is what was known before (None: create).

        Raises ``PartialFailureError`` if the list was written, but something failed after that.
        """
        registry = self._registry(wanted)
        try:
            written = registry.write(_known(state, wanted), wanted.entries, wanted.adopt, self.observer)
        except UnrecordedWriteError as error:
            raise PartialFailureError(error, after_write(wanted, error.written)) from error
        return after_write(wanted, written)

    def read(self, state: State) -> State | None:
        """The state as the cluster shows it; None if nothing of ours is left in the list, or the list is gone."""
        live = self._registry(state.inputs).find()
        expected = dict.fromkeys(entry.model_id for entry in (*state.inputs.entries, *state.written))
        if live is None:
            return None
        standing = entries_by_id(live.models)
        entries = tuple(standing[model_id][0][1] for model_id in expected if model_id in standing)
        if expected and not entries:
            return None
        return replace(state, inputs=replace(state.inputs, entries=entries), cr_uid=live.uid)

    def import_(self, identifier: str) -> State:
        """The state of what this environment registered, from its own record in the cluster."""
        namespace, name, environment = parse_id(identifier)
        inputs = Inputs(Connection(os.environ.get(CONTEXT_VARIABLE)), namespace, name, environment, "", ())
        cluster = self.refuse_other_cluster(inputs)
        inputs = replace(inputs, cluster_uid=cluster.identity())
        registry = cluster.registry(namespace, name, environment)
        live, intents = registry.find(), registry.intents()
        written = tuple(intent.entry for intent in intents.models.values())
        at = intents.mark.written_at if intents.mark else None
        state = State(replace(inputs, entries=written), written, at, live.uid if live else None)
        found = self.read(state) if written else None
        if found is None:
            raise PreconditionError(
                f"nothing shows that environment {environment} registered a model in {namespace}/{name}",
                remedy="declare the entries and adopt them: --adopt MODEL_ID",
                code="nothing-to-import",
            )
        return found

    def delete(self, state: State, adopt: frozenset[str]) -> None:
        """Take our entries out of the list, and nothing else. Refuses if one is not as we wrote it."""
        registry = self._registry(state.inputs)
        if registry.find() is None:
            registry.forget()
            return
        registry.write(state.written, (), adopt, self.observer)

    def _registry(self, inputs: Inputs) -> Registry:
        cluster = self.refuse_other_cluster(inputs)
        return cluster.registry(inputs.namespace, inputs.custom_resource, inputs.environment)


def after_write(wanted: Inputs, written: Written) -> State:
    """The state after a write, entries as they stand in the list."""
    standing = entries_by_id(written.live.models)
    entries = tuple(standing[entry.model_id][0][1] for entry in wanted.entries if entry.model_id in standing)
    return State(replace(wanted, entries=entries), wanted.entries, written.written_at, written.live.uid)


def _known(state: State | None, wanted: Inputs) -> tuple[Entry, ...]:
    """What may stand in the list as ours.

    An edited entry that a refresh has shown may be mended, but an edited one that is to go must be looked at by a
    person: only what we wrote ourselves is removed.
    """
    if state is None:
        return ()
    staying = {entry.model_id for entry in wanted.entries}
    return (*state.written, *(entry for entry in state.inputs.entries if entry.model_id in staying))


def _entry_differences(
    have: Iterable[Entry], want: Iterable[Entry]
) -> Iterable[tuple[str, PropertyDifference]]:
    old, new = {entry.model_id: entry for entry in have}, {entry.model_id: entry for entry in want}
    for model_id in dict.fromkeys((*new, *old)):
        path = path_of(model_id)
        if model_id not in old:
            yield path, PropertyDifference("add")
        elif model_id not in new:
            yield path, PropertyDifference("delete")
        elif old[model_id] != new[model_id]:
            yield from _value_differences(path, old[model_id].value(), new[model_id].value())


def _value_differences(path: str, have: Json, want: Json) -> Iterable[tuple[str, PropertyDifference]]:
    if isinstance(have, dict) and isinstance(want, dict):
        for key in dict.fromkeys((*have, *want)):
            below = f"{path}.{key}" if key.isidentifier() else f"{path}[{canonical_json(key).decode()}]"
            if key not in have:
                yield below, PropertyDifference("add")
            elif key not in want:
                yield below, PropertyDifference("delete")
            else:
                yield from _value_differences(below, have[key], want[key])
    elif isinstance(have, list) and isinstance(want, list):
        for index, (one, other) in enumerate(zip(have, want, strict=False)):
            yield from _value_differences(f"{path}[{index}]", one, other)
        for index in range(len(want), len(have)):
            yield f"{path}[{index}]", PropertyDifference("delete")
        for index in range(len(have), len(want)):
            yield f"{path}[{index}]", PropertyDifference("add")
    elif canonical_json(have) != canonical_json(want):
        yield path, PropertyDifference("update")
