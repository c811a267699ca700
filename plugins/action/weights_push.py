"""``weights_push``: download a set file by file and send it into the rsync pod, with live progress."""

import contextlib
import time
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.weighbridge.byom.plugins.plugin_utils.action import (
    Speaker,
    WeighbridgeAction,
    kube_of,
)

from weighbridge.core.events import Event, TransferProgress
from weighbridge.domain.access import Access
from weighbridge.environment.secrets import Secrets
from weighbridge.environment.types import Proxy
from weighbridge.kubernetes.client import POD, SECRET, ForbiddenError, Kube
from weighbridge.kubernetes.cluster import ClusterFacts
from weighbridge.sources import chosen
from weighbridge.sources.interface import Around
from weighbridge.steps.weights.push.daemon import PASSWORD_KEY, password_in
from weighbridge.steps.weights.push.rsync import Rsync
from weighbridge.steps.weights.push.sender import Push, PushOrder, PushResult
from weighbridge.steps.weights.push.spool import Spool
from weighbridge.steps.weights.push.transport import (
    ExecStream,
    PodGoneError,
    PortForward,
    RsyncPod,
    Transport,
    TransportRefusedError,
)


class ActionModule(WeighbridgeAction):
    """See plugins/modules/weights_push.py."""

    def work(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if self.check_mode:
            return {"changed": True}
        deadline = time.monotonic() + arguments["deadline_seconds"]
        order = PushOrder.from_mapping(arguments["order"], arguments["damaged"], arguments["recorded"])
        cluster, namespace = arguments["cluster"], arguments["namespace"]
        kube = kube_of(cluster)
        source, folder = chosen(arguments["source"]), Path(arguments["folder"])
        secrets = Secrets(folder, kube_reader=ClusterFacts(kube, namespace).secret)
        around = Around(
            folder=folder,
            values=secrets.of_source(source.secrets),
            ca_bundle=Path(arguments["ca_bundle"]) if arguments["ca_bundle"] else None,
            proxy=_proxy(arguments["proxy"]),
        )
        speaker = Speaker(order.model_id)
        for warning in secrets.warnings:
            speaker({"event": "note", "text": warning})
        rsync = Rsync(arguments["stall_seconds"])
        pod = RsyncPod(
            arguments["pod"],
            namespace,
            arguments["container"],
            context=cluster["context"],
            proxy=cluster["proxy"],
        )
        version = order.sub_path.rpartition("/")[2]
        with Spool(Path(arguments["spool"]), pod.name, version, arguments["spool_bytes"]) as spool:
            password = _password(kube, pod) if arguments["password"] else None
            transports = [
                transport
                for name in arguments["transports"]
                if (transport := _transport(name, pod, password, spool))
            ]
            refused = [] if password is not None else [_without_secret(pod)]
            with contextlib.closing(source.open(around)) as reader:
                push = Push(
                    order, reader, rsync, transports, spool,
                    deadline=deadline, emit=lambda event: speaker(_line(event)), refused=refused,
                )  # fmt: skip
                return _result(push.run())


def _transport(name: str, pod: RsyncPod, password: str | None, spool: Spool) -> Transport | None:
    """Return the transport. A port-forward opens a port that every user of this machine can reach, so it needs a password."""
    if name == "exec":
        return ExecStream(pod)
    return None if password is None else PortForward(pod, password, spool.log)


def _without_secret(pod: RsyncPod) -> TransportRefusedError:
    access = Access(verb="create", group="", resource="secrets", name=pod.name, namespace=pod.namespace)
    return TransportRefusedError(
        f"pods/portforward needs a password, and no Secret may be made for it in {pod.namespace}", access
    )


def _password(kube: Kube, pod: RsyncPod) -> str:
    """Return the password of the pod's daemon. Make the pod the owner of its Secret, so that both are removed together."""
    secret = kube.get(SECRET, pod.name, pod.namespace)
    found = kube.get(POD, pod.name, pod.namespace)
    if found is None or secret is None:
        raise PodGoneError(
            f"rsync pod {pod.namespace}/{pod.name} or its Secret has been removed by somebody else",
            remedy="Run the same command again, once no other run is at this model.",
            code="pod-gone",
            transient=True,
        )
    owner = {"apiVersion": "v1", "kind": "Pod", "name": pod.name, "uid": found["metadata"]["uid"]}
    with contextlib.suppress(ForbiddenError):  # removed by name at the end of this run
        kube.merge(SECRET, pod.name, pod.namespace, {"metadata": {"ownerReferences": [owner]}})
    return password_in(b64decode(secret["data"][PASSWORD_KEY]).decode())


def _proxy(raw: Mapping[str, Any] | None) -> Proxy | None:
    return (
        Proxy(http=raw.get("http"), https=raw.get("https"), no_proxy=tuple(raw.get("no_proxy") or ()))
        if raw
        else None
    )


def _line(event: Event) -> dict[str, Any]:
    """The event as the mover would print it."""
    if isinstance(event, TransferProgress):
        return {
            "event": "progress",
            "phase": event.phase,
            "bytes": event.bytes,
            "total": event.total,
            "rate": round(event.rate),
        }
    return {"event": "note", "text": getattr(event, "text", str(event))}


def _result(done: PushResult) -> dict[str, Any]:
    return {
        "changed": done.files_sent > 0,
        "files_sent": done.files_sent,
        "files_kept": done.files_kept,
        "files_resumed": done.files_resumed,
        "bytes_moved": done.bytes_moved,
        "bytes_resumed": done.bytes_resumed,
        "bytes_downloaded": done.bytes_downloaded,
        "seconds": round(done.seconds, 3),
        "transport": done.transport,
        "set_digest": done.set_digest,
        "files": [{"path": row.path, "size": row.size, "sha256": row.sha256} for row in done.rows],
        "max_rss_bytes": done.max_rss_bytes,
    }
