"""Start a pod that checks, read what it found, and remove everything afterwards, whatever happens."""

import base64
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from weighbridge.doctor.probe_job import RUN_SECONDS, render_probe
from weighbridge.domain import naming
from weighbridge.domain.claims import claim_of
from weighbridge.environment.types import Environment, Model, Route
from weighbridge.errors import PreconditionError, StepFailedError, WeighbridgeError
from weighbridge.kubernetes.client import CONFIG_MAP, JOB, POD, SECRET, Kind, Kube
from weighbridge.kubernetes.job_reader import KubeReader
from weighbridge.kubernetes.pod_follower import Follower, Patience
from weighbridge.manifests.surroundings import Surroundings
from weighbridge.probing.probes import PodReport
from weighbridge.steps.weights.bundle import credentials_secret

STUCK_SECONDS = 20
GONE_SECONDS = 40


@dataclass(frozen=True, slots=True)
class ProbingPod:
    """The caller must hold the environment's Lease, so that no mover of ours works meanwhile."""

    kube: Kube
    environment: Environment
    around: Surroundings
    secrets: Callable[[Model], Mapping[str, str]]
    """Returns the login for a model's source, by the Secret's keys."""

    def run(self, model: Model, *, volume: bool) -> PodReport:
        """Return what the pod found, or why there was no pod."""
        config, job = render_probe(self.environment, model, self.around, volume=volume)
        name, namespace = naming.job_name(self.environment.name, model.id, "verify"), self._namespace
        made: list[tuple[Kind, str]] = []
        try:
            if self.kube.get(JOB, name, namespace) is not None:
                raise PreconditionError(
                    f"Job {name} of an earlier run is still there",
                    remedy="`weighbridge verify` goes on with it and removes it; or wait until it has ended",
                    code="job-there",
                )
            secret = credentials_secret(self.environment, model)
            if secret is not None and Route.FETCH in model.routes and model.source.chosen.secrets.references:
                self._require_ours(SECRET, secret)
                made.append((SECRET, secret))
                self.kube.apply(SECRET, self._secret(model, secret))
            self._require_ours(CONFIG_MAP, name)
            made.append((CONFIG_MAP, name))
            self.kube.apply(CONFIG_MAP, config)
            made.append((JOB, name))
            started = self.kube.apply(JOB, job)
            self._adopt(made, started)
            return self._follow(model, name, volume=volume)
        except WeighbridgeError as error:
            return PodReport(error=error)
        finally:
            self._remove(made)

    @property
    def _namespace(self) -> str:
        return self.environment.cluster.namespace

    def _require_ours(self, kind: Kind, name: str) -> None:
        found = self.kube.get(kind, name, self._namespace)
        if found is not None and not naming.is_ours(found, self.environment.name):
            raise PreconditionError(
                f"{kind.kind} {name} in namespace {self._namespace} is not of environment {self.environment.name}: it lacks its labels",
                remedy="look at who made it; rename or remove it",
                code="object-foreign",
            )

    def _secret(self, model: Model, name: str) -> dict[str, Any]:
        values = self.secrets(model)
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items() if value}
        labels = naming.object_labels(self.environment.name, model.id)
        metadata = {"name": name, "namespace": self._namespace, "labels": labels}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}

    def _adopt(self, made: list[tuple[Kind, str]], job: Mapping[str, Any]) -> None:
        """Make the Job the owner of the rest. If nobody is left to remove it, it goes when the Job's time to live ends."""
        metadata = job["metadata"]
        owner = {
            "apiVersion": JOB.api_version,
            "kind": JOB.kind,
            "name": metadata["name"],
            "uid": metadata["uid"],
        }
        for kind, name in made:
            if kind is not JOB:
                self.kube.merge(kind, name, self._namespace, {"metadata": {"ownerReferences": [owner]}})

    def _follow(self, model: Model, name: str, *, volume: bool) -> PodReport:
        claim = claim_of(self.environment, model) if volume else ""
        follower = Follower(
            _Reader(self.kube, self._namespace, claim, job=name),
            name,
            Patience(
                deadline_seconds=RUN_SECONDS,
                schedule_seconds=self.environment.pods.start_seconds,
                stuck_seconds=STUCK_SECONDS,
            ),
            lambda _: None,
        )
        ended = follower.follow_job()
        if ended.error is not None:
            last = follower.last_lines
            if last:
                ended.error.what += f"; its last words: {' / '.join(last[-3:])[:400]}"
            return PodReport(error=ended.error)
        stages = (ended.message or {}).get("stages")
        if not isinstance(stages, list):
            return PodReport(
                error=StepFailedError(
                    "the probing pod left no findings", remedy="does the image run python3 of 3.9 or newer?"
                )
            )
        return PodReport(stages=tuple(cast("list[dict[str, Any]]", stages)), volume=volume)

    def _remove(self, made: list[tuple[Kind, str]]) -> None:
        """Remove the Job first, so that its pod loses nothing while it runs; then wait until the pod has gone."""
        for kind, name in reversed(made):
            with contextlib.suppress(WeighbridgeError):  # otherwise the Job's time to live removes it
                self.kube.delete(kind, name, self._namespace)
        jobs = [name for kind, name in made if kind is JOB]
        limit = time.monotonic() + GONE_SECONDS
        while jobs and time.monotonic() < limit:
            try:
                if not self.kube.list(POD, self._namespace, labels={"job-name": jobs[0]}):
                    return
            except WeighbridgeError:
                return
            time.sleep(0.3)


class _Reader(KubeReader):
    """Read no claim if none is mounted."""

    def claim(self) -> Mapping[str, Any] | None:
        return super().claim() if self._claim else None
