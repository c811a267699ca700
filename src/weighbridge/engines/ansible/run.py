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
"""Names the file with the resolved secrets; ``environment/secrets.py`` reads it in the plugins' process."""

_GUARD = Path(process_guard.__file__)
_GRACE_SECONDS = 5

_CONFIGURATION = """\
[defaults]
internal_poll_interval = 0.02
"""
"""Settings that have no environment variable. By default Ansible checks a thousand times a second whether a task has
ended, which costs 6 % of a core during the whole transfer. Fifty times a second is enough.
"""


def interrupted(playbook: str) -> InterruptedByUserError:
    return InterruptedByUserError(
        f"playbook {playbook} was interrupted", remedy="the same command goes on where this one stopped"
    )


def _never() -> bool:
    return False


class PlaybookRun:
    """One run of one playbook, in a thread of its own. Its events are handled in the caller's thread."""

    def __init__(
        self, folder: Path, playbook: str, timeout_seconds: int, variables: Mapping[str, str] | None = None
    ) -> None:
        """``variables``: the environment without Ansible's own variables; by default what ``processes/variables.py`` allows."""
        self.status = "starting"
        self.playbook = playbook
        self._events: queue.SimpleQueue[Mapping[str, Any]] = queue.SimpleQueue()
        self._folder = folder
        self._stop = threading.Event()
        # If an interruption comes during ``Thread.is_alive`` or ``join``, CPython 3.11 takes a running thread for an ended one, and
        # nobody would wait for the playbook. Only the thread itself sets this event.
        self._over = threading.Event()
        self._error: BaseException | None = None
        self._variables = variables_for(Child.ANSIBLE) if variables is None else variables
        self._runner = self._prepare(folder, timeout_seconds)
        self._thread = threading.Thread(target=self._work, name=f"ansible {playbook}", daemon=True)

    def follow(self, said: Collected, observer: Observer, cancelled: Callable[[], bool] = _never) -> None:
        """Run to the end. On an exception of the observer, or an interruption, end the playbook first. If
        ``cancelled`` becomes true, do the same and raise ``InterruptedByUserError``.
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
        """Ask the guard to end, and wait. The runner would ``kill -9`` the guard, which then waits for nobody."""
        try:
            if not self._over.is_set():
                with contextlib.suppress(OSError, ValueError):  # not started, or already ended
                    os.kill(int((self._folder / PID_FILE).read_text(encoding="ascii")), signal.SIGTERM)
                    self._over.wait(_GRACE_SECONDS * 2)
        finally:
            self._stop.set()
            self._over.wait(_GRACE_SECONDS * 2)

    @property
    def killed(self) -> bool:
        """Whether a signal ended the playbook (the guard returns 128 + signal) or the guard (then there is no exit code)."""
        code = self._runner.rc
        return self.status == "failed" and (code is None or SIGNALLED < code <= SIGNALLED + signal.NSIG)

    @property
    def ended_from_outside(self) -> bool:
        """Whether it was killed or timed out, so that its own cleanup did not run."""
        return self.killed or self.status not in {"successful", "failed"}

    def _work(self) -> None:
        try:
            self._runner.run()
            self.status = self._runner.status
        except Exception as error:  # noqa: BLE001 - passed to the waiting thread
            self._error = error
        finally:
            self._over.set()

    def _take(self, event: dict[str, Any]) -> bool:
        self._events.put(event)
        return False  # keep nothing on disk

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
    """Write the file of settings. ansible-runner reads only this file: without it, it drops settings passed as an argument."""
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
        # Kubernetes' client caches what it learns about the API under a name that anybody can guess.
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
    """Return what ansible-runner itself set, without its copy of our own environment."""
    return {
        name: value
        for name, value in env.items()
        if name.startswith(("RUNNER_", "AWX_", "ANSIBLE_CALLBACK", "ANSIBLE_STDOUT", "ANSIBLE_HOST_KEY"))
        and os.environ.get(name) != value
    }
