"""What the plan needs to know of the cluster, read with GET alone."""

import base64
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from weighbridge.domain.claims import ClaimFacts
from weighbridge.domain.naming import ENVIRONMENT_LABEL, receipts_name
from weighbridge.domain.quantity import parse_bytes
from weighbridge.domain.receipts import from_json
from weighbridge.domain.weights import Receipt
from weighbridge.errors import Place, PreconditionError
from weighbridge.kubernetes.client import (
    CLAIM,
    CONFIG_MAP,
    NAMESPACE,
    SECRET,
    STORAGE_CLASS,
    ForbiddenError,
    Kube,
)


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """Reads of one operands namespace."""

    kube: Kube
    namespace: str
    other: Callable[[str], Kube] | None = None
    """A connection by another context of the kubeconfig."""

    @property
    def where(self) -> str:
        return self.kube.where

    def uid(self, context: str | None = None) -> str:
        """UID of ``kube-system``; refuses an unreachable cluster and a wrong login."""
        if context is None or self.other is None:
            return self.kube.identity()
        return self.other(context).identity()

    def require_namespace(self) -> str | None:
        """See ``core.ports.Cluster``: a namespace's own role cannot read the Namespace; what is done inside it will tell."""
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
        """See ``holdings.Holdings``: reading storage classes is often denied; the claim's events will tell. A refusal names the
        classes there are, where they may be listed.
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
        """The PersistentVolumeClaim, or ``None``."""
        found = self.kube.get(CLAIM, name, self.namespace)
        if found is None:
            return None
        requested = found["spec"].get("resources", {}).get("requests", {}).get("storage", "0")
        return ClaimFacts(
            name=name,
            uid=found["metadata"]["uid"],
            phase=found.get("status", {}).get("phase", "Pending"),
            requested_bytes=parse_bytes(requested),
            storage_class=found["spec"].get("storageClassName"),
            owner=(found["metadata"].get("labels") or {}).get(ENVIRONMENT_LABEL),
            terminating=bool(found["metadata"].get("deletionTimestamp")),
        )

    def receipts(self, environment: str) -> dict[str, Receipt]:
        """The environment's receipts by model id. A value that is not a receipt counts as none: it is brought anew."""
        found = self.kube.get(CONFIG_MAP, receipts_name(environment), self.namespace)
        receipts = [_receipt(text) for text in ((found or {}).get("data") or {}).values()]
        return {receipt.model_id: receipt for receipt in receipts if receipt is not None}

    def forget(self, environment: str, claims: Collection[str]) -> None:
        """Drop the receipts of sets that were on these claims; those on a volume that stays are still true."""
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
        """Values of an existing Secret as text, without the white space around them, as movers read them from a mounted one.
        Values that are no text are left out. ``PreconditionError`` where it is absent.
        """
        found = self.kube.get(SECRET, name, self.namespace)
        if found is None:
            raise PreconditionError(
                f"namespace {self.namespace} has no Secret {name}",
                remedy="make it, with keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or reference the keys by env or file",
                code="secret-absent",
            )
        values = {key: _text(value) for key, value in (found.get("data") or {}).items()}
        return {key: value for key, value in values.items() if value is not None}


def _text(value: str) -> str | None:
    try:
        return base64.b64decode(value).decode().strip()
    except ValueError:
        return None


def _receipt(text: str) -> Receipt | None:
    try:
        return from_json(text)
    except ValueError:
        return None
