"""Another team that writes to the same custom resource without a pause, and an account of every version it went through.

The writer is a client of its own with its own field managers. It keeps its own model of everything in the list that is
not ours, and notes the resourceVersion that each of its edits was answered with. A watch notes every version that there
was. :func:`account` then explains each version by exactly one edit of either side.
"""

import contextlib
import copy
import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import httpx2 as httpx
from lightkube import ApiError, Client, KubeConfig
from lightkube.types import PatchType

from weighbridge_sandbox.kube import Watsonxaiifm

CR = "watsonxaiifm-cr"
LIST = "custom_foundation_models"
PATH = f"/spec/{LIST}"
APPLIED = "model_install_parameters"
"""A key beside the list, which the writer owns by server-side apply."""
CONFLICTS = {409, 422}
SERVER_ERROR = 500
AWAY_SECONDS = 90
KINDS = ("add", "edit", "remove", "reorder", "apply", "status")
OURS_MANAGER = "weighbridge"

Models = list[dict[str, Any]]


def split(models: Models, ours: Collection[str]) -> tuple[Models, Models]:
    """(everybody else's entries, ours), each in the order of the list."""
    mine = [row for row in models if row["model_id"] in ours]
    return [row for row in models if row["model_id"] not in ours], mine


@dataclass(frozen=True)
class Edit:
    """One edit of the writer's that the API server has accepted."""

    kind: str
    how: str
    theirs: Models
    """Everybody else's entries after it."""
    applied: int
    """What stands under ``model_install_parameters`` after it."""


@dataclass(frozen=True)
class Version:
    """The custom resource at one resourceVersion."""

    number: int
    spec: dict[str, Any]
    managers: frozenset[tuple[str, str]]
    """(field manager, time) of whoever wrote the spec."""


