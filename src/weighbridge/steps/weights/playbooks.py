"""Run the playbooks that move bytes, and translate their failures. ``engines/ansible/run.py`` knows ansible-runner.

Each run gets a private folder on tmpfs (mode 0700) and an environment of a few named variables. Secrets reach the
plugins through one file in that folder (mode 0600), never through arguments, variables or artifacts. The folder is
deleted with the run, also if this process is killed.
"""

import itertools
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from weighbridge.core.events import Note, Observer, Warned
from weighbridge.core.outcome import Declined, Done, Failed, Outcome, Unchanged
from weighbridge.domain import naming
from weighbridge.domain.receipts import from_json
from weighbridge.domain.weights import Receipt, SourceListing
from weighbridge.engines.ansible.events import Collected
from weighbridge.engines.ansible.run import PlaybookRun, interrupted
from weighbridge.environment.types import Environment, Model, Route
from weighbridge.errors import DefectError, StepFailedError, WeighbridgeError
from weighbridge.kubernetes.pod_watch import SOURCE_UNREACHABLE
from weighbridge.manifests.surroundings import Surroundings
from weighbridge.processes.scratch import private_folder
from weighbridge.steps.weights.bundle import (
    WeightsBundle,
    deadline_seconds,
    render_verification,
    render_weights,
    write_weights,
)
from weighbridge.steps.weights.ports import TransferReport

SecretsOf: TypeAlias = Callable[[str], Mapping[str, str]]
"""Model id → the secrets for its playbook, by the keys of ``environment/secrets.py``."""

Reach: TypeAlias = Callable[[Path], tuple[Mapping[str, str], Mapping[str, Any]]]
"""A private folder → the environment of ansible-playbook and further variables of the role; their files lie in it."""

_CLEANUP_SECONDS = 90
_SLACK_SECONDS = 300
"""For the work around a transfer: looking, removing short-lived objects (at most a minute each time), recording."""
_TRANSFERS: Mapping[Route | None, int] = {Route.PUSH: 4, Route.FETCH: 1, None: 1}
"""How many deadlines may run one after another in one playbook: a push sends and publishes, and both again if
something did not arrive whole (``roles/weights/tasks/push.yml``). ``None`` is a verification.
"""

_DECLINES: Mapping[Route, frozenset[str]] = {
    Route.FETCH: frozenset({SOURCE_UNREACHABLE}),
    Route.PUSH: frozenset({"no-way-to-pod", "tool-missing"}),
}
"""Failures that mean that this route cannot work here, so the next route is tried."""


class Cancellation:
    """How often a stop of the playbooks was requested: the first stops the transfer, the second also the cleanup."""

    def __init__(self) -> None:
        self._count = itertools.count(1)  # threads may share it
        self._asked = 0

    def ask(self) -> None:
        self._asked = next(self._count)

    def beyond(self, times: int = 0) -> Callable[[], bool]:
        """Return a function that tells whether a stop was requested more often than that."""
        return lambda: self._asked > times

    @property
    def asked(self) -> int:
        return self._asked


class Notes(Protocol):
    """What runs recorded in the Lease about the models whose playbooks they started (``kubernetes.lease.LeaseLock``)."""

    @property
    def weights(self) -> frozenset[str]: ...

    def require(self) -> None: ...

    def weights_begin(self, model_id: str) -> None: ...

    def weights_ended(self, model_id: str) -> None: ...


