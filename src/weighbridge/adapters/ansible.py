"""Playbooks by ansible-runner: what moves bytes. The one place that knows ansible-runner, and the seam of its failures.

Each run gets a private folder on tmpfs (mode 0700) and an environment of a few named variables. Secrets reach the
plugins through one file in that folder (mode 0600), never through arguments, variables or artifacts; the folder goes
with the run, also when this process is killed.
"""

import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from ansible_runner import Runner, RunnerConfig

from weighbridge.adapters.ansible_events import Collected
from weighbridge.adapters.scratch import private_folder
from weighbridge.domain import naming
from weighbridge.domain.environment import Environment, Model, Route
from weighbridge.domain.events import Warned
from weighbridge.domain.outcome import Declined, Done, Failed, Outcome, Unchanged
from weighbridge.domain.pod_watch import SOURCE_UNREACHABLE
from weighbridge.domain.receipts import from_json
from weighbridge.domain.weights import Receipt, SourceListing
from weighbridge.errors import DefectError, StepFailedError, WeighbridgeError
from weighbridge.manifests.bundle import (
    Surroundings,
    WeightsBundle,
    deadline_seconds,
    render_verification,
    render_weights,
    write_weights,
)
from weighbridge.manifests.resources import share_dir
from weighbridge.ports import Observer, TransferReport

SecretsOf: TypeAlias = Callable[[str], Mapping[str, str]]
"""Model id → what its playbook may know, keyed as ``adapters/secrets.py`` says."""

SECRETS_VARIABLE = "WEIGHBRIDGE_SECRETS_FILE"
"""Where ``adapters/secrets.py``, in the plugins' process, finds what was resolved here."""

_GUARD = Path(__file__).with_name("process_guard.py")
_GRACE_SECONDS = 5
_CLEANUP_SECONDS = 90
_SLACK_SECONDS = 300
"""For what surrounds a transfer: looking, removing what is short-lived (at most a minute each time), recording."""
_TRANSFERS: Mapping[Route | None, int] = {Route.PUSH: 4, Route.FETCH: 1, None: 1}
"""How often a deadline of its own may begin within one playbook: a push sends and publishes, and both once more where
something did not arrive whole (``roles/weights/tasks/push.yml``). ``None`` is a verification.
"""

_DECLINES: Mapping[Route, frozenset[str]] = {
    Route.FETCH: frozenset({SOURCE_UNREACHABLE}),
    Route.PUSH: frozenset({"no-way-to-pod", "tool-missing"}),
}
"""Failures that say that this way cannot work here, so that the next route is worth a try."""

_SIGNALLED = 128

_PASSED_ON = (
    *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "VIRTUAL_ENV"),
    *("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
    # What login helpers of kubeconfig files read: names and places, no keys.
    *("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"),
    *(
        "AZURE_CONFIG_DIR",
        "CLOUDSDK_CONFIG",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "IBMCLOUD_HOME",
        "XDG_CONFIG_HOME",
    ),
)


