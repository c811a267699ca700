"""``weights_state``: return what the cluster holds of one model's weights, with GET requests only."""

from typing import Any

from ansible_collections.weighbridge.byom.plugins.plugin_utils.action import (
    WeighbridgeAction,
    kube_of,
)

from weighbridge.domain.claims import ClaimFacts
from weighbridge.domain.naming import is_ours
from weighbridge.domain.receipts import to_json
from weighbridge.domain.weights import Receipt
from weighbridge.errors import ForbiddenError, PreconditionError
from weighbridge.kubernetes.client import CONFIG_MAP, JOB, POD, SECRET, Kind, Kube
from weighbridge.kubernetes.cluster import ClusterFacts
from weighbridge.steps.weights.bundle import ORDER_ANNOTATION
from weighbridge.steps.weights.publication import same_order, same_work


class ActionModule(WeighbridgeAction):
    """See plugins/modules/weights_state.py."""

    def work(self, arguments: dict[str, Any]) -> dict[str, Any]:
        kube = kube_of(arguments["cluster"])
        facts = ClusterFacts(kube, arguments["namespace"])
        claim = facts.claim(arguments["claim"])
        receipt = facts.receipts(arguments["environment"]).get(arguments["model_id"])
        if claim is None or claim.terminating:
            self._no_claim(arguments, claim)
        pending = _why(receipt, claim, arguments)
        if arguments["verb"] == "verify" and (
            receipt is None or claim is None or receipt.claim_uid != claim.uid
        ):
            raise PreconditionError(
                f"there is nothing to verify of {arguments['model_id']} on {arguments['claim']}: {pending}",
                remedy="bring the weights in first: `weighbridge apply`",
                code="nothing-to-verify",
            )
        _refuse_foreign(kube, arguments)
        recorded = _recorded(receipt, claim, arguments)
        running, leftovers = _found(kube, arguments, recorded)
        return {
            "changed": False,
            "verified": pending is None,
            "reason": pending or f"verified {receipt.verified_at if receipt else ''}",
            "claim_uid": claim.uid if claim else "",
            "receipt": to_json(receipt) if receipt else None,
            "recorded": recorded,
            "damaged": _damaged(receipt, claim, arguments),
            "running": running,
            "leftovers": leftovers,
        }

    def _no_claim(self, arguments: dict[str, Any], claim: ClaimFacts | None) -> None:
        if self.check_mode:
            return  # the storage stack makes it before weights are moved
        name, namespace = arguments["claim"], arguments["namespace"]
        raise PreconditionError(
            f"PersistentVolumeClaim {name} {'is being deleted' if claim else 'does not exist'} in namespace {namespace}",
            remedy="declare it first: `weighbridge apply`, or the file below storage/ of `weighbridge render`",
            code="claim-absent",
        )


def _why(receipt: Receipt | None, claim: ClaimFacts | None, arguments: dict[str, Any]) -> str | None:
    """Return why there is something to do, or ``None``."""
    if receipt is None:
        return "never brought in"
    if claim is None or receipt.claim_uid != claim.uid:
        return "the volume is not the one of the receipt"
    if receipt.fingerprint != arguments["fingerprint"]:
        return "the source is another one than that of the receipt"
    return "damaged at its last verification" if receipt.verdict == "damaged" else None


def _of_this_set(receipt: Receipt | None, claim: ClaimFacts | None, arguments: dict[str, Any]) -> bool:
    return bool(
        receipt
        and claim
        and receipt.claim_uid == claim.uid
        and receipt.fingerprint == arguments["fingerprint"]
    )


def _refuse_foreign(kube: Kube, arguments: dict[str, Any]) -> None:
    """Fail unless the objects to be overwritten, and later removed by name, are ours."""
    namespace, environment = arguments["namespace"], arguments["environment"]
    names = [(kind, job["name"]) for job in arguments["jobs"].values() for kind in (JOB, CONFIG_MAP)]
    names += [(POD, arguments["rsync_pod"]), *((SECRET, name) for name in arguments["secrets"])]
    for kind, name in names:
        try:
            found = kube.get(kind, name, namespace)
        except ForbiddenError:
            if kind is not SECRET:  # such objects cannot be made or removed either
                raise
            continue
        if found is not None and not is_ours(found, environment):
            raise PreconditionError(
                f"{kind.kind} {name} in namespace {namespace} is not of environment {environment}: it lacks its labels; nothing was"
                " touched",
                remedy="look at who made it; rename or remove it",
                code="object-foreign",
            )


def _recorded(receipt: Receipt | None, claim: ClaimFacts | None, arguments: dict[str, Any]) -> str | None:
    """Return the digest of this very set, from the time when its bytes were last known to be the source's."""
    return receipt.set_digest if receipt and _of_this_set(receipt, claim, arguments) else None


def _damaged(receipt: Receipt | None, claim: ClaimFacts | None, arguments: dict[str, Any]) -> list[str]:
    """Return the files of this very set that are known to be damaged."""
    return list(receipt.damaged) if receipt and _of_this_set(receipt, claim, arguments) else []


def _found(kube: Kube, arguments: dict[str, Any], recorded: str | None) -> tuple[bool, list[dict[str, Any]]]:
    """Return whether a Job of an earlier run still does exactly this work, and what useless objects earlier runs left."""
    namespace, verb = arguments["namespace"], arguments["verb"]
    running = False
    leftovers: list[dict[str, Any]] = []
    for kind, job in arguments["jobs"].items():
        found, order = (kube.get(what, job["name"], namespace) for what in (JOB, CONFIG_MAP))
        if found and kind == verb and _at_work(found, kind, order, job["order"], recorded):
            running = True
            continue
        if found:
            leftovers.append(_named(JOB, job["name"], namespace))
        if order:
            leftovers.append(_named(CONFIG_MAP, job["name"], namespace))
    if kube.get(POD, arguments["rsync_pod"], namespace):
        leftovers.append(_named(POD, arguments["rsync_pod"], namespace))
    return running, leftovers


def _at_work(
    job: dict[str, Any], verb: str, order_map: dict[str, Any] | None, order: str, recorded: str | None
) -> bool:
    metadata, conditions = job["metadata"], job.get("status", {}).get("conditions") or []
    ended = any(item["status"] == "True" and item["type"] != "Suspended" for item in conditions)
    annotation = (metadata.get("annotations") or {}).get(ORDER_ANNOTATION)
    told = ((order_map or {}).get("data") or {}).get("order.json")
    if verb == "publish":
        same = same_work(told, annotation, order)
    else:
        same = same_order(told, annotation, order, verb, recorded)
    return same and not ended and not metadata.get("deletionTimestamp")


def _named(kind: Kind, name: str, namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {"name": name, "namespace": namespace},
    }