@dataclass(frozen=True, kw_only=True)
class AnsiblePlaybooks:
    """The port ``Playbooks``."""

    environment: Environment
    around: Surroundings
    secrets: SecretsOf
    spool: Path
    """Where a push keeps what it has downloaded but not yet sent."""
    notes: Notes
    """Where the start of a playbook is recorded, so that the next run knows what this run left if it dies."""
    reach: Reach | None = None
    """How to reach the cluster; ``None``: by this process's own variables."""
    tmpfs: Path = Path("/dev/shm")  # noqa: S108 - a private folder is made in it, mode 0700
    variables: Mapping[str, Any] | None = None
    """Further variables of the role, such as ``weights_schedule_seconds``."""
    limit: int | None = None
    """Seconds for a whole playbook; ``None``: ``limit_seconds``."""
    cancellation: Cancellation = field(default_factory=Cancellation)

    def sync(self, model: Model, listing: SourceListing, route: Route, observer: Observer) -> TransferReport:
        """See ``ports.Playbooks.sync``."""
        bundle = render_weights(self.environment, model, listing, self.around)
        started = time.monotonic()
        extent = (listing.total_bytes, len(listing.files))
        said = self._play("sync_weights", bundle, extent, observer, route=route)
        return _report(_sync_outcome(said, route), said, time.monotonic() - started)

    def verify(self, model: Model, receipt: Receipt, observer: Observer) -> TransferReport:
        """See ``ports.Playbooks.verify``."""
        bundle = render_verification(self.environment, model, receipt, self.around)
        started = time.monotonic()
        said = self._play("verify_weights", bundle, (receipt.total_bytes, receipt.files), observer)
        outcome = Failed(said.failure) if said.failure else Done(f"{receipt.files} files read")
        return _report(outcome, said, time.monotonic() - started)

    def cancel(self) -> None:
        """See ``ports.Playbooks.cancel``."""
        self.cancellation.ask()

    def tidy(self, model_id: str, observer: Observer) -> None:
        """See ``ports.Playbooks.tidy``."""
        model = next((model for model in self.environment.models if model.id == model_id), None)
        if model is None:
            observer(Warned(_undeclared(self.environment, model_id)))
            self.notes.weights_ended(model_id)
            return
        observer(Note(f"removing the Jobs, pods and keys of {model_id} that an earlier run left"))
        left = self._clean_up(render_weights(self.environment, model, SourceListing(()), self.around))
        if left is None:
            self.notes.weights_ended(model_id)
            observer(Warned(f"an earlier run left Jobs, pods or keys of {model_id} behind: they are removed"))
        else:
            observer(Warned(_still_left(model_id, left)))

    def _play(
        self,
        name: str,
        bundle: WeightsBundle,
        extent: tuple[int, int],
        observer: Observer,
        route: Route | None = None,
    ) -> Collected:
        model_id = bundle.model_id
        if self.cancellation.asked:
            raise interrupted(name)
        said = Collected(
            receipts=naming.receipts_name(self.environment.name), receipt_key=naming.receipt_key(model_id)
        )
        extra: dict[str, Any] = {"weights_spool": str(self.spool.absolute()), **(self.variables or {})}
        if route is not None:
            extra["weights_route"] = route.value
        inherited = model_id in self.notes.weights
        ends_note = route is not None or not inherited  # a verification removes nothing of other verbs
        with self._folder(bundle, extra, self.secrets(model_id)) as (folder, variables):
            start = self.environment.pods.start_seconds
            limit = self.limit or limit_seconds(route, extent[0], start, files=extent[1])
            self.notes.weights_begin(model_id)
            try:
                run = PlaybookRun(folder, name, limit, variables)
                run.follow(said, observer, self.cancellation.beyond())
            except BaseException:
                if self._clean_up(bundle) is None and ends_note:
                    self.notes.weights_ended(model_id)
                raise
        self._tidy_after(run, said, bundle, observer, inherited=inherited, ends_note=ends_note)
        if run.status == "timeout":
            said.failure = _overdue(run, limit, said)
        elif run.killed:
            said.failure = _killed(run, said)
        elif said.failure is None and run.status != "successful":
            said.failure = _without_a_task(run, said)
        return said

    def _tidy_after(  # noqa: PLR0913  what was run, and under which conditions
        self,
        run: PlaybookRun,
        said: Collected,
        bundle: WeightsBundle,
        observer: Observer,
        *,
        inherited: bool,
        ends_note: bool,
    ) -> None:
        """Delete the note when no short-lived object is left. ``inherited``: an earlier run may have left something,
        perhaps by another route. If the playbook failed before it looked, a Job of that run may still be working.
        """
        left = None
        if run.ended_from_outside or not said.tidy:  # the playbook's own cleanup did not run, or failed
            left = self._clean_up(bundle)
        elif inherited and ends_note and said.state:
            self.notes.require()
            left = self._clean_up(bundle)
        elif inherited:
            return
        if left is not None:
            observer(Warned(_still_left(bundle.model_id, left)))
        elif ends_note:
            self.notes.weights_ended(bundle.model_id)

    @contextmanager
    def _folder(
        self, bundle: WeightsBundle, extra: Mapping[str, Any], secrets: Mapping[str, str]
    ) -> Iterator[tuple[Path, Mapping[str, str] | None]]:
        """Yield a folder on tmpfs with what one model's playbooks need, and their environment."""
        with private_folder("ansible", self.tmpfs) as folder:
            variables, further = self.reach(folder) if self.reach is not None else (None, {})
            write_weights(folder / "weights", bundle)
            _write_private(folder / "secrets.json", json.dumps(dict(secrets)))
            _write_private(folder / "extra.json", json.dumps({**extra, **further}))
            (folder / "tmp").mkdir()
            yield folder, variables

    def _clean_up(self, bundle: WeightsBundle) -> str | None:
        """Remove the pods of these verbs and their objects. Return why something may be left, or ``None``. It needs
        no secrets. A further interruption stops it.
        """
        said, cancelled = (
            Collected(receipts="", receipt_key=""),
            self.cancellation.beyond(self.cancellation.asked),
        )
        try:
            with self._folder(bundle, self.variables or {}, {}) as (folder, variables):
                run = PlaybookRun(folder, "clean_up_weights", _CLEANUP_SECONDS, variables)
                run.follow(said, lambda _event: None, cancelled)
        except WeighbridgeError as error:
            return error.what
        if run.status == "successful":
            return None
        by_itself = f"playbook {run.playbook} ended as {run.status}"
        return said.failure.what if said.failure is not None else by_itself


