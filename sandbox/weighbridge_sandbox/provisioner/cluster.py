"""The provisioner's view of the API server."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from lightkube import ApiError, Client
from lightkube.models.core_v1 import EventSource, ObjectReference
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Event, PersistentVolume, PersistentVolumeClaim
from lightkube.resources.storage_v1 import StorageClass
from lightkube.types import PatchType

from weighbridge_sandbox.kube import HTTP_CONFLICT, HTTP_NOT_FOUND
from weighbridge_sandbox.provisioner.claims import PROVISIONER, SELECTED_NODE


@dataclass(frozen=True)
class ClusterStorage:
    """Claims, classes and volumes; every method raises lightkube's ApiError for what it does not foresee."""

    client: Client

    def claim(self, namespace: str, name: str) -> PersistentVolumeClaim | None:
        """The claim, or None."""
        try:
            return self.client.get(PersistentVolumeClaim, name, namespace=namespace)
        except ApiError as error:
            if error.response.status_code == HTTP_NOT_FOUND:
                return None
            raise

    def storage_class(self, name: str) -> StorageClass | None:
        """The class, or None."""
        try:
            return self.client.get(StorageClass, name)
        except ApiError as error:
            if error.response.status_code == HTTP_NOT_FOUND:
                return None
            raise

    def volume(self, name: str) -> PersistentVolume | None:
        """The volume, or None."""
        try:
            return self.client.get(PersistentVolume, name)
        except ApiError as error:
            if error.response.status_code == HTTP_NOT_FOUND:
                return None
            raise

    def create_volume(self, volume: PersistentVolume) -> None:
        """Create ``volume``; one of that name is the one an earlier try created."""
        try:
            self.client.create(volume)
        except ApiError as error:
            if error.response.status_code != HTTP_CONFLICT:
                raise

    def delete_volume(self, name: str) -> None:
        """Delete the PersistentVolume object, if it is there."""
        try:
            self.client.delete(PersistentVolume, name)
        except ApiError as error:
            if error.response.status_code != HTTP_NOT_FOUND:
                raise

    def claim_uids(self) -> set[str]:
        """The UIDs of all claims of the cluster."""
        return {
            claim.metadata.uid
            for claim in self.client.list(PersistentVolumeClaim, namespace="*")
            if claim.metadata is not None and claim.metadata.uid is not None
        }

    def volume_names(self) -> set[str]:
        """The names of all PersistentVolumes."""
        return {
            volume.metadata.name
            for volume in self.client.list(PersistentVolume)
            if volume.metadata is not None and volume.metadata.name is not None
        }

    def reschedule(self, claim: PersistentVolumeClaim) -> None:
        """Withdraw the scheduler's choice of node, so that it makes another."""
        if claim.metadata is not None and claim.metadata.name is not None:
            self.client.patch(
                PersistentVolumeClaim,
                claim.metadata.name,
                {"metadata": {"annotations": {SELECTED_NODE: None}}},
                namespace=claim.metadata.namespace,
                patch_type=PatchType.MERGE,
            )

    def tell(self, claim: PersistentVolumeClaim, kind: str, reason: str, message: str) -> None:
        """An event on ``claim``; the same one again raises its count, as Kubernetes' own recorder does."""
        about = claim.metadata
        if about is None or about.namespace is None:
            return
        digest = hashlib.sha256(f"{about.uid}/{reason}/{message}".encode()).hexdigest()[:16]
        name = f"{about.name}.{digest}"
        now = datetime.now(UTC)
        try:
            before = self.client.get(Event, name, namespace=about.namespace)
        except ApiError as error:
            if error.response.status_code != HTTP_NOT_FOUND:
                raise
            self.client.create(
                Event(
                    metadata=ObjectMeta(name=name, namespace=about.namespace),
                    involvedObject=ObjectReference(
                        apiVersion="v1",
                        kind="PersistentVolumeClaim",
                        namespace=about.namespace,
                        name=about.name,
                        uid=about.uid,
                    ),
                    type=kind,
                    reason=reason,
                    message=message,
                    source=EventSource(component=PROVISIONER),
                    reportingComponent=PROVISIONER,
                    firstTimestamp=now,
                    lastTimestamp=now,
                    count=1,
                )
            )
            return
        self.client.patch(
            Event,
            name,
            {"count": (before.count or 1) + 1, "lastTimestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ")},
            namespace=about.namespace,
            patch_type=PatchType.MERGE,
        )
