"""Judge what a Job or pod of ours is doing, from the objects that the API server shows. Without side effects.

One look gives one ``Sight``. The caller looks repeatedly and decides how long a ``Waiting`` may last. ``stuck`` means
that the cluster itself reports a problem, so the caller should not wait long.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from weighbridge.errors import PreconditionError, StepFailedError, VerificationError, WeighbridgeError

Object: TypeAlias = Mapping[str, Any]

EXIT_PRECONDITION = 3
EXIT_VERIFICATION = 5

SOURCE_UNREACHABLE = "source-unreachable"
"""The mover gave up waiting for the source; another pod on the same network would fail in the same way."""

_IMAGE_REASONS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
)
_START_REASONS = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything that one look at the cluster showed."""

    job: Object | None
    """``None`` for a bare pod, or if the Job is gone."""
    pods: Sequence[Object]
    """Oldest first."""
    claim: Object | None = None
    events: Sequence[Object] = ()
    """Of the Job, its pods and the claim; oldest first."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not running yet, or ended and to be replaced."""

    code: str
    """Stable name of the reason. A new name counts as progress."""
    what: str
    remedy: str | None = None
    stuck: bool = False
    """The cluster reports a problem that seldom goes away by itself."""
    final: bool = False
    """Waiting longer cannot help."""

    def as_error(self) -> PreconditionError:
        return PreconditionError(self.what, remedy=self.remedy, code=self.code)


@dataclass(frozen=True, slots=True)
class Running:
    pod: str
    ready: bool = True


@dataclass(frozen=True, slots=True)
class Ended:
    """The work is over."""

    pod: str | None
    exit_code: int | None
    message: dict[str, Any] | None
    """The mover's termination message, if it left one."""
    error: WeighbridgeError | None
    files: tuple[str, ...] = field(default=())
    """The paths that the error names."""

    def accepted(self, codes: Collection[int], *, named: bool) -> bool:
        """Return whether a caller that accepts these exit codes can use this as a result; ``named``: only if it names files."""
        return self.error is None or (self.error.exit_code in codes and bool(self.files or not named))


Sight: TypeAlias = Waiting | Running | Ended


def judge_job(seen: Seen, name: str) -> Sight:  # noqa: C901, PLR0911 - a decision table, read from top to bottom
    """Return what a mover's Job is doing."""
    if seen.job is None:
        return Ended(None, None, None, StepFailedError(
            f"Job {name} has disappeared while it was followed",
            remedy="somebody or a clean-up policy removed it; run the command again, it resumes",
            code="job-gone",
            transient=True,
        ))  # fmt: skip
    conditions = _conditions(seen.job)
    last = _last_ended(seen.pods)
    if "Complete" in conditions or "SuccessCriteriaMet" in conditions:
        succeeded = _last_ended([pod for pod in seen.pods if _phase(pod) == "Succeeded"])
        return _succeeded(succeeded, name) if succeeded else _without_result(seen.pods, name)
    failed = conditions.get("Failed") or conditions.get("FailureTarget")
    if failed:
        return _failed(name, failed, last)
    running = _running(seen.pods)
    if running:
        return running
    if any(_terminated(pod).get("exitCode") == 0 for pod in seen.pods):
        return Waiting("ending", f"the pod of Job {name} has ended, its Job's result is awaited")
    if last and (error := _worth_no_retry(last)):
        return error
    if seen.job.get("spec", {}).get("suspend"):
        return Waiting("suspended", f"Job {name} is suspended; the cluster's queue has not admitted it yet")
    waiting = _pod_waiting([pod for pod in seen.pods if _phase(pod) == "Pending"], seen)
    if waiting:
        return waiting
    refused = _last_event(seen.events, name, {"FailedCreate"})
    if refused and not seen.pods:
        return _refused(name, refused)
    if last:
        return Waiting(
            "retrying",
            f"the pod of Job {name} ended early ({_ended_how(last)}); a replacement follows and resumes",
        )
    return Waiting("creating", f"Job {name} waits for its pod to be created")


def judge_pod(seen: Seen, name: str) -> Sight:
    """Return what a bare pod is doing that should become ready."""
    pod = next(iter(seen.pods), None)
    if pod is None:
        return Ended(None, None, None, StepFailedError(f"pod {name} has disappeared", code="pod-gone", transient=True,
            remedy="it was evicted or removed; run the command again, it resumes"))  # fmt: skip
    if _phase(pod) in {"Failed", "Succeeded"}:
        text = _terminated(pod).get("message") or pod.get("status", {}).get("message") or _ended_how(pod)
        return Ended(name, _exit_code(pod), None, PreconditionError(
            f"pod {name} ended instead of becoming ready: {str(text).strip()}",
            remedy=_remedy_for(str(text)),
            code="pod-failed",
        ))  # fmt: skip
    return _running([pod]) or _pod_waiting([pod], seen) or Waiting("starting", f"pod {name} is starting")


