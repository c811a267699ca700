"""What Pulumi stores about ``weighbridge:index:Registrations``, and how it differs from what is wanted."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from weighbridge.domain.digest import Json, canonical_json
from weighbridge.provider.resource import PropertyDifference, Stored, Values
from weighbridge.provider.resources.registration_inputs import Inputs, entries_of, keyed, path_of
from weighbridge.watsonx.entry import Entry, entries_by_id
from weighbridge.watsonx.record import Written


@dataclass(frozen=True, slots=True)
class State:
    """What Pulumi stores about the resource."""

    inputs: Inputs
    """``entries``: as they stood in the list at the last read or write."""
    written: tuple[Entry, ...]
    """The entries of our last write; a read does not change this."""
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
    def of(cls, values: Values) -> "State":
        at, uid = values.get("writtenAt"), values.get("crUid")
        return cls(
            inputs=Inputs.of(values),
            written=entries_of(values.get("written")),
            written_at=at if isinstance(at, str) else None,
            cr_uid=uid if isinstance(uid, str) else None,
        )

    def stored(self, unknown: tuple[str, ...] = ()) -> Stored:
        """Return the form that the engine keeps."""
        return Stored(self.inputs.id, self.inputs.as_json(), self.as_json(), unknown)


def after_write(wanted: Inputs, written: Written) -> State:
    """Return the state after a write, with the entries in the list. An entry that was left alone was not written by us."""
    standing = entries_by_id(written.live.models)
    entries = tuple(standing[entry.model_id][0][1] for entry in wanted.entries if entry.model_id in standing)
    ours = tuple(entry for entry in wanted.entries if entry.model_id not in written.unproven)
    return State(replace(wanted, entries=entries), ours, written.written_at, written.live.uid)


def known(state: State | None, wanted: Inputs) -> tuple[Entry, ...]:
    """Return the entries that may stand in the list as ours.

    An edited entry that a refresh has shown may be repaired. But a person must look at an edited entry before it is
    removed: only what we wrote ourselves is removed, and an entry of a model that we did not write is never touched.
    """
    if state is None:
        return ()
    ours = {entry.model_id for entry in state.written}
    staying = {entry.model_id for entry in wanted.entries if entry.model_id in ours}
    return (*state.written, *(entry for entry in state.inputs.entries if entry.model_id in staying))


def entry_differences(
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