def _sync_outcome(said: Collected, route: Route) -> Outcome:
    if said.failure is not None:
        if said.failure.code in _DECLINES[route]:
            return Declined(said.failure.what)
        return Failed(said.failure)
    if said.state.get("verified"):
        return Unchanged(str(said.state.get("reason", "")))
    return Done(str(said.job.get("outcome", "published")))


def _report(outcome: Outcome, said: Collected, seconds: float) -> TransferReport:
    job = said.job
    return TransferReport(
        outcome=outcome,
        receipt=said.receipt or _known(said),
        bytes_moved=int(said.pushed.get("bytes_moved") or 0) + int(job.get("bytes_fetched") or 0),
        files_repaired=tuple(str(path) for path in job.get("files_repaired") or ()),
        seconds=seconds,
        mover_rss_bytes=int(job.get("max_rss_bytes") or 0),
    )


def _known(said: Collected) -> Receipt | None:
    text = said.state.get("receipt")
    return from_json(text) if isinstance(text, str) and said.state.get("verified") else None


def limit_seconds(route: Route | None, total_bytes: int, start_seconds: int, files: int = 0) -> int:
    """Return how long a whole playbook may take. Each deadline inside it ends earlier, with a clearer message."""
    one = deadline_seconds(total_bytes, files) + 2 * start_seconds + _SLACK_SECONDS
    return _TRANSFERS[route] * one


def _still_left(model_id: str, why: str) -> str:
    return f"Jobs, pods or keys of {model_id} may be left in the cluster: {why}; the next apply or destroy tries again"


def _undeclared(environment: Environment, model_id: str) -> str:
    labels = naming.object_labels(environment.name, model_id)
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    return (
        f"an earlier run may have left Jobs, pods or keys of {model_id}, which the environment file no longer declares. See, and "
        f"remove: kubectl -n {environment.cluster.namespace} delete jobs,pods,configmaps,secrets -l {selector}"
    )


def _overdue(run: PlaybookRun, limit: int, said: Collected) -> WeighbridgeError:
    return _ended(run, said, f"did not end within {limit} s and was ended", code="deadline")


def _killed(run: PlaybookRun, said: Collected) -> WeighbridgeError:
    again = "; if it happens again, look for the machine's memory running out"
    return _ended(run, said, "was killed from outside this run", code="playbook-killed", further=again)


def _ended(run: PlaybookRun, said: Collected, how: str, *, code: str, further: str = "") -> WeighbridgeError:
    """Return the error of a run that was ended from outside, with the run's own failure if there was one."""
    before = f"; before that: {said.failure.what}" if said.failure is not None else ""
    return StepFailedError(
        f"playbook {run.playbook} {how}{before}",
        remedy=f"run the command again: what has arrived stays{further}",
        code=code,
        transient=True,
    )


def _without_a_task(run: PlaybookRun, said: Collected) -> WeighbridgeError:
    """Return the error of a run that ended badly although no task failed."""
    text = " ".join(said.output[-8:]) or "it said nothing"
    return DefectError(
        f"playbook {run.playbook} ended as {run.status} without a failed task: {text}", code="playbook"
    )


def _write_private(path: Path, text: str) -> None:
    with os.fdopen(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
    ) as stream:
        stream.write(text)
