"""What our action plugins share: the cluster, plain results, failures that a program can read, and live progress.

Action plugins run in the ansible-playbook process, so they can import weighbridge, and their output is seen while
they work. A module's output would arrive only at its end.
"""

import base64
import ctypes
import importlib
import json
import os
import signal
import sys
import time
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import yaml
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.weighbridge.byom.plugins.doc_fragments.cluster import ModuleDocFragment

import weighbridge.denied  # noqa: F401 - so that a refused task names the missing rule
from weighbridge.domain import human
from weighbridge.domain.naming import object_labels
from weighbridge.domain.visible import error_lines, visible
from weighbridge.errors import PreconditionError, WeighbridgeError
from weighbridge.kubernetes.client import SECRET, Kube, connect
from weighbridge.mover.proxies import ProxySettings
from weighbridge.processes.variables import Outside

JSON_EVENTS = "WEIGHBRIDGE_EVENTS"
"""If set to ``json``, progress is displayed as JSON lines, for the program that reads this run's events."""

_HUMAN_SECONDS = 2.0
_PR_SET_PDEATHSIG = 1

_OF_A_SPEC = ("type", "required", "default", "choices", "elements")


def argument_spec(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return Ansible's argument spec for documented options."""
    return {
        name: {key: option[key] for key in _OF_A_SPEC if key in option}
        | ({"options": argument_spec(option["suboptions"])} if "suboptions" in option else {})
        for name, option in options.items()
    }


def failure(error: WeighbridgeError) -> dict[str, Any]:
    """Return a task result that has in ``weighbridge`` for programs what ``msg`` has for people."""
    return {
        "failed": True,
        "msg": "\n".join(error_lines(error)),
        "weighbridge": {
            "exit_code": error.exit_code,
            "code": error.code,
            "what": error.what,
            "remedy": error.remedy,
            "transient": bool(getattr(error, "transient", False)),
        },
    }


class WeighbridgeAction(ActionBase):  # type: ignore[misc]  # Ansible ships no types
    """An action of ours: takes validated arguments, returns a result or a readable failure."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _die_with_parent()
        _, arguments = self.validate_argument_spec(self._documented())
        try:
            # Ansible marks its strings with a subclass; the called functions take plain JSON values only.
            result.update(self.work(json.loads(json.dumps(arguments))))
        except WeighbridgeError as error:
            result.update(failure(error))
        return result

    @classmethod
    def _documented(cls) -> dict[str, Any]:
        """The arguments, as the module of the same name documents them: they are declared once."""
        module = importlib.import_module(cls.__module__.replace(".plugins.action.", ".plugins.modules."))
        documented = yaml.safe_load(module.DOCUMENTATION)
        options = dict(documented["options"])
        if documented.get("extends_documentation_fragment"):
            options |= yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
        return argument_spec(options)

    @abstractmethod
    def work(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return the task's result. Raise ``WeighbridgeError``."""

    @property
    def check_mode(self) -> bool:
        return bool(self._task.check_mode)


def _die_with_parent() -> None:
    """End this process with ansible-playbook: Ansible starts each task in a process and a session of its own."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def kube_of(cluster: Mapping[str, Any]) -> Kube:
    """Return the cluster that the playbook's variables name. Refuse any other than the one for which they were rendered."""
    settings = ProxySettings(https=cluster["proxy"], http=cluster["proxy"])
    kube = connect(
        context=cluster["context"], in_cluster=cluster["in_cluster"], outside=Outside(proxy=settings)
    )
    expected = cluster.get("uid")
    if expected and (found := kube.identity()) != expected:
        raise PreconditionError(
            f"{kube.where} is not the cluster that these files were rendered for (kube-system {found}, expected {expected})",
            remedy="choose the right context, or render again",
            code="another-cluster",
        )
    return kube


def put_secret(kube: Kube, arguments: Mapping[str, Any], values: Mapping[str, str | None]) -> None:
    """Create or overwrite the Secret that ``arguments`` name (namespace, name, environment, model_id). A value of
    ``None`` removes its key.
    """
    name, namespace = arguments["name"], arguments["namespace"]
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items() if value}
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": object_labels(arguments["environment"], arguments["model_id"]),
        },
        "data": data,
    }
    found = kube.apply(SECRET, body)
    stale = dict.fromkeys(found["data"].keys() - data.keys())
    if stale or found["metadata"].get("ownerReferences"):
        # Remove an owner of an earlier run: its removal must not take the new content along.
        kube.merge(SECRET, name, namespace, {"metadata": {"ownerReferences": None}, "data": stale})


class Speaker:
    """Displays events: as JSON lines for a program, or as sentences for people, with progress every two seconds."""

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._display = Display()
        self._json = os.environ.get(JSON_EVENTS) == "json"
        self._spoken = float("-inf")

    def __call__(self, event: dict[str, Any]) -> None:
        if self._json:
            self._display.display(json.dumps({**event, "model_id": self._subject}, separators=(",", ":")))
        elif text := self._sentence(event):
            self._display.display(visible(f"{self._subject}: {text}"))

    def _sentence(self, event: dict[str, Any]) -> str | None:
        kind = event["event"]
        if kind == "progress":
            now = time.monotonic()
            if now - self._spoken < _HUMAN_SECONDS:
                return None
            self._spoken = now
            done, total = human.size(event["bytes"]), human.size(event["total"])
            return f"{event['phase']} {done} of {total}, {human.rate(event['rate'])}"
        if kind == "file":
            return f"{event['path']} {human.size(event['size'])} sha256 {event['sha256'][:12]}"
        if kind == "problem":
            return f"{event['path']} is {event['reason']}"
        return str(event.get("text", "")) or None
