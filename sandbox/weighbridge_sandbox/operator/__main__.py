"""``python -m weighbridge_sandbox.operator``: watch every Watsonxaiifm and reconcile, one at a time."""

import asyncio
import logging
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

import httpx2
import kopf

from weighbridge_sandbox.kube import GROUP, PLURAL, VERSION, connect
from weighbridge_sandbox.layout import Layout
from weighbridge_sandbox.operator.cluster import ClusterResources, ClusterVolumes
from weighbridge_sandbox.operator.reconciler import Reconciler
from weighbridge_sandbox.operator.settings import Settings
from weighbridge_sandbox.serial import Key, SerialQueue, serve

log = logging.getLogger("weighbridge_sandbox.operator")

FIELD_MANAGER = "ibm-cpd-watsonx-ai-ifm-operator"
RETRY_SECONDS = 2.0
"""After the API server or a disk did not answer; not after Failed."""


def watch(queue: SerialQueue, pickup_seconds: float) -> kopf.OperatorRegistry:
    """A registry whose only handler queues an object when it is first seen and when its generation grows.

    Generation counts changes of the spec only, so status writes and labels start nothing (controller-runtime's
    GenerationChangedPredicate). An event handler makes kopf keep nothing on the object: no finalizer, no annotation.
    """
    registry = kopf.OperatorRegistry()
    reconciled: dict[str, int] = {}

    @kopf.on.login(registry=registry)  # type: ignore[arg-type,unused-ignore]
    def login(settings: kopf.OperatorSettings, **_: object) -> kopf.ConnectionInfo | None:
        return kopf.login_with_kubeconfig(settings=settings)

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def seen(event: Mapping[str, Any], body: Mapping[str, Any], **_: object) -> None:
        metadata = body["metadata"]
        uid, generation = metadata["uid"], int(metadata["generation"])
        if event.get("type") == "DELETED":
            reconciled.pop(uid, None)
            return
        if reconciled.get(uid) == generation:
            return
        reconciled[uid] = generation
        queue.add_after((metadata["namespace"], metadata["name"]), pickup_seconds)

    return registry


async def run(settings: Settings) -> None:
    """Serve until told to stop."""
    client = connect(field_manager=FIELD_MANAGER)
    reconciler = Reconciler(ClusterResources(client), ClusterVolumes(client), settings, sleep=time.sleep)
    queue = SerialQueue()

    async def work(key: Key) -> float | None:
        try:
            return await asyncio.to_thread(reconciler.reconcile, *key)
        except (httpx2.HTTPError, OSError) as error:
            log.warning("%s/%s: %s; next try in %s s", *key, error, RETRY_SECONDS)
            return RETRY_SECONDS

    await serve(watch(queue, settings.pickup_seconds), queue, work)


def main() -> int:
    """Exit code 0 after a stop, 2 for settings that cannot be used."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    os.environ["KUBECONFIG"] = str(Layout.from_environment().kubeconfig)  # for kopf
    try:
        settings = Settings.from_environment(os.environ)
    except ValueError as wrong:
        log.error("%s", wrong)  # noqa: TRY400 - the sentence says it all
        return 2
    asyncio.run(run(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
