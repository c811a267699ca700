"""``s3_credentials``: puts the source's keys into a short-lived Secret, from references that are resolved here."""

from pathlib import Path
from typing import Any

from ansible_collections.weighbridge.byom.plugins.plugin_utils.action import (
    SECRET_SPEC,
    WeighbridgeAction,
    kube_of,
    put_secret,
)

from weighbridge.environment.secrets import Secrets, s3_credentials


class ActionModule(WeighbridgeAction):
    """See plugins/modules/s3_credentials.py."""

    ARGUMENTS = {  # noqa: RUF012 - Ansible's own shape
        **SECRET_SPEC,
        "credentials": {"type": "dict", "required": True},
        "folder": {"type": "str", "default": "."},
    }

    def work(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if self.check_mode:
            return {"changed": True}
        keys = Secrets(Path(arguments["folder"])).s3_keys(s3_credentials(arguments["credentials"]))
        values = {
            "AWS_ACCESS_KEY_ID": keys.access_key,
            "AWS_SECRET_ACCESS_KEY": keys.secret_key,
            "AWS_SESSION_TOKEN": keys.session_token,
        }
        put_secret(kube_of(arguments["cluster"]), arguments, values)
        return {"changed": True}
