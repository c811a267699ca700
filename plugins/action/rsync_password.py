"""``rsync_password``: make a password for one rsync pod, and put it where the pod mounts it."""

import secrets
from typing import Any

from ansible_collections.weighbridge.byom.plugins.plugin_utils.action import (
    Speaker,
    WeighbridgeAction,
    kube_of,
    put_secret,
)

from weighbridge.errors import ForbiddenError
from weighbridge.steps.weights.push.daemon import PASSWORD_KEY, secrets_line


class ActionModule(WeighbridgeAction):
    """See plugins/modules/rsync_password.py."""

    def work(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if self.check_mode:
            return {"changed": True, "made": True}
        line = secrets_line(secrets.token_urlsafe(32))
        try:
            put_secret(kube_of(arguments["cluster"]), arguments, {PASSWORD_KEY: line})
        except ForbiddenError as error:
            text = f"{error.what}: the files go by exec, which needs no password"
            Speaker(arguments["model_id"])({"event": "note", "text": text})
            return {"changed": False, "made": False}
        return {"changed": True, "made": True}
