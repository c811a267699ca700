"""How each fault is done. A function waits for its moment, strikes, and may leave something to be healed."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil

from faults.campaign.command import Command
from faults.campaign.draw import Strike
from faults.campaign.ground import MODEL, Ground
from faults.campaign.hostile import Forgery, forgery, helper
from faults.campaign.processes import Match, in_pods, is_guard, kill, mentions, named
from support.s3_fault_proxy import Kind, S3Fault
from weighbridge.kubernetes.client import JOB, POD
from weighbridge_sandbox.supervision import Supervision

_OPERATOR_DEADLINE_SECONDS = 15
_PROCESS_SPAN_SECONDS = 1.5
"""A process is killed within this time of its life."""
_POLL_SECONDS = 0.03
_POD_POLL_SECONDS = 0.15

MOVER = mentions("mover.pyz")
DAEMON: Match = lambda argv: bool(argv) and Path(argv[0]).name == "rsync" and "--daemon" in argv  # noqa: E731
_DISRUPTED = {
    "kill-pulumi": named("pulumi"),
    "kill-provider": mentions("pulumi-resource-weighbridge"),
    "kill-kubernetes-provider": named("pulumi-resource-kubernetes"),
    "kill-guard": is_guard,
    "kill-ansible": mentions("ansible-playbook"),
    "kill-rsync": named("rsync"),
    "kill-port-forward": mentions("port-forward"),
}
_SUPERVISED = {
    "kill-operator": "operator",
    "kill-api-server": "kube-apiserver",
    "kill-s3": "s3",
    "kill-kubelet": "kubelet",
    "kill-controllers": "kube-controller-manager",
}
_SIGNALS = {"ctrl-c": signal.SIGINT, "sigterm": signal.SIGTERM, "hang-up": signal.SIGHUP}


class MissedError(Exception):
    """The run ended before its moment came."""


@dataclass
class Scene:
    """One struck run."""

    ground: Ground
    command: Command
    strike: Strike
    healing: list[Callable[[], None]] = field(default_factory=list)
    """To be called when the run has ended, whatever happened."""

    def await_moment(self, share: float | None = None) -> None:
        """Return when the phase is so far; raises ``MissedError`` when the run ends before."""
        wanted = self.ground.spans[self.strike.phase] * (self.strike.at if share is None else share)
        while (since := self.command.phase_since(self.strike.phase)) is None or since < wanted:
            self.require_running()
            time.sleep(_POLL_SECONDS)
        self.require_running()

    def require_running(self) -> None:
        if not self.command.running:
            raise MissedError

    def await_victim(self, find: Callable[[], psutil.Process | None]) -> psutil.Process:
        """A living process, at the age that the strike says; another one if it ends earlier."""
        self.await_moment(share=0)
        while True:
            self.require_running()
            victim = find()
            if victim is None:
                time.sleep(_POLL_SECONDS)
                continue
            until = time.monotonic() + self.strike.at * _PROCESS_SPAN_SECONDS
            while time.monotonic() < until and victim.is_running():
                time.sleep(_POLL_SECONDS)
            if victim.is_running():
                return victim

    def for_a_while(self, undo: Callable[[], None]) -> None:
        """Undo after 1 to 6 seconds, and when the run has ended."""
        timer = threading.Timer(1 + 5 * self.strike.at, undo)
        timer.daemon = True
        timer.start()

        def now() -> None:
            timer.cancel()
            timer.join(10)
            undo()

        self.healing.append(now)

    def heal(self) -> None:
        for undo in self.healing:
            undo()
        self.healing.clear()
        self.ground.proxy.calm()

    @property
    def namespace(self) -> str:
        return self.ground.estate.name

    @property
    def labels(self) -> dict[str, str]:
        return {"weighbridge.dev/environment": self.namespace}


def inject(scene: Scene) -> None:
    """Do what the strike says. Raises ``MissedError`` if nothing was hit."""
    name = scene.strike.fault
    if name in _DISRUPTED:
        _kill_child(scene, _DISRUPTED[name])
    elif name in _SUPERVISED:
        _kill_supervised(scene, _SUPERVISED[name])
    elif name in _SIGNALS:
        scene.await_moment()
        scene.command.interrupt(_SIGNALS[name])
    elif name in _S3:
        _arm(scene, *_S3[name])
    else:
        _OTHERS[name](scene)


def changes_for(fault: str) -> dict[str, Any]:
    """What the environment file of the struck run has otherwise."""
    if fault == "operator-silent":
        return {"platform": {"version": "5.2", "reconcile_seconds": _OPERATOR_DEADLINE_SECONDS}}
    return {}


def variables_for(fault: str, ground: Ground) -> dict[str, str]:
    """What the surroundings of the struck run have otherwise."""
    if fault == "login-helper":
        helper(ground).write(ground.estate)
        return helper(ground).variables
    return {}


# -- processes -------------------------------------------------------------------------------------------------------


def _kill_child(scene: Scene, match: Match) -> None:
    victim = scene.await_victim(lambda: scene.command.family.find(match))
    if not kill(victim):
        raise MissedError


def _kill_orchestrator(scene: Scene) -> None:
    scene.await_moment()
    scene.command.process.kill()


def _kill_everything(scene: Scene) -> None:
    scene.await_moment()
    scene.command.kill_all()


def _kill_after_receipt(scene: Scene) -> None:
    scene.await_moment(share=0)
    estate = scene.ground.estate
    before = estate.receipt(MODEL)
    while estate.receipt(MODEL) == before:
        scene.require_running()
        time.sleep(_POLL_SECONDS)
    scene.command.kill_all()


def _kill_in_pod(match: Match) -> Callable[[Scene], None]:
    def strike(scene: Scene) -> None:
        volume = scene.ground.volume()
        if volume is None:
            scene.await_moment(share=0)
            while (volume := scene.ground.volume()) is None:
                scene.require_running()
                time.sleep(0.2)
        place = volume

        def find() -> psutil.Process | None:
            time.sleep(_POD_POLL_SECONDS)  # every process of the machine is looked at
            found = in_pods(place, match)
            return found[0] if found else None

        if not kill(scene.await_victim(find)):
            raise MissedError

    return strike


def _kill_supervised(scene: Scene, name: str) -> None:
    scene.await_moment()
    state = Supervision(scene.ground.estate.layout).states()[name]
    if state.pid == 0:
        raise MissedError
    os.kill(state.pid, signal.SIGKILL)


def _operator_silent(scene: Scene) -> None:
    scene.await_moment(share=0)
    pid = Supervision(scene.ground.estate.layout).states()["operator"].pid
    os.kill(pid, signal.SIGSTOP)
    scene.healing.append(lambda: os.kill(pid, signal.SIGCONT))


# -- pods and volumes ------------------------------------------------------------------------------------------------


def _await_pod(scene: Scene) -> str:
    """Name of a pod of ours that was placed on a node, some moments after it was."""
    scene.await_moment(share=0)
    while True:
        scene.require_running()
        for pod in scene.ground.estate.kube.list(POD, scene.namespace, labels=scene.labels):
            if pod["spec"].get("nodeName") and not pod["metadata"].get("deletionTimestamp"):
                time.sleep(scene.strike.at * 3)
                return str(pod["metadata"]["name"])
        time.sleep(0.1)


def _pod_deleted(scene: Scene) -> None:
    pod = _await_pod(scene)
    _kubectl(scene, "delete", "pod", pod, "--grace-period=0", "--force", "--wait=false")


def _pod_evicted(scene: Scene) -> None:
    pod = _await_pod(scene)
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": scene.namespace},
    }
    path = f"/api/v1/namespaces/{scene.namespace}/pods/{pod}/eviction"
    _kubectl(scene, "create", "--raw", path, "-f", "-", stdin=json.dumps(body))


def _job_deleted(scene: Scene) -> None:
    scene.await_moment(share=0)
    while True:
        scene.require_running()
        for job in scene.ground.estate.kube.list(JOB, scene.namespace, labels=scene.labels):
            time.sleep(scene.strike.at * 3)
            _kubectl(scene, "delete", "job", job["metadata"]["name"], "--wait=false")
            return
        time.sleep(0.1)


def _kubectl(scene: Scene, *arguments: str, stdin: str | None = None) -> None:
    """Raises ``MissedError`` if the object went before."""
    words = ["kubectl", "--context=weighbridge-sandbox", f"--namespace={scene.namespace}", *arguments]
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode != 0:
        raise MissedError(done.stderr)


def _volume_full(scene: Scene) -> None:
    scene.await_moment(share=0)
    while (volume := scene.ground.volume()) is None:
        scene.require_running()
        time.sleep(0.1)
    ballast = volume.parent / "ballast"  # beside what pods see, on the same file system
    free = os.statvfs(volume.parent)
    left = int(scene.strike.at * 400_000)  # enough for none or for some of the files
    size = max(1, free.f_bavail * free.f_frsize - left)
    with ballast.open("wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, size)
    if scene.strike.at < 0.5:
        scene.for_a_while(lambda: ballast.unlink(missing_ok=True))
    else:
        scene.healing.append(lambda: ballast.unlink(missing_ok=True))


def _forged(scene: Scene) -> None:
    """Before the first byte arrives: what is forged later, in a file that was read back already, ``verify`` finds."""
    scene.await_moment(share=0)
    while (volume := scene.ground.volume()) is None:
        scene.require_running()
        time.sleep(_POLL_SECONDS)
    forged, kinds = forgery(scene.ground, volume), (Forgery.publish, Forgery.stage, Forgery.lead_astray)
    if not kinds[int(scene.strike.at * len(kinds)) % len(kinds)](forged):
        raise MissedError


# -- the way to the cluster ------------------------------------------------------------------------------------------


def _login_helper(scene: Scene) -> None:
    at = scene.strike.at
    scene.await_moment()
    helper(scene.ground).becomes(("fails", "hangs", "talks")[int(at * 9) % 3])
    scene.for_a_while(lambda: helper(scene.ground).becomes("well"))


# -- the source ------------------------------------------------------------------------------------------------------

_S3: dict[str, tuple[Kind, int, str]] = {
    "s3-stall": ("stall", 500, ""),
    "s3-reset": ("reset", 500, ""),
    "s3-500": ("error", 500, "InternalError"),
    "s3-slow-down": ("error", 503, "SlowDown"),
    "s3-truncates": ("truncate", 500, ""),
    "s3-flips-a-bit": ("flip", 500, ""),
    "s3-delay": ("delay", 500, ""),
}


def _arm(scene: Scene, kind: Kind, status: int, code: str) -> None:
    """Spoil the next answers about objects; returns when one was spoilt."""
    at = scene.strike.at
    scene.await_moment(share=0)
    scene.ground.proxy.faults.append(
        S3Fault(
            kind,
            after=int(at * 120_000),
            seconds=2 + 5 * at,
            status=status,
            code=code,
            times=1 + int(at * 6),
            prefix=f"{scene.namespace}/",
        )
    )
    _await_struck(scene, lambda: scene.ground.proxy.struck > 0)


def _await_struck(scene: Scene, struck: Callable[[], bool]) -> None:
    while not struck():
        scene.require_running()
        time.sleep(_POLL_SECONDS)


def _outage(scene: Scene) -> None:
    scene.await_moment()
    proxy = scene.ground.proxy
    proxy.down = True
    scene.for_a_while(lambda: setattr(proxy, "down", False))


def _token_expires(scene: Scene) -> None:
    scene.await_moment()
    proxy, key = scene.ground.proxy, scene.ground.key
    proxy.expired.add(key)
    scene.for_a_while(lambda: proxy.expired.discard(key))


def _keys_rotated(scene: Scene) -> None:
    scene.await_moment()
    scene.ground.new_keys()


def _clock_skew(scene: Scene) -> None:
    scene.await_moment(share=scene.strike.at / 2)
    scene.ground.proxy.clock = timedelta(hours=1 if scene.strike.at < 0.5 else -1)


def _source_changes(scene: Scene) -> None:
    scene.await_moment()
    scene.ground.new_version()


_OTHERS: dict[str, Callable[[Scene], None]] = {
    "kill-orchestrator": _kill_orchestrator,
    "kill-everything": _kill_everything,
    "kill-after-receipt": _kill_after_receipt,
    "kill-mover": _kill_in_pod(MOVER),
    "kill-daemon": _kill_in_pod(DAEMON),
    "operator-silent": _operator_silent,
    "pod-deleted": _pod_deleted,
    "pod-evicted": _pod_evicted,
    "job-deleted": _job_deleted,
    "volume-full": _volume_full,
    "forged-on-volume": _forged,
    "login-helper": _login_helper,
    "s3-outage": _outage,
    "token-expires": _token_expires,
    "keys-rotated": _keys_rotated,
    "clock-skew": _clock_skew,
    "source-changes": _source_changes,
}


def known() -> set[str]:
    """Names of all faults that can be done."""
    return {*_DISRUPTED, *_SUPERVISED, *_SIGNALS, *_S3, *_OTHERS}
