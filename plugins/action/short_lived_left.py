"""``short_lived_left``: return which of some objects exist in the cluster and belong to this environment. Only GET requests."""

from typing import Any

from ansible_collections.weighbridge.byom.plugins.plugin_utils.action import (
    Speaker,
    WeighbridgeAction,
    kube_of,
)

from weighbridge.domain.naming import is_ours
from weighbridge.errors import ForbiddenError
from weighbridge.kubernetes.client import CONFIG_MAP, JOB, POD, SECRET, Object

_KINDS = {kind.kind: kind for kind in (JOB, POD, CONFIG_MAP, SECRET)}


class ActionModule(WeighbridgeAction):
    """See plugins/modules/short_lived_left.py."""

    def work(self, arguments: dict[str, Any]) -> dict[str, Any]:
        kube, namespace = kube_of(arguments["cluster"]), arguments["namespace"]
        named = [(item["kind"], item["metadata"]["name"], False) for item in arguments["objects"]]
        named += [(item["kind"], item["name"], True) for item in arguments["former"]]
        left: list[Object] = []
        for word, name, former in named:
            kind = _KINDS[word]
            try:
                found = kube.get(kind, name, namespace)
            except ForbiddenError:
                if not former and kind is not SECRET:
                    raise
                continue  # a user who may not even read it did not make it
            if found is None:
                continue
            if not is_ours(found, arguments["environment"]):
                self._leave(arguments, word, name)
                continue
            metadata = {"name": name, "namespace": namespace}
            left.append({"apiVersion": kind.api_version, "kind": word, "metadata": metadata})
        return {"changed": False, "left": left}

    @staticmethod
    def _leave(arguments: dict[str, Any], kind: str, name: str) -> None:
        text = f"{kind} {name} is not of environment {arguments['environment']} by its labels: it is left"
        Speaker(arguments["model_id"])({"event": "note", "text": text})
