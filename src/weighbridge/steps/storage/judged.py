"""Judge storage classes, their drivers and existing claims."""

import re
from dataclasses import dataclass
from typing import Final

from weighbridge.core.finding import Finding, fail, ok, warn
from weighbridge.domain.claims import claim_seen, holds_no_weights
from weighbridge.domain.human import size
from weighbridge.domain.sizing import needed_bytes
from weighbridge.environment.types import AccessMode, Model
from weighbridge.probing.probes import Object
from weighbridge.steps.storage.areas import STORAGE

AREA = STORAGE.name


@dataclass(frozen=True, slots=True)
class Provisioner:
    """What is known about a provisioner. ``shared``: whether its file systems can be ReadWriteMany; ``None``: it depends."""

    pattern: re.Pattern[str]
    what: str
    shared: bool | None
    note: str = ""


def _known(pattern: str, what: str, shared: bool | None, note: str = "") -> Provisioner:
    return Provisioner(re.compile(pattern), what, shared, note)


_YES, _NO, _DEPENDS = True, False, None

# Sources: Kubernetes, "Persistent Volumes" (table of access modes); the drivers' own documentation; Red Hat, "Persistent
# storage using CSI"; IBM Cloud, "File Storage for VPC"; IBM Software Hub 5.x, "Storage considerations".
PROVISIONERS: Final = (
    _known(r"\.cephfs\.csi\.ceph\.com$|^cephfs\.csi\.ceph\.com$", "CephFS", _YES),
    _known(r"(^|\.)rbd\.csi\.ceph\.com$", "Ceph RBD", _NO, "shared as a raw block device only, which holds no files"),
    _known(r"^spectrumscale\.csi\.ibm\.com$", "IBM Storage Scale", _YES),
    _known(r"portworx", "Portworx", _DEPENDS, 'needs the class\'s parameter sharedv4: "true"'),
    _known(r"^vpc\.file\.csi\.ibm\.io$", "IBM Cloud File Storage for VPC", _YES, "the class's uid and gid own the share"),
    _known(r"^vpc\.block\.csi\.ibm\.io$", "IBM Cloud Block Storage for VPC", _NO),
    _known(r"^ibm\.io/ibmc-file$", "IBM Cloud File Storage", _YES, "the classes ending in -gid let a group write"),
    _known(r"^nfs\.csi\.k8s\.io$|nfs-subdir-external-provisioner|nfs-client", "NFS", _YES, "the export's own permissions decide who writes"),
    _known(r"^efs\.csi\.aws\.com$", "Amazon EFS", _YES),
    _known(r"^fsx\.csi\.aws\.com$", "Amazon FSx for Lustre", _YES),
    _known(r"^ebs\.csi\.aws\.com$|^kubernetes\.io/aws-ebs$", "Amazon EBS", _NO),
    _known(r"^file\.csi\.azure\.com$", "Azure Files", _YES),
    _known(r"^disk\.csi\.azure\.com$|^kubernetes\.io/azure-disk$", "Azure Disk", _NO),
    _known(r"^filestore\.csi\.storage\.gke\.io$", "Google Filestore", _YES),
    _known(r"^pd\.csi\.storage\.gke\.io$", "Google Persistent Disk", _NO),
    _known(r"^csi\.trident\.netapp\.io$", "NetApp Trident", _DEPENDS, "its ontap-nas backends can, its ontap-san ones cannot"),
    _known(r"^csi\.vsphere\.vmware\.com$", "VMware vSphere", _DEPENDS, "only with vSAN file services"),
    _known(r"^driver\.longhorn\.io$", "Longhorn", _YES),
    _known(r"^rancher\.io/local-path$", "local-path", _NO, "one node's folder"),
)  # fmt: skip


def is_bound(claim: Object | None) -> bool:
    """Return whether the claim has a volume."""
    return claim is not None and (claim.get("status") or {}).get("phase") == "Bound"


def is_shared_and_bound(claim: Object | None, storage_class: str) -> bool:
    """Whether this claim proves that the class makes shared file systems."""
    spec = (claim or {}).get("spec") or {}
    return (
        is_bound(claim)
        and spec.get("storageClassName") == storage_class
        and AccessMode.READ_WRITE_MANY.value in (spec.get("accessModes") or ())
    )


def judge_class(
    name: str, found: Object | None, modes: frozenset[AccessMode], *, proven: bool = False
) -> list[Finding]:
    """``modes``: the access modes that the environment's models ask of it. ``proven``: a ReadWriteMany claim of it is bound."""
    label = f"class {name}"
    if found is None:
        return [fail(
            AREA, label, "absent", "name a class of this cluster in storage.storage_class (kubectl get storageclass)",
        )]  # fmt: skip
    provisioner = str(found.get("provisioner", ""))
    binding = found.get("volumeBindingMode") or "Immediate"
    lines = [ok(AREA, label, f"{provisioner}, binds {binding}, {_reclaim(found)}")]
    if AccessMode.READ_WRITE_MANY in modes:
        lines.append(
            ok(AREA, f"{label}: access mode", "a ReadWriteMany claim of it is bound")
            if proven
            else _sharing(label, provisioner, found)
        )
    if found.get("allowVolumeExpansion") is not True:
        lines.append(warn(
            AREA, f"{label}: growing", "claims of it can never grow (allowVolumeExpansion is not true)",
            "choose storage.size and storage.keep with the next version in mind, or ask for the class to allow it",
        ))  # fmt: skip
    else:
        lines.append(ok(AREA, f"{label}: growing", "claims can grow"))
    return lines