@dataclass(frozen=True, kw_only=True)
class AnsiblePlaybooks:
    """The port ``Playbooks``."""

    environment: Environment
    around: Surroundings
    secrets: SecretsOf
    spool: Path
    """Where a push keeps what it has downloaded and not yet sent."""
    tmpfs: Path = Path("/dev/shm")  # noqa: S108 - a private folder is made in it, mode 0700
    variables: Mapping[str, Any] | None = None
    """Further variables of the role, such as ``weights_schedule_seconds``."""
    limit: int | None = None
    """Seconds for a whole playbook; ``None``: ``limit_seconds``."""

    def sync(self, model: Model, listing: SourceListing, route: Route, observer: Observer) -> TransferReport:
        """See ``ports.Playbooks.sync``."""
        bundle = render_weights(self.environment, model, listing, self.around)
        started = time.monotonic()
        said = self._play("sync_weights", bundle, listing.total_bytes, observer, route=route)
        return _report(_sync_outcome(said, route), said, time.monotonic() - started)

    def verify(self, model: Model, receipt: Receipt, observer: Observer) -> TransferReport:
        """See ``ports.Playbooks.verify``."""
        bundle = render_verification(self.environment, model, receipt, self.around)
        started = time.monotonic()
        said = self._play("verify_weights", bundle, receipt.total_bytes, observer)
        outcome = Failed(said.failure) if said.failure else Done(f"{receipt.files} files read")
        return _report(outcome, said, time.monotonic() - started)

    def _play(
        self,
        name: str,
        bundle: WeightsBundle,
        total_bytes: int,
        observer: Observer,
        route: Route | None = None,
    ) -> Collected:
        model_id = bundle.model_id
        said = Collected(
            receipts=naming.receipts_name(self.environment.name), receipt_key=naming.receipt_key(model_id)
        )
        with private_folder("ansible", self.tmpfs) as folder:
            write_weights(folder / "weights", bundle)
            _write_private(folder / "secrets.json", json.dumps(dict(self.secrets(model_id))))
            extra: dict[str, Any] = {"weights_spool": str(self.spool.absolute()), **(self.variables or {})}
            if route is not None:
                extra["weights_route"] = route.value
            _write_private(folder / "extra.json", json.dumps(extra))
            _write_private(folder / "ansible.cfg", "")  # the variables of the environment say all
            (folder / "tmp").mkdir()
            limit = self.limit or limit_seconds(route, total_bytes, self.environment.pods.start_seconds)
            try:
                run = _Run(folder, name, limit)
                run.follow(said, observer)
            except BaseException:
                self._clean_up(folder)
                raise
            if run.killed or run.status not in {"successful", "failed"}:
                # ended from outside: its own cleaning up did not run
                try:
                    self._clean_up(folder)
                except WeighbridgeError as error:
                    observer(
                        Warned(f"what the playbook left in the cluster may still be there: {error.what}")
                    )
        if run.status == "timeout":
            said.failure = _overdue(run, limit, said)
        elif run.killed:
            said.failure = _killed(run, said)
        elif said.failure is None and run.status != "successful":
            said.failure = _without_a_task(run, said)
        return said

    def _clean_up(self, folder: Path) -> None:
        """After an end from outside: remove the pods and what they were given; an interruption ends that too."""
        ignored = Collected(receipts="", receipt_key="")
        _Run(folder, "clean_up_weights", _CLEANUP_SECONDS).follow(ignored, lambda _event: None)


class _Run:
    """One run of one playbook, in a thread of its own; its events are handled in the caller's."""

    def __init__(self, folder: Path, playbook: str, timeout_seconds: int) -> None:
        self.status = "starting"
        self.playbook = playbook
        self._events: queue.SimpleQueue[Mapping[str, Any]] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._runner = self._prepare(folder, timeout_seconds)
        self._thread = threading.Thread(target=self._work, name=f"ansible {playbook}", daemon=True)

    def follow(self, said: Collected, observer: Observer) -> None:
        """Run to the end. An exception of the observer, or an interruption, ends the playbook first."""
        self._thread.start()
        try:
            while self._thread.is_alive() or not self._events.empty():
                try:
                    raw = self._events.get(timeout=0.1)
                except queue.Empty:
                    continue
                for event in said.take(raw):
                    observer(event)
        finally:
            self._stop.set()
            self._thread.join(_GRACE_SECONDS * 2)
        if self._error is not None:
            raise DefectError(f"playbook {self.playbook} could not be run: {self._error}") from self._error

    @property
    def killed(self) -> bool:
        """Whether a signal ended it, or its guard, which then has no exit code at all; the guard hands on 128 + signal."""
        code = self._runner.rc
        return self.status == "failed" and (code is None or _SIGNALLED < code <= _SIGNALLED + signal.NSIG)

    def _work(self) -> None:
        try:
            self._runner.run()
            self.status = self._runner.status
        except Exception as error:  # noqa: BLE001 - handed over to the thread that waits
            self._error = error

    def _take(self, event: dict[str, Any]) -> bool:
        self._events.put(event)
        return False  # nothing is kept on disk

    def _prepare(self, folder: Path, timeout_seconds: int) -> Runner:
        _write_settings(folder, timeout_seconds)
        ident = f"{self.playbook}-{time.monotonic_ns()}"
        config = RunnerConfig(
            private_data_dir=str(folder),
            project_dir=str(folder),
            playbook=str(share_dir("playbooks") / f"{self.playbook}.yml"),
            inventory="localhost,",
            cmdline=f"-e @{folder}/weights/vars.yml -e @{folder}/extra.json",
            ident=ident,
            suppress_env_files=True,
            quiet=True,
        )
        config.prepare()
        config.env = {**_plain_environment(folder), **_added_by_runner(config.env)}
        guard = [sys.executable, "-I", "-S", str(_GUARD), "--remove", str(folder), str(_GRACE_SECONDS), "--"]
        config.command = [
            *guard,
            str(Path(sys.executable).with_name("ansible-playbook")),
            *config.command[1:],
        ]
        return Runner(
            config, event_handler=self._take, cancel_callback=self._stop.is_set, remove_partials=True
        )


