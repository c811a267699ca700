"""``source_secret``: put the keys for a source's login into a short-lived Secret. Their references are resolved here."""

from pathlib import Path
from typing import Any

from ansible_collections.weighbridge.byom.plugins.plugin_utils.action import (
    WeighbridgeAction,
    kube_of,
    put_secret,
)

from weighbridge.environment.secrets import Secrets
from weighbridge.sources import chosen


class ActionModule(WeighbridgeAction):
    """See plugins/modules/source_secret.py."""

    def work(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if self.check_mode:
            return {"changed": True}
        secrets = chosen(arguments["source"]).secrets
        values = Secrets(Path(arguments["folder"])).values(secrets.references)
        every = {key: values.get(key) for key in (*secrets.required, *secrets.optional)}
        put_secret(kube_of(arguments["cluster"]), arguments, every)
        return {"changed": True}
