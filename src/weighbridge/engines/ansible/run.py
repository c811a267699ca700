"""One run of one playbook by ansible-runner, in a private folder, with an environment of a few named variables."""

import contextlib
import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible_runner import Runner, RunnerConfig

from weighbridge.core.events import Observer
from weighbridge.engines.ansible.events import Collected
from weighbridge.errors import DefectError, InterruptedByUserError
from weighbridge.manifests.resources import share_dir
from weighbridge.processes import process_guard
from weighbridge.processes.process_guard import PID_FILE, SIGNALLED
from weighbridge.processes.variables import Child, variables_for

SECRETS_VARIABLE = "WEIGHBRIDGE_SECRETS_FILE"
"""Where ``environment/secrets.py``, in the plugins' process, finds what was resolved here."""

_GUARD = Path(process_guard.__file__)
_GRACE_SECONDS = 5

_CONFIGURATION = """\
[defaults]
internal_poll_interval = 0.02
"""
"""What no variable of the environment can say. Ansible looks a thousand times a second whether a task has ended, at the cost
of 6 % of a core for all the hours of a transfer; fifty times will do.
"""


def interrupted(playbook: str) -> InterruptedByUserError:
    return InterruptedByUserError(
        f"playbook {playbook} was interrupted", remedy="the same command goes on where this one stopped"
    )


def _never() -> bool:
    return False


class PlaybookRun:
    """One run of one playbook, in a thread of its own; its events are handled in the caller's."""

    def __init__(
        self, folder: Path, playbook: str, timeout_seconds: int, variables: Mapping[str, str] | None = None
    ) -> None:
        """``variables``: its environment, less what is Ansible's own; by default what the table of ``processes/variables.py`` allows."""
        self.status = "starting"
        self.playbook = playbook
        self._events: queue.SimpleQueue[Mapping[str, Any]] = queue.SimpleQueue()
        self._folder = folder
        self._stop = threading.Event()
        # Once an interruption came amid ``Thread.is_alive`` or ``join``, CPython 3.11 takes a thread that runs for one that has
        # ended, and nobody would wait for the playbook. An event is only ever set by the thread itself.
        self._over = threading.Event()
        self._error: BaseException | None = None
        self._variables = variables_for(Child.ANSIBLE) if variables is None else variables
        self._runner = self._prepare(folder, timeout_seconds)
        self._thread = threading.Thread(target=self._work, name=f"ansible {playbook}", daemon=True)

    def follow(self, said: Collected, observer: Observer, cancelled: Callable[[], bool] = _never) -> None:
        """Run to the end. An exception of the observer, or an interruption, ends the playbook first. Where ``cancelled`` comes true,
        as an interruption: ``InterruptedByUserError``.
        """
        try:
            self._thread.start()
            while not self._over.is_set() or not self._events.empty():
                if cancelled():
                    raise interrupted(self.playbook)
                try:
                    raw = self._events.get(timeout=0.1)
                except queue.Empty:
                    continue
                for event in said.take(raw):
                    observer(event)
        finally:
            self._end()
        if self._error is not None:
            raise DefectError(f"playbook {self.playbook} could not be run: {self._error}") from self._error

    def _end(self) -> None:
        """Ask the guard, and wait: the runner's own way is ``kill -9`` of the guard, which then waits for nobody."""
        try:
            if not self._over.is_set():
                with contextlib.suppress(OSError, ValueError):  # not begun, or over
                    os.kill(int((self._folder / PID_FILE).read_text(encoding="ascii")), signal.SIGTERM)
                    self._over.wait(_GRACE_SECONDS * 2)
        finally:
            self._stop.set()
            self._over.wait(_GRACE_SECONDS * 2)

    @property
    def killed(self) -> bool:
        """Whether a signal ended it, or its guard, which then has no exit code at all; the guard hands on 128 + signal."""
        code = self._runner.rc
        return self.status == "failed" and (code is None or SIGNALLED < code <= SIGNALLED + signal.NSIG)

    @property
    def ended_from_outside(self) -> bool:
        """Killed, or past its time: it did not come to its own cleaning up."""
        return self.killed or self.status not in {"successful", "failed"}

    def _work(self) -> None:
        try:
            self._runner.run()
            self.status = self._runner.status
        except Exception as error:  # noqa: BLE001 - handed over to the thread that waits
            self._error = error
        finally:
            self._over.set()

    def _take(self, event: dict[str, Any]) -> bool:
        self._events.put(event)
        return False  # nothing is kept on disk

    def _prepare(self, folder: Path, timeout_seconds: int) -> Runner:
        _write_settings(folder, timeout_seconds)
        (folder / "ansible.cfg").write_text(_CONFIGURATION, encoding="utf-8")
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
        config.env = {**self._variables, **_settings_of_ours(folder), **_added_by_runner(config.env)}
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


def _settings_of_ours(folder: Path) -> dict[str, str]:
    collections = str(share_dir("collections"))
    return {
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