def error_of(message: Mapping[str, Any], exit_code: int | None) -> WeighbridgeError | None:
    """Return the mover's own error as one of ours, by its exit code."""
    error = message.get("error")
    if not isinstance(error, Mapping):
        return None
    what, remedy, code = str(error.get("message")), error.get("remedy"), str(error.get("code"))
    if exit_code == EXIT_PRECONDITION:
        return PreconditionError(what, remedy=remedy, code=code)
    if exit_code == EXIT_VERIFICATION:
        return VerificationError(what, remedy=remedy, code=code)
    return StepFailedError(what, remedy=remedy, code=code, transient=bool(error.get("transient")))


def _succeeded(pod: Object, name: str) -> Ended:
    message = _message(pod)
    error = None
    if message is None:
        error = StepFailedError(
            f"Job {name} succeeded, but its pod left no result",
            remedy="does the image run the mover (python3 of 3.9 or later)? Look at its log before it is removed",
            code="no-result",
        )
    return Ended(pod["metadata"]["name"], _exit_code(pod), message, error)


def _without_result(pods: Sequence[Object], name: str) -> Sight:
    """Judge a Job that is complete without a pod that shows the result. A pod that is gone will not come back."""
    again = "run the command again: what has arrived stays, and only the result is made anew"
    if any(_phase(pod) in {"Pending", "Running"} for pod in pods):
        return Waiting("ending", f"Job {name} is complete, its pod's result is awaited", again, stuck=True)
    error = StepFailedError(
        f"Job {name} did its work, but its pod was removed before its result was read",
        remedy=again,
        code="result-gone",
        transient=True,
    )
    return Ended(None, None, None, error)


def _failed(name: str, condition: Object, pod: Object | None) -> Ended:
    reason = condition.get("reason", "")
    message = _message(pod) if pod else None
    code = _exit_code(pod) if pod else None
    error = error_of(message, code) if message else None
    if error is None and reason == "DeadlineExceeded":
        error = StepFailedError(
            f"Job {name} did not finish within its deadline",
            remedy="run the command again: what has arrived stays, and the rest is fetched",
            code="deadline",
            transient=True,
        )
    if error is None:
        how = _ended_how(pod) if pod else condition.get("message", reason)
        error = StepFailedError(
            f"Job {name} failed: {how}", remedy=_remedy_for(str(how)), code="mover-died", transient=True
        )
    return Ended(pod["metadata"]["name"] if pod else None, code, message, error, _files_of(message))


def _worth_no_retry(pod: Object) -> Ended | None:
    """Return the end if the mover calls its failure not transient: a replacement would fail again, so do not wait."""
    message, code = _message(pod), _exit_code(pod)
    if message is None or code in {None, 0}:
        return None
    error = error_of(message, code)
    if error is None or (getattr(error, "transient", False) and error.code != SOURCE_UNREACHABLE):
        return None
    return Ended(pod["metadata"]["name"], code, message, error, _files_of(message))


def _files_of(message: Mapping[str, Any] | None) -> tuple[str, ...]:
    error = (message or {}).get("error") or {}
    return tuple(str(path) for path in error.get("files") or ())


def _running(pods: Sequence[Object]) -> Running | None:
    for pod in reversed(pods):
        for status in pod.get("status", {}).get("containerStatuses") or []:
            if "running" in (status.get("state") or {}) and not pod["metadata"].get("deletionTimestamp"):
                return Running(pod["metadata"]["name"], ready=bool(status.get("ready")))
    return None


def _pod_waiting(pods: Sequence[Object], seen: Seen) -> Waiting | None:
    if not pods:
        return None
    pod = pods[-1]
    name = pod["metadata"]["name"]
    for status in pod.get("status", {}).get("containerStatuses") or []:
        waiting = (status.get("state") or {}).get("waiting") or {}
        reason, text = waiting.get("reason", ""), waiting.get("message") or ""
        if reason in _IMAGE_REASONS:
            image = pod["spec"]["containers"][0].get("image")
            return Waiting(
                "image-not-pulled",
                f"image {image} cannot be pulled: {text or reason}",
                remedy="correct pods.image, mirror the image, or name a pods.pull_secret that may pull it",
                stuck=True,
                final=reason in {"InvalidImageName", "ErrImageNeverPull"},
            )
        if reason in _START_REASONS:
            return Waiting(
                "pod-not-started",
                f"pod {name} cannot start: {text or reason}",
                remedy=_remedy_for(text),
                stuck=True,
            )
    return _pending_claim(seen) or _unscheduled(pod, seen) or _unmounted(pod, seen)


