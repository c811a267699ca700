"""What a PersistentVolumeClaim asks for and the PersistentVolume that answers it; pure.

The protocol is Kubernetes' for external provisioners: the volume controller writes the storage-provisioner annotation,
the scheduler the selected-node annotation where binding waits for the first consumer, and the provisioner answers with
a PersistentVolume whose claimRef names the claim (kubernetes-sigs/sig-storage-lib-external-provisioner).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from lightkube.models.core_v1 import (
    HostPathVolumeSource,
    LocalVolumeSource,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    ObjectReference,
    PersistentVolumeClaimSpec,
    PersistentVolumeSpec,
    VolumeNodeAffinity,
)
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import PersistentVolume, PersistentVolumeClaim
from lightkube.resources.storage_v1 import StorageClass
from lightkube.utils.quantity import parse_quantity

PROVISIONER = "sandbox.weighbridge.dev/loop"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
STORAGE_PROVISIONER = "volume.kubernetes.io/storage-provisioner"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
VOLUME_KIND = "kind"
"""StorageClass parameter: local (kubelet applies fsGroup) or hostPath (it does not)."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Not ours, not its turn yet, or already answered."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """The claim cannot be served; ``reschedule`` asks the scheduler for another node."""

    message: str
    reschedule: bool = False


@dataclass(frozen=True, slots=True)
class Provision:
    """Make volume ``name`` of ``size`` bytes."""

    name: str
    size: int
    quantity: str
    """The size as the claim wrote it."""
    claim_uid: str
    hostpath: bool
    reclaim: str


def decide(
    claim: PersistentVolumeClaim, storage_class: StorageClass | None, node: str
) -> Wait | Refuse | Provision:
    """What to do about ``claim`` on the one node there is."""
    metadata, spec = claim.metadata, claim.spec
    if (
        metadata is None
        or spec is None
        or metadata.uid is None
        or metadata.deletionTimestamp
        or spec.volumeName
    ):
        return Wait()
    annotations = metadata.annotations or {}
    if annotations.get(STORAGE_PROVISIONER) != PROVISIONER or storage_class is None:
        return Wait()
    if storage_class.volumeBindingMode == "WaitForFirstConsumer":
        selected = annotations.get(SELECTED_NODE)
        if selected is None:
            return Wait()
        if selected != node:
            return Refuse(
                f"volumes live on node {node}, and the pod was placed on {selected}", reschedule=True
            )
    parameters = storage_class.parameters or {}
    if (message := _unserved(spec, parameters)) is not None:
        return Refuse(message)
    return Provision(
        name=f"pvc-{metadata.uid}",
        size=_size(spec),
        quantity=_requested(spec) or "",
        claim_uid=metadata.uid,
        hostpath=parameters.get(VOLUME_KIND) == "hostPath",
        reclaim=storage_class.reclaimPolicy or "Delete",
    )


def _unserved(spec: PersistentVolumeClaimSpec, parameters: Mapping[str, str]) -> str | None:
    """Name what of the claim or its class this provisioner does not do, if anything."""
    if spec.volumeMode not in {None, "Filesystem"}:
        return f"volumeMode {spec.volumeMode} is not served; use Filesystem"
    if spec.dataSource is not None or spec.dataSourceRef is not None or spec.selector is not None:
        return "dataSource, dataSourceRef and selector are not served: volumes start empty"
    if (kind := parameters.get(VOLUME_KIND, "local")) not in {"local", "hostPath"}:
        return f"parameter {VOLUME_KIND} of the storage class is {kind!r}; use local or hostPath"
    if _size(spec) <= 0:
        return "the claim requests no storage"
    return None


def _size(spec: PersistentVolumeClaimSpec) -> int:
    """Bytes requested, a fraction rounded up."""
    size = parse_quantity(_requested(spec))
    return int(size.to_integral_value(rounding="ROUND_CEILING")) if size is not None else 0


def _requested(spec: PersistentVolumeClaimSpec) -> str | None:
    return ((spec.resources.requests if spec.resources else None) or {}).get("storage")


def volume_for(claim: PersistentVolumeClaim, decision: Provision, path: str, node: str) -> PersistentVolume:
    """The PersistentVolume at ``path`` that only ``claim`` can bind."""
    metadata, spec = claim.metadata, claim.spec
    if metadata is None or spec is None:
        message = "a claim without metadata or spec was decided upon"
        raise ValueError(message)
    return PersistentVolume(
        metadata=ObjectMeta(name=decision.name, annotations={PROVISIONED_BY: PROVISIONER}),
        spec=PersistentVolumeSpec(
            capacity={"storage": decision.quantity},
            accessModes=spec.accessModes,
            volumeMode="Filesystem",
            storageClassName=spec.storageClassName,
            persistentVolumeReclaimPolicy=decision.reclaim,
            claimRef=ObjectReference(
                apiVersion="v1",
                kind="PersistentVolumeClaim",
                namespace=metadata.namespace,
                name=metadata.name,
                uid=metadata.uid,
                resourceVersion=metadata.resourceVersion,
            ),
            local=None if decision.hostpath else LocalVolumeSource(path=path),
            hostPath=HostPathVolumeSource(path=path, type="Directory") if decision.hostpath else None,
            nodeAffinity=VolumeNodeAffinity(
                required=NodeSelector(
                    nodeSelectorTerms=[
                        NodeSelectorTerm(
                            matchExpressions=[
                                NodeSelectorRequirement(
                                    key="kubernetes.io/hostname", operator="In", values=[node]
                                )
                            ]
                        )
                    ]
                )
            ),
        ),
    )


def is_ours(volume: PersistentVolume) -> bool:
    """Whether this provisioner made ``volume``."""
    return ((volume.metadata.annotations if volume.metadata else None) or {}).get(
        PROVISIONED_BY
    ) == PROVISIONER


def is_reclaimable(volume: PersistentVolume) -> bool:
    """Whether the claim is gone and the volume is to go with it."""
    return (
        volume.spec is not None
        and volume.status is not None
        and volume.spec.persistentVolumeReclaimPolicy == "Delete"
        and volume.status.phase == "Released"
    )
