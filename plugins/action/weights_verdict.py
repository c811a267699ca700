"""``weights_verdict``: end a verification whose receipt was written; fail if bytes differ."""

from typing import Any

from ansible_collections.weighbridge.byom.plugins.plugin_utils.action import WeighbridgeAction

from weighbridge.domain.receipts import from_json
from weighbridge.errors import VerificationError


class ActionModule(WeighbridgeAction):
    """See plugins/modules/weights_verdict.py."""

    def work(self, arguments: dict[str, Any]) -> dict[str, Any]:
        receipt = from_json(arguments["receipt"])
        if receipt.verdict == "damaged":
            raise VerificationError(
                f"the weights of {receipt.model_id} on {receipt.claim} are damaged: {', '.join(receipt.damaged) or 'see the log'}",
                remedy="`weighbridge apply` brings these files in again",
                code="damaged",
            )
        return {"changed": False}