def _pending_claim(seen: Seen) -> Waiting | None:
    claim = seen.claim
    if claim is None or claim.get("status", {}).get("phase") == "Bound":
        return None
    name = claim["metadata"]["name"]
    phase = claim.get("status", {}).get("phase", "Pending")
    told = [event for event in seen.events if _about(event) == name]
    warning = next((event for event in reversed(told) if event.get("type") == "Warning"), None)
    latest = warning or next(iter(reversed(told)), None)
    why = f": {latest['message'].strip()}" if latest and latest.get("message") else ""
    storage_class = claim.get("spec", {}).get("storageClassName")
    return Waiting(
        "claim-pending",
        f"PersistentVolumeClaim {name} stays {phase}{why}",
        remedy=f"the provisioner of storage class {storage_class} must make the volume: ask who runs it, or choose another"
        " storage_class or access_mode",
        stuck=warning is not None,
        final=phase == "Lost",
    )


def _unscheduled(pod: Object, seen: Seen) -> Waiting | None:
    for condition in pod.get("status", {}).get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            name = pod["metadata"]["name"]
            scaling = _last_event(seen.events, name, {"TriggeredScaleUp"})
            return Waiting(
                "unschedulable",
                f"no node takes pod {name}: {condition.get('message', condition.get('reason', ''))}",
                remedy="look at pods.node_selector, pods.tolerations, pods.resources and the volume's node affinity",
                stuck=scaling is None,
            )
    return None


def _unmounted(pod: Object, seen: Seen) -> Waiting | None:
    name = pod["metadata"]["name"]
    event = _last_event(seen.events, name, {"FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"})
    if event is None:
        return None
    return Waiting(
        "volume-not-mounted",
        f"pod {name} cannot start: {event.get('message', '').strip()}",
        remedy="the node's kubelet or the storage driver says why; `kubectl describe pod` shows more",
        stuck=True,
    )


def _refused(name: str, event: Object) -> Waiting:
    text = str(event.get("message", "")).strip()
    quota = "exceeded quota" in text
    return Waiting(
        "quota-exceeded" if quota else "pod-refused",
        f"the cluster refuses the pod of Job {name}: {text}",
        remedy="free or raise the namespace's quota, or lower pods.resources"
        if quota
        else "an admission rule of the cluster decides this; its text says which",
        stuck=True,
        final="forbidden" in text,
    )


def _last_event(events: Sequence[Object], about: str, reasons: set[str]) -> Object | None:
    return next(
        (event for event in reversed(events) if event.get("reason") in reasons and _about(event) == about),
        None,
    )


def _about(event: Object) -> str:
    return str((event.get("involvedObject") or {}).get("name", ""))


def _conditions(job: Object) -> dict[str, Object]:
    found = job.get("status", {}).get("conditions") or []
    return {condition["type"]: condition for condition in found if condition.get("status") == "True"}


def _phase(pod: Object) -> str:
    return str(pod.get("status", {}).get("phase", "Pending"))


def _last_ended(pods: Sequence[Object]) -> Object | None:
    return next((pod for pod in reversed(pods) if _phase(pod) in {"Failed", "Succeeded"}), None)


def _terminated(pod: Object) -> dict[str, Any]:
    for status in pod.get("status", {}).get("containerStatuses") or []:
        found = (status.get("state") or {}).get("terminated")
        if found:
            return dict(found)
    return {}


def _exit_code(pod: Object) -> int | None:
    code = _terminated(pod).get("exitCode")
    return code if isinstance(code, int) else None


def _message(pod: Object) -> dict[str, Any] | None:
    try:
        found = json.loads(_terminated(pod).get("message") or "")
    except ValueError:
        return None
    return found if isinstance(found, dict) and "outcome" in found else None


def _ended_how(pod: Object) -> str:
    status, terminated = pod.get("status", {}), _terminated(pod)
    parts = [
        str(part)
        for part in (status.get("reason"), terminated.get("reason"), status.get("message"))
        if part and part != "Error"
    ]
    if (code := terminated.get("exitCode")) is not None:
        parts.append(f"exit code {code}")
    return ", ".join(parts) or "no reason given"


def _remedy_for(how: str) -> str:
    if "OOMKilled" in how:
        return "raise pods.resources.memory"
    if "Evicted" in how or "Preempt" in how:
        return "the node needed the room; run the command again, it resumes"
    if "ermission denied" in how or "not permitted" in how:
        return (
            "the volume does not let the namespace's user write: its driver ignores fsGroup. Set fsGroupPolicy: File on the"
            " CSIDriver, uid/gid in the StorageClass, or choose another storage_class"
        )
    if "not found" in how:
        return "create what it names, or correct the environment file"
    return "run the command again, it resumes; the pod's log and events tell more"
