"""``await_pod``: wait until a pod is ready, or say why it cannot become ready."""

from typing import Any

from ansible_collections.weighbridge.byom.plugins.plugin_utils.action import (
    CLUSTER_SPEC,
    Speaker,
    WeighbridgeAction,
    kube_of,
)

from weighbridge.kubernetes.job_reader import KubeReader
from weighbridge.kubernetes.pod_follower import Follower, Patience


class ActionModule(WeighbridgeAction):
    """See plugins/modules/await_pod.py."""

    ARGUMENTS = {  # noqa: RUF012 - Ansible's own shape
        "cluster": CLUSTER_SPEC,
        "namespace": {"type": "str", "required": True},
        "model_id": {"type": "str", "required": True},
        "pod": {"type": "str", "required": True},
        "claim": {"type": "str", "required": True},
        "schedule_seconds": {"type": "float", "default": 600.0},
        "stuck_seconds": {"type": "float", "default": 30.0},
    }

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
