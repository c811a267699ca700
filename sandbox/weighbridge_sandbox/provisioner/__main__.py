"""``python -m weighbridge_sandbox.provisioner``: serve claims of the sandbox's storage classes until told to stop."""

import asyncio
import logging
import os
import sys
from collections.abc import Mapping
from typing import Any, cast

import httpx2
import kopf
from lightkube.resources.core_v1 import PersistentVolume

from weighbridge_sandbox.errors import SandboxError
from weighbridge_sandbox.kube import connect
from weighbridge_sandbox.layout import NODE, Layout
from weighbridge_sandbox.provisioner.cluster import ClusterStorage
from weighbridge_sandbox.provisioner.loopfiles import LoopFiles
from weighbridge_sandbox.provisioner.reconciler import Provisioner
from weighbridge_sandbox.serial import Key, SerialQueue, serve

log = logging.getLogger("weighbridge_sandbox.provisioner")

RETRY_SECONDS = 2.0
SWEEP: Key = ("", "")


def watch(queue: SerialQueue, gone: dict[str, PersistentVolume]) -> kopf.OperatorRegistry:
    """A registry that queues claims as (namespace, name) and volumes as ("", name); ``gone`` keeps deleted ones."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    def login(settings: kopf.OperatorSettings, **_: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_kubeconfig(settings=settings)

    @kopf.on.event("", "v1", "persistentvolumeclaims", registry=registry)
    async def claim(event: Mapping[str, Any], body: Mapping[str, Any], **_: Any) -> None:
        if event.get("type") != "DELETED":
            queue.add((body["metadata"]["namespace"], body["metadata"]["name"]))

    @kopf.on.event("", "v1", "persistentvolumes", registry=registry)
    async def volume(event: Mapping[str, Any], body: Mapping[str, Any], **_: Any) -> None:
        name = body["metadata"]["name"]
        if event.get("type") == "DELETED":
            gone[name] = cast("PersistentVolume", PersistentVolume.from_dict(dict(event["object"])))
        queue.add(("", name))

    return registry


async def run(files: LoopFiles) -> None:
    """Mount what is there, then serve."""
    await asyncio.to_thread(files.recover)
    provisioner = Provisioner(
        ClusterStorage(connect(field_manager="weighbridge-sandbox-provisioner")), files, NODE
    )
    queue = SerialQueue()
    queue.add(SWEEP)
    gone: dict[str, PersistentVolume] = {}

    def step(key: Key) -> float | None:
        namespace, name = key
        if key == SWEEP:
            provisioner.sweep()
            return None
        if namespace:
            return provisioner.claim(namespace, name)
        if (deleted := gone.get(name)) is not None:
            provisioner.deleted(deleted)
            del gone[name]
            return None
        return provisioner.volume(name)

    async def work(key: Key) -> float | None:
        try:
            return await asyncio.to_thread(step, key)
        except (httpx2.HTTPError, OSError, SandboxError) as error:
            log.warning("%s/%s: %s; next try in %s s", *key, error, RETRY_SECONDS)
            return RETRY_SECONDS

    await serve(watch(queue, gone), queue, work)


def main() -> int:
    """Exit code 0 after a stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    os.environ["KUBECONFIG"] = str(Layout.from_environment().kubeconfig)  # for kopf
    asyncio.run(run(LoopFiles(Layout.from_environment().volumes)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