@dataclass
class SecondWriter:
    """A context manager: between enter and exit it writes as fast as the API server answers."""

    kubeconfig: Path
    namespace: str
    ours: frozenset[str]
    seed: int
    edits: dict[int, Edit] = field(default_factory=dict)
    """By resourceVersion."""
    refused: int = 0
    """Edits that came second and were made again."""
    unanswered: int = 0
    """Edits that the API server died over."""
    without_version: list[Edit] = field(default_factory=list)
    """Those of them that it had done all the same."""
    failure: BaseException | None = None

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._client = Client(KubeConfig.from_file(self.kubeconfig), field_manager="team-c", trust_env=False)
        self._numbers = itertools.count(1)
        self._applied = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="second writer", daemon=True)
        self._theirs = split(self._live()["spec"][LIST], self.ours)[0]
        self._meant: Edit | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(60)
        self._client.close()

    @property
    def model(self) -> Models:
        """What the list must hold besides ours, in this order."""
        return copy.deepcopy(self._theirs)

    @property
    def applied(self) -> int:
        return self._applied

    def require_alive(self) -> None:
        """Raise what the writer met, so that a test does not go on alone."""
        if self.failure is not None:
            raise AssertionError(f"the second writer found: {self.failure}") from self.failure

    def _live(self) -> dict[str, Any]:
        return dict(self._client.get(Watsonxaiifm, CR, namespace=self.namespace))

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._edit()
        except BaseException as error:  # noqa: BLE001  whatever it was, the test has to hear of it
            self.failure = error

    def _edit(self) -> None:
        """One edit, made again until it is accepted, or known to have been accepted though its answer was lost."""
        kind = self._random.choice(KINDS)
        number = next(self._numbers)
        while not self._stop.is_set():
            self._meant = None
            try:
                after = self._apply(number) if kind == "apply" else self._other(kind, number)
            except (ApiError, httpx.TransportError) as error:
                code = error.status.code if isinstance(error, ApiError) else None
                if code in CONFLICTS:
                    self.refused += 1
                elif code is None or code >= SERVER_ERROR:
                    self.unanswered += 1
                    if self._came_through():
                        return
                else:
                    raise
                continue
            if self._meant is not None:
                self._accept(self._meant)
                self.edits[int(after["metadata"]["resourceVersion"])] = self._meant
            return

    def _accept(self, edit: Edit) -> None:
        self._theirs, self._applied = edit.theirs, edit.applied

    def _came_through(self) -> bool:
        """Whether the edit that got no answer was done all the same: the API server was killed before or after it."""
        until = time.monotonic() + AWAY_SECONDS
        while True:
            try:
                spec = self._live()["spec"]
                break
            except (ApiError, httpx.TransportError):
                assert time.monotonic() < until, "the API server stayed away"
                time.sleep(0.5)
        meant = self._meant
        if meant is None or meant.kind == "status":
            return False
        if (split(spec[LIST], self.ours)[0], _shards(spec)) != (meant.theirs, meant.applied):
            return False
        self._accept(meant)
        self.without_version.append(meant)
        return True

    def _apply(self, number: int) -> dict[str, Any]:
        body = {
            "apiVersion": "watsonxaiifm.cpd.ibm.com/v1beta1",
            "kind": "Watsonxaiifm",
            "metadata": {"name": CR},
            "spec": {APPLIED: {"team_c": {"shards": number}}},
        }
        self._meant = Edit("apply", "server-side apply", self.model, number)
        return self._patch(body, PatchType.APPLY, field_manager="team-c-apply", force=True)

    def _other(self, kind: str, number: int) -> dict[str, Any]:
        if kind == "status":
            said = {"status": {"teamC": number}}
            self._meant = Edit("status", "merge patch of the status", self.model, self._applied)
            return self._patch(said, PatchType.MERGE, resource=Watsonxaiifm.Status)
        live = self._live()
        models: Models = live["spec"][LIST]
        assert split(models, self.ours)[0] == self._theirs, "an edit of ours was undone"
        mine = [index for index, row in enumerate(models) if row["model_id"].startswith("writer-")]
        operations = self._operations(kind, number, models, mine)
        wanted = _applied_to(models, operations)
        theirs = split(wanted, self.ours)[0]
        if self._random.random() < 0.5:
            body = {
                "metadata": {"resourceVersion": live["metadata"]["resourceVersion"]},
                "spec": {LIST: wanted},
            }
            self._meant = Edit(kind, "merge patch of the list", theirs, self._applied)
            return self._patch(body, PatchType.MERGE)
        tested = [
            {"op": "test", "path": f"{operation['path']}/model_id", "value": name}
            for operation, name in _named(models, operations)
        ]
        self._meant = Edit(kind, "JSON patch", theirs, self._applied)
        return self._patch([*tested, *operations], PatchType.JSON)

    def _operations(
        self, kind: str, number: int, models: Models, mine: Sequence[int]
    ) -> list[dict[str, Any]]:
        """JSON patch of one edit; it starts with removals and replacements, whose indexes are those of ``models``."""
        if kind == "add" or not mine or (kind == "remove" and len(mine) < 3):
            new = {"model_id": f"writer-{number}", "location": {"pvc_name": "team-b-models"}}
            place = self._random.choice(["-", "0"])
            return [{"op": "add", "path": f"{PATH}/{place}", "value": new}]
        index = self._random.choice(mine)
        if kind == "edit":
            return [
                {
                    "op": "replace",
                    "path": f"{PATH}/{index}",
                    "value": {**models[index], "tags": [f"t{number}"]},
                }
            ]
        removal = {"op": "remove", "path": f"{PATH}/{index}"}
        if kind == "remove" or len(mine) > 8:
            return [removal]
        moved = {**models[index], "x": {"moved": number}}
        return [removal, {"op": "add", "path": f"{PATH}/{self._random.choice(['-', '0'])}", "value": moved}]

    def _patch(
        self, body: Any, how: PatchType, *, resource: Any = Watsonxaiifm, **more: Any
    ) -> dict[str, Any]:
        client = cast("Any", self._client)
        return dict(client.patch(resource, CR, body, patch_type=how, namespace=self.namespace, **more))


def _named(models: Models, operations: Sequence[dict[str, Any]]) -> list[tuple[dict[str, Any], str]]:
    """Operations on elements that exist, with the model that each means."""
    return [
        (operation, models[int(operation["path"].rpartition("/")[2])]["model_id"])
        for operation in operations
        if operation["op"] != "add"
    ]


def _applied_to(models: Models, operations: Sequence[dict[str, Any]]) -> Models:
    found = copy.deepcopy(models)
    for operation in operations:
        place = operation["path"].rpartition("/")[2]
        index = len(found) if place == "-" else int(place)
        if operation["op"] == "add":
            found.insert(index, operation["value"])
        elif operation["op"] == "replace":
            found[index] = operation["value"]
        else:
            del found[index]
    return found


