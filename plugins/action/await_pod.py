"""``await_pod``: wait until a pod is ready, or say why it cannot become ready."""

from typing import Any

from ansible_collections.weighbridge.byom.plugins.plugin_utils.action import (
    Speaker,
    WeighbridgeAction,
    kube_of,
)

from weighbridge.kubernetes.job_reader import KubeReader
from weighbridge.kubernetes.pod_follower import Follower, Patience


class ActionModule(WeighbridgeAction):
    """See plugins/modules/await_pod.py."""

    def work(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if self.check_mode:
            return {"changed": False}
        schedule = arguments["schedule_seconds"]
        Follower(
            KubeReader(
                kube_of(arguments["cluster"]),
                arguments["namespace"],
                arguments["claim"],
                pod=arguments["pod"],
            ),
            arguments["pod"],
            Patience(
                deadline_seconds=schedule, schedule_seconds=schedule, stuck_seconds=arguments["stuck_seconds"]
            ),
            Speaker(arguments["model_id"]),
        ).await_ready()
        return {"changed": False}
