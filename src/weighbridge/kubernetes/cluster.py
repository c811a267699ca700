"""What the plan needs to know about the cluster, read with GET requests only."""

import base64
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from weighbridge.domain.claims import ClaimFacts, claim_seen
from weighbridge.domain.naming import receipts_name
from weighbridge.domain.receipts import from_json
from weighbridge.domain.weights import Receipt
from weighbridge.errors import Place, PreconditionError
from weighbridge.kubernetes.client import (
    CLAIM,
    CONFIG_MAP,
    NAMESPACE,
    QUOTA,
    SECRET,
    STORAGE_CLASS,
    ForbiddenError,
    Kube,
    Object,
)


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """Reads in one operands namespace."""

    kube: Kube
    namespace: str
    other: Callable[[str], Kube] | None = None
    """Returns a connection through another context of the kubeconfig."""

    @property
    def where(self) -> str:
        return self.kube.where

    def uid(self, context: str | None = None) -> str:
        """Return the UID of ``kube-system``. Refuse an unreachable cluster and a wrong login."""
        if context is None or self.other is None:
            return self.kube.identity()
        return self.other(context).identity()

    def require_namespace(self) -> str | None:
        """See ``core.ports.Cluster``. A namespace's role cannot read the Namespace; later requests show if it exists."""
        try:
            found = self.kube.get(NAMESPACE, self.namespace)
        except ForbiddenError as error:
            return f"whether namespace {self.namespace} is there was not looked at: {error.what}"
        if found is None:
            raise PreconditionError(
                f"{self.kube.where} has no namespace {self.namespace}",
                remedy="name the operands namespace of watsonx.ai (PROJECT_CPD_INST_OPERANDS) in cluster.namespace",
                place=Place(key="cluster.namespace"),
                code="namespace-absent",
            )
        if found["metadata"].get("deletionTimestamp"):
            raise PreconditionError(
                f"namespace {self.namespace} is being deleted", code="namespace-terminating"
            )
        return None

    def require_storage_class(self, name: str, key: str) -> str | None:
        """See ``holdings.Holdings``. Reading storage classes is often denied; then the claim's events will tell. A
        refusal names the existing classes, if they may be listed.
        """
        try:
            if self.kube.get(STORAGE_CLASS, name) is not None:
                return None
        except ForbiddenError as error:
            return f"whether storage class {name} is there was not looked at: {error.what}"
        raise PreconditionError(
            f"{self.kube.where} has no storage class {name}",
            remedy=self._other_classes(),
            place=Place(key=key),
            code="storage-class-absent",
        )

    def _other_classes(self) -> str:
        try:
            known = sorted(item["metadata"]["name"] for item in self.kube.list(STORAGE_CLASS))
        except ForbiddenError:
            return "ask the cluster's administrators which there are"
        return f"write one of: {', '.join(known)}" if known else "the cluster has no storage classes at all"

    def claim(self, name: str) -> ClaimFacts | None:
        """Return the PersistentVolumeClaim, or ``None``."""
        found = self.kube.get(CLAIM, name, self.namespace)
        return None if found is None else claim_seen(found)

    def quotas(self) -> Sequence[Object]:
        """See ``transfers.Quotas``."""
        return self.kube.list(QUOTA, self.namespace)

    def receipts(self, environment: str) -> dict[str, Receipt]:
        """Return the environment's receipts by model id. Skip a value that is not a receipt: its model is brought in again."""
        found = self.kube.get(CONFIG_MAP, receipts_name(environment), self.namespace)
        receipts = [_receipt(text) for text in ((found or {}).get("data") or {}).values()]
        return {receipt.model_id: receipt for receipt in receipts if receipt is not None}

    def forget(self, environment: str, claims: Collection[str]) -> None:
        """Delete the receipts of sets that were on these claims. Receipts of volumes that stay are still true."""
        name = receipts_name(environment)
        data = (self.kube.get(CONFIG_MAP, name, self.namespace) or {}).get("data") or {}
        gone = [
            key for key, text in data.items() if (found := _receipt(text)) is None or found.claim in claims
        ]
        if len(gone) == len(data):
            self.kube.delete(CONFIG_MAP, name, self.namespace)
        elif gone:
            self.kube.merge(CONFIG_MAP, name, self.namespace, {"data": dict.fromkeys(gone)})

    def secret(self, name: str) -> Mapping[str, str]:
        """Return the decoded values of an existing Secret, with bytes that are not UTF-8 as lone surrogates. Raise
        ``PreconditionError`` if the Secret is missing.
        """
        found = self.kube.get(SECRET, name, self.namespace)
        if found is None:
            raise PreconditionError(
                f"namespace {self.namespace} has no Secret {name}",
                remedy="make it, with keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or reference the keys by env or file",
                code="secret-absent",
            )
        data = found.get("data") or {}
        return {key: base64.b64decode(value).decode(errors="surrogateescape") for key, value in data.items()}


def _receipt(text: str) -> Receipt | None:
    try:
        return from_json(text)
    except ValueError:
        return None
