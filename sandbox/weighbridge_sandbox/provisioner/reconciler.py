"""From what the API server says about a claim or a volume to what lies on the disk. Every step may be repeated."""

import logging
from dataclasses import dataclass
from typing import Protocol

from lightkube.resources.core_v1 import PersistentVolume, PersistentVolumeClaim
from lightkube.resources.storage_v1 import StorageClass

from weighbridge_sandbox.errors import SandboxError
from weighbridge_sandbox.provisioner.claims import (
    Provision,
    Refuse,
    Wait,
    decide,
    is_ours,
    is_reclaimable,
    volume_for,
)
from weighbridge_sandbox.provisioner.loopfiles import LoopFiles, Record

log = logging.getLogger(__name__)

REFUSED_SECONDS = 15.0
"""Until a refused claim is looked at again: space may have been freed, a class corrected."""


class Storage(Protocol):
    """The API server's side; methods as in cluster.ClusterStorage."""

    def claim(self, namespace: str, name: str) -> PersistentVolumeClaim | None: ...
    def storage_class(self, name: str) -> StorageClass | None: ...
    def volume(self, name: str) -> PersistentVolume | None: ...
    def create_volume(self, volume: PersistentVolume) -> None: ...
    def delete_volume(self, name: str) -> None: ...
    def claim_uids(self) -> set[str]: ...
    def volume_names(self) -> set[str]: ...
    def reschedule(self, claim: PersistentVolumeClaim) -> None: ...
    def tell(self, claim: PersistentVolumeClaim, kind: str, reason: str, message: str) -> None: ...


@dataclass(frozen=True)
class Provisioner:
    """Serves the claims of every namespace with volumes on node ``node``."""

    storage: Storage
    files: LoopFiles
    node: str

    def claim(self, namespace: str, name: str) -> float | None:
        """Answer one claim. Returns the seconds until it should be looked at again, or None."""
        claim = self.storage.claim(namespace, name)
        if claim is None or claim.spec is None or not claim.spec.storageClassName:
            return None
        decision = decide(claim, self.storage.storage_class(claim.spec.storageClassName), self.node)
        match decision:
            case Wait():
                return None
            case Refuse():
                return self._refuse(claim, decision)
            case Provision():
                record = Record(claim_uid=decision.claim_uid, reclaim=decision.reclaim)
                try:
                    path = self.files.ensure(decision.name, decision.size, record)
                except SandboxError as error:
                    return self._refuse(claim, Refuse(str(error)))
                self.storage.create_volume(volume_for(claim, decision, str(path), self.node))
                log.info("%s/%s: volume %s of %s bytes", namespace, name, decision.name, decision.size)
                self.storage.tell(
                    claim,
                    "Normal",
                    "ProvisioningSucceeded",
                    f"Successfully provisioned volume {decision.name}",
                )
                return None

    def volume(self, name: str) -> float | None:
        """Reclaim a released volume; see to it that any other is mounted."""
        volume = self.storage.volume(name)
        if volume is None or not is_ours(volume):
            return None
        if is_reclaimable(volume):
            if name in self.files.names():
                self.files.remove(name)
                log.info("volume %s removed", name)
            self.storage.delete_volume(name)
        elif name in self.files.names():
            self.files.mount(name)
        return None

    def deleted(self, volume: PersistentVolume) -> None:
        """A PersistentVolume object is gone: its file goes too, unless it was to be retained."""
        if (
            not is_ours(volume)
            or volume.metadata is None
            or volume.metadata.name is None
            or volume.spec is None
        ):
            return
        if volume.spec.persistentVolumeReclaimPolicy == "Delete":
            self.files.remove(volume.metadata.name)
        else:
            self.files.keep(volume.metadata.name)

    def sweep(self) -> None:
        """Remove what a kill left between making a file and announcing it, or while nobody watched."""
        volumes = self.storage.volume_names()
        claims = self.storage.claim_uids()
        for name in self.files.names():
            record = self.files.record(name)
            unfinished = record is None
            if name in volumes or (
                record is not None and (record.claim_uid in claims or record.reclaim != "Delete")
            ):
                continue
            log.info(
                "volume %s belongs to no claim%s: removed",
                name,
                " and was never finished" if unfinished else "",
            )
            self.files.remove(name)

    def _refuse(self, claim: PersistentVolumeClaim, refusal: Refuse) -> float:
        self.storage.tell(claim, "Warning", "ProvisioningFailed", refusal.message)
        log.warning("%s: %s", claim.metadata.name if claim.metadata else "?", refusal.message)
        if refusal.reschedule:
            self.storage.reschedule(claim)
        return REFUSED_SECONDS
