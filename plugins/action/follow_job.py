"""``follow_job``: follow a mover's Job to its end, with live progress."""

from typing import Any

from ansible_collections.weighbridge.byom.plugins.plugin_utils.action import (
    Speaker,
    WeighbridgeAction,
    failure,
    kube_of,
)

from weighbridge.kubernetes.client import CONFIG_MAP, JOB, SECRET, ForbiddenError, Kube
from weighbridge.kubernetes.job_reader import KubeReader
from weighbridge.kubernetes.pod_follower import Follower, Patience

_KINDS = {kind.kind: kind for kind in (CONFIG_MAP, SECRET)}


class ActionModule(WeighbridgeAction):
    """See plugins/modules/follow_job.py."""

    def work(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if self.check_mode:
            return {"changed": True, "result": None}
        kube = kube_of(arguments["cluster"])
        _adopt(kube, arguments)
        follower = Follower(
            KubeReader(kube, arguments["namespace"], arguments["claim"], job=arguments["job"]),
            arguments["job"],
            Patience(
                deadline_seconds=arguments["deadline_seconds"],
                schedule_seconds=arguments["schedule_seconds"],
                stuck_seconds=arguments["stuck_seconds"],
            ),
            Speaker(arguments["model_id"]),
        )
        ended = follower.follow_job()
        result = {
            "changed": True,
            "result": ended.message,
            "exit_code": ended.exit_code,
            "files": list(ended.files),
        }
        if ended.error is None or ended.accepted(arguments["accept"], named=arguments["accept_named"]):
            return result
        return {**result, **failure(ended.error), "last_lines": list(follower.last_lines)}


def _adopt(kube: Kube, arguments: dict[str, Any]) -> None:
    """Make the Job the owner of the objects that it needs, so that they go with it, whatever happens to this process."""
    job = kube.get(JOB, arguments["job"], arguments["namespace"])
    if job is None:
        return
    owner = {
        "apiVersion": JOB.api_version,
        "kind": JOB.kind,
        "name": arguments["job"],
        "uid": job["metadata"]["uid"],
    }
    for item in arguments["adopt"]:
        try:
            kube.merge(
                _KINDS[item["kind"]],
                item["name"],
                arguments["namespace"],
                {"metadata": {"ownerReferences": [owner]}},
            )
        except ForbiddenError:
            continue  # removed by name at the end of this run or of the next