def _write_settings(folder: Path, timeout_seconds: int) -> None:
    """ansible-runner reads them from this file alone: where it is absent, those handed over as an argument are dropped."""
    settings = {
        "pexpect_timeout": 0.5,
        "job_timeout": timeout_seconds,
        "suppress_ansible_output": True,
        "suppress_output_file": True,
    }
    (folder / "env").mkdir(exist_ok=True)
    (folder / "env" / "settings").write_text(json.dumps(settings), encoding="utf-8")


def _plain_environment(folder: Path) -> dict[str, str]:
    collections = str(share_dir("collections"))
    return {
        **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        # Kubernetes' client keeps what it learns of the API under a name that everybody can guess.
        "TMPDIR": str(folder / "tmp"),
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": collections,
        "ANSIBLE_HOME": str(folder / "ansible"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "ansible" / "local"),
        "ANSIBLE_REMOTE_TEMP": str(folder / "ansible" / "remote"),
        "ANSIBLE_INVENTORY_ENABLED": "ansible.builtin.host_list",
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_FORKS": "1",
        "ANSIBLE_RETRY_FILES_ENABLED": "0",
        "ANSIBLE_NOCOLOR": "1",
        "PYTHONUNBUFFERED": "1",
        "WEIGHBRIDGE_EVENTS": "json",
        SECRETS_VARIABLE: str(folder / "secrets.json"),
    }


def _added_by_runner(env: Mapping[str, str]) -> dict[str, str]:
    """What ansible-runner itself set, without the copy of our own environment that it starts from."""
    return {
        name: value
        for name, value in env.items()
        if name.startswith(("RUNNER_", "AWX_", "ANSIBLE_CALLBACK", "ANSIBLE_STDOUT", "ANSIBLE_HOST_KEY"))
        and os.environ.get(name) != value
    }


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


def limit_seconds(route: Route | None, total_bytes: int, start_seconds: int) -> int:
    """How long a whole playbook may take: every deadline within it ends it earlier, with a better word."""
    one = deadline_seconds(total_bytes) + 2 * start_seconds + _SLACK_SECONDS
    return _TRANSFERS[route] * one


def _overdue(run: _Run, limit: int, said: Collected) -> WeighbridgeError:
    return _ended(run, said, f"did not end within {limit} s and was ended", code="deadline")


def _killed(run: _Run, said: Collected) -> WeighbridgeError:
    again = "; if it happens again, look for the machine's memory running out"
    return _ended(run, said, "was killed from outside this run", code="playbook-killed", further=again)


def _ended(run: _Run, said: Collected, how: str, *, code: str, further: str = "") -> WeighbridgeError:
    """Ended from outside, perhaps after a failure of its own."""
    before = f"; before that: {said.failure.what}" if said.failure is not None else ""
    return StepFailedError(
        f"playbook {run.playbook} {how}{before}",
        remedy=f"run the command again: what has arrived stays{further}",
        code=code,
        transient=True,
    )


def _without_a_task(run: _Run, said: Collected) -> WeighbridgeError:
    """The run ended badly although no task failed."""
    text = " ".join(said.output[-8:]) or "it said nothing"
    return DefectError(
        f"playbook {run.playbook} ended as {run.status} without a failed task: {text}", code="playbook"
    )


def _write_private(path: Path, text: str) -> None:
    with os.fdopen(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
    ) as stream:
        stream.write(text)