def _reclaim(found: Object) -> str:
    policy = found.get("reclaimPolicy") or "Delete"
    return f"reclaim policy {policy}"


def _sharing(label: str, provisioner: str, found: Object) -> Finding:
    name = f"{label}: access mode"
    known = next((row for row in PROVISIONERS if row.pattern.search(provisioner)), None)
    if known is None:
        return warn(
            AREA, name, f"whether {provisioner} makes ReadWriteMany file systems is not known here",
            "its documentation tells; a claim that it cannot make stays Pending, and apply says so",
        )  # fmt: skip
    note = f": {known.note}" if known.note else ""
    parameters = found.get("parameters") or {}
    shared = known.shared
    if known.what == "Portworx":
        shared = "true" in {str(parameters.get(key, "")).lower() for key in ("sharedv4", "shared")} or None
    if shared:
        return ok(AREA, name, f"{known.what} makes ReadWriteMany file systems{note}")
    said = f"{known.what} {'may not make' if shared is None else 'makes no'} ReadWriteMany file systems{note}"
    remedy = "choose a class of shared file systems (CephFS, NFS, Storage Scale …), or storage.access_mode: ReadWriteOnce where one node serves"
    return (warn if shared is None else fail)(AREA, name, said, remedy)


def judge_driver(label: str, provisioner: str, driver: Object | None, *, shared: bool) -> Finding:
    """Judge the driver's fsGroupPolicy (Kubernetes, "Configure a Security Context for a Pod", and the CSIDriver API).
    By default the kubelet gives only ReadWriteOnce volumes with a file system type to the pod's group.
    """
    name = f"{label}: fsGroup"
    if driver is None:
        return ok(
            AREA,
            name,
            f"{provisioner} has no CSIDriver object; a probing pod shows whether the volume is writable",
        )
    policy = (driver.get("spec") or {}).get("fsGroupPolicy") or "ReadWriteOnceWithFSType"
    if policy == "File" or (policy == "ReadWriteOnceWithFSType" and not shared):
        return ok(AREA, name, f"fsGroupPolicy {policy}: volumes are given to the pod's group")
    return warn(
        AREA, name, f"fsGroupPolicy {policy}: the kubelet leaves {'shared ' if shared else ''}volumes to whoever owns their root",
        "it works where the root is writable for the namespace's group (many drivers make it so); else set fsGroupPolicy: File on the"
        " CSIDriver or uid/gid in the class. After the claim is there, `doctor --pods` shows it", theirs=True,
    )  # fmt: skip


def judge_claim(  # noqa: PLR0911 - a decision table, read from top to bottom
    environment: str, model: Model, name: str, found: Object | None, set_bytes: int | None
) -> Finding:
    """``set_bytes``: bytes of the set at the source, if it could be listed."""
    label, theirs = f"claim {name}", model.storage.existing_pvc is not None
    if found is None:
        if not theirs:
            return ok(AREA, label, "not there yet; apply makes it")
        return fail(
            AREA, label, "absent, though storage.existing_pvc names it",
            "make it, or leave existing_pvc out and give a storage_class",
        )  # fmt: skip
    claim = claim_seen(found)
    if claim.terminating or claim.phase == "Lost":
        word = "is being deleted" if claim.terminating else "has lost its volume"
        return fail(AREA, label, word, "wait until it is gone, or restore the volume")
    if not theirs and claim.owner != environment:
        said = f"there already, {f'of environment {claim.owner}' if claim.owner else 'made by somebody else'}"
        return fail(
            AREA, label, said, "rename the environment or the model, or name it in storage.existing_pvc"
        )
    if theirs and (why := holds_no_weights(claim, set_bytes)) is not None:
        what, remedy, _ = why
        return fail(AREA, label, what, remedy)
    said = f"{claim.phase}, {size(claim.room_bytes)}, {', '.join(claim.access_modes)}"
    needed = 0 if set_bytes is None else needed_bytes(set_bytes, model.storage.keep)
    if theirs and claim.room_bytes < needed:
        return warn(
            AREA,
            label,
            f"{said}: it holds this set, but {1 + model.storage.keep} of them need {size(needed)}",
            "enlarge it, or keep fewer sets (storage.keep)",
        )
    if AccessMode.READ_WRITE_MANY.value not in claim.access_modes and theirs:
        return warn(
            AREA,
            label,
            f"{said}: only one node at a time can mount it",
            "models are served from other nodes too: a ReadWriteMany claim",
        )
    if claim.phase != "Bound" and theirs:
        return warn(
            AREA, label, f"{said}: it binds when a pod first mounts it, or its provisioner does not serve it"
        )
    return ok(AREA, label, said)