@dataclass
class Chronicle:
    """Every version of the custom resource from enter on, by a watch. A context manager."""

    kubeconfig: Path
    namespace: str
    versions: list[Version] = field(default_factory=list)
    failure: BaseException | None = None

    def __enter__(self) -> Self:
        self._client = Client(KubeConfig.from_file(self.kubeconfig), trust_env=False)
        found = dict(self._client.get(Watsonxaiifm, CR, namespace=self.namespace))
        self._seen = threading.Condition()
        self._note(found)
        self._thread = threading.Thread(target=self._run, name="chronicle", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del (
            kind,
            error,
            trace,
        )  # the thread is a daemon: its connection ends with the process, or with the namespace

    def until(self, number: int, seconds: float = 60) -> list[Version]:
        """The versions so far, once ``number`` is among them."""
        with self._seen:
            came = self._seen.wait_for(
                lambda: self.failure is not None or self.versions[-1].number >= number, seconds
            )
            assert self.failure is None, f"the watch ended: {self.failure}"
            assert came, f"the watch has not shown version {number}"
            return list(self.versions)

    def _run(self) -> None:
        try:
            while True:
                with contextlib.suppress(httpx.TransportError):  # the API server has gone away; it comes back
                    self._watch()
                time.sleep(0.5)
        except BaseException as error:  # noqa: BLE001  told by ``until``
            with self._seen:
                self.failure = error
                self._seen.notify_all()

    def _watch(self) -> None:
        watch = cast("Any", self._client).watch(
            Watsonxaiifm, namespace=self.namespace, resource_version=str(self.versions[-1].number)
        )
        for _, found in watch:
            self._note(dict(found))

    def _note(self, found: Mapping[str, Any]) -> None:
        metadata = found["metadata"]
        fields = (
            metadata.to_dict()["managedFields"] if hasattr(metadata, "to_dict") else metadata["managedFields"]
        )
        managers = frozenset(
            (row["manager"], row["time"]) for row in fields if row.get("subresource") != "status"
        )
        with self._seen:
            self.versions.append(Version(int(metadata["resourceVersion"]), dict(found["spec"]), managers))
            self._seen.notify_all()


@dataclass(frozen=True)
class Account:
    """What the versions were made by."""

    foreign: Counter[tuple[str, str]]
    """(kind, how) → number of the writer's edits."""
    ours: int
    """Writes of ours to the list."""
    status: int
    """Writes by others that left the spec as it was."""

    @property
    def foreign_edits(self) -> int:
        return self.foreign.total()

    def lines(self) -> list[str]:
        """For a person."""
        rows = [f"  {number:5} {kind} by {how}" for (kind, how), number in sorted(self.foreign.items())]
        return [*rows, f"  {self.ours:5} writes of ours", f"  {self.status:5} of the operator to its status"]


def account(
    versions: Sequence[Version],
    edits: Mapping[int, Edit],
    ours: Collection[str],
    declared: Sequence[Any],
    without_version: Sequence[Edit] = (),
) -> Account:
    """Explain every version by exactly one edit. ``declared``: every entry that a run of ours ever asked for;
    ``without_version``: edits whose answers were lost, in their order.

    Raises ``AssertionError`` for a version that undid an edit, mixed two, or is nobody's.
    """
    counted: Counter[tuple[str, str]] = Counter()
    written = status = 0
    lost = list(without_version)
    assert len({version.number for version in versions}) == len(versions)
    for before, after in itertools.pairwise(versions):
        (old, mine_before), (new, mine_after) = (split(one.spec[LIST], ours) for one in (before, after))
        edit = edits.get(after.number)
        if (
            edit is None
            and lost
            and (new, _shards(after.spec)) == (lost[0].theirs, lost[0].applied) != (old, _shards(before.spec))
        ):
            edit = lost.pop(0)
        rest_before, rest_after = _rest(before.spec), _rest(after.spec)
        if edit is not None:
            assert new == edit.theirs, (
                f"version {after.number} is not what the writer was told it had written"
            )
            assert mine_after == mine_before, f"version {after.number}: a foreign edit changed our entries"
            assert _shards(after.spec) == edit.applied
            assert rest_after == rest_before
            counted[edit.kind, edit.how] += 1
        elif after.spec == before.spec:
            status += 1
        else:
            assert new == old, f"version {after.number}: a write of ours changed somebody else's entries"
            assert (rest_after, after.spec.get(APPLIED)) == (rest_before, before.spec.get(APPLIED))
            names = [row["model_id"] for row in mine_after]
            assert len(set(names)) == len(names), f"version {after.number}: ours stands there twice"
            assert all(row in declared for row in mine_after), (
                f"version {after.number}: an entry nobody asked for"
            )
            wrote = {manager for manager, _ in after.managers}
            assert OURS_MANAGER in wrote, f"version {after.number} was written by nobody known"
            written += 1
    assert not lost
    assert counted.total() == len(edits) + len(without_version), (
        "an accepted edit of the writer's was never to be seen"
    )
    return Account(counted, written, status)


def _shards(spec: Mapping[str, Any]) -> int:
    return int(spec.get(APPLIED, {}).get("team_c", {}).get("shards", 0))


def _rest(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in spec.items() if key not in {LIST, APPLIED}}
