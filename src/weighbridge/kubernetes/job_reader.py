"""Read what a follower needs about one Job or bare pod, with our Kubernetes client."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from weighbridge.kubernetes.client import CLAIM, EVENT, JOB, POD, Kube

Object = Mapping[str, Any]


class KubeReader:
    """Implement ``pod_follower.Reader``. ``job`` is ``None`` for a bare pod."""

    def __init__(
        self, kube: Kube, namespace: str, claim: str, *, job: str | None = None, pod: str | None = None
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._claim = claim
        self._job = job
        self._pod = pod
        self._uid: str | None = None

    def job(self) -> Object | None:
        if self._job is None:
            return None
        found = self._kube.get(JOB, self._job, self._namespace)
        self._uid = found["metadata"]["uid"] if found else None
        return found

    def pods(self) -> list[Object]:
        if self._job is None:
            found = self._kube.get(POD, self._pod or "", self._namespace)
            return [found] if found else []
        pods = self._kube.list(POD, self._namespace, labels={"job-name": self._job})
        ours = [
            pod
            for pod in pods
            if self._uid in {ref["uid"] for ref in pod["metadata"].get("ownerReferences", [])}
        ]
        return sorted(ours, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))

    def claim(self) -> Object | None:
        return self._kube.get(CLAIM, self._claim, self._namespace)

    def events(self, pods: Sequence[Object]) -> list[Object]:
        names = [self._job, self._claim, *(pod["metadata"]["name"] for pod in pods[-1:])]
        found: list[Object] = []
        for name in names:
            if name:
                found += self._kube.list(EVENT, self._namespace, fields={"involvedObject.name": name})
        return sorted(
            found, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or "")
        )

    def log(self, pod: str) -> Iterator[str]:
        return self._kube.log(pod, self._namespace, follow=True)
