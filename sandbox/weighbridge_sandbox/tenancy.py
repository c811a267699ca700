"""Operands namespaces: Pod Security, OpenShift's UID range, and a Watsonxaiifm that is already in use by other teams.

``up`` makes the first one, cpd-instance, and tests make as many more as they like; operator and provisioner serve all.
"""

import contextlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightkube import ApiError, Client
from lightkube.models.core_v1 import PersistentVolumeClaimSpec, VolumeResourceRequirements
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import (
    Namespace,
    PersistentVolume,
    PersistentVolumeClaim,
    Pod,
    ServiceAccount,
)

from weighbridge_sandbox import grants
from weighbridge_sandbox.commands import wait_until
from weighbridge_sandbox.errors import NotReadyError
from weighbridge_sandbox.kube import (
    HTTP_CONFLICT,
    HTTP_NOT_FOUND,
    Watsonxaiifm,
    answering,
    connect,
    layout_of,
)
from weighbridge_sandbox.layout import Layout
from weighbridge_sandbox.models import TINY, write_small_llama

log = logging.getLogger(__name__)

CR_NAME = "watsonxaiifm-cr"
FIELD_MANAGER = "weighbridge-sandbox"
CR_CREATOR = "ibm-cpd-watsonx-ai-operator"
"""The field manager of the operator that owns the CR on a real cluster: our tools are guests on it."""
UID_RANGE = "1000700000/10000"
IFM_VERSION = "11.0.0"
"""The operand's version that belongs to watsonx.ai 5.2."""
FOREIGN_CLASS = "sandbox-rwx-immediate"
FOREIGN_SIZE = "64Mi"

FOREIGN_MODELS: tuple[dict[str, Any], ...] = (
    {
        "model_id": "team-a-summarizer",
        "location": {"pvc_name": "team-a-models", "sub_path": "summarizer"},
        "tags": ["team-a", "summarization"],
        "parameters": [
            {"name": "dtype", "default": "float16", "options": ["float16", "bfloat16"]},
            {"name": "max_new_tokens", "default": 512, "min": 20, "max": 1024},
        ],
    },
    {
        "model_id": "team-b-translator",
        "location": {"pvc_name": "team-b-models"},
        "tags": ["team-b"],
    },
)


def create_operands(name: str, *, cr: bool = True, home: Path | None = None, timeout_s: float = 120) -> None:
    """Make the operands namespace ``name``; with ``cr`` also its CR, and the two teams' volumes with their models.

    May be repeated: what is there stays as it is. Waits until pods can be made in it and the CR is Completed. ``home``
    is the sandbox's folder where it is not the environment's. Raises NotReadyError after ``timeout_s``, CommandError.
    """
    with answering(f"Making operands namespace {name}"), connect(home, field_manager=FIELD_MANAGER) as client:
        _create_operands(client, name, cr=cr, timeout_s=timeout_s)


def _create_operands(client: Client, name: str, *, cr: bool, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s

    def wait(what: str, ready: Callable[[], bool], advice: str) -> None:
        wait_until(what, ready, timeout_s=max(0.0, deadline - time.monotonic()), advice=advice)

    _create(client, namespace(name))
    wait(
        f"The default service account of namespace {name}",
        lambda: _exists(client, ServiceAccount, "default", name),
        "It is the controller manager's; see its log.",
    )
    if not cr:
        return
    for claim in foreign_claims(name):
        _create(client, claim)
    for seed, model in enumerate(FOREIGN_MODELS, start=1):
        claim_name = model["location"]["pvc_name"]
        wait(
            f"A volume for {name}/{claim_name}",
            lambda claim=claim_name: _folder(client, name, claim) is not None,  # type: ignore[misc]
            "Claims are the provisioner's; see its log and `kubectl describe pvc`.",
        )
        folder = _folder(client, name, claim_name)
        if folder is not None:
            _fill(folder / model["location"].get("sub_path", ""), seed)
    _create(client, custom_resource(name), field_manager=CR_CREATOR)
    wait(
        f"The operator's first reconciliation of {name}/{CR_NAME}",
        lambda: _state(client, name) in {"Completed", "Failed"},
        "It is the operator stand-in's; see its log.",
    )
    if (state := _state(client, name)) != "Completed":
        raise NotReadyError(
            f"{name}/{CR_NAME} is {state}.", f"kubectl -n {name} get watsonxaiifm {CR_NAME} -o yaml"
        )


def delete_operands(name: str, *, home: Path | None = None, timeout_s: float = 180) -> None:
    """Delete namespace ``name`` with everything in it, and what was granted for it; returns when its volumes, their files
    and mounts are gone.

    One that is not there is fine, once the volumes of its claims are gone. Raises NotReadyError after ``timeout_s``, CommandError.
    """
    with (
        answering(f"Deleting operands namespace {name}"),
        connect(home, field_manager=FIELD_MANAGER) as client,
    ):
        grants.withdraw(client, layout_of(home), name)
        _delete_operands(client, name, layout_of(home), timeout_s)


def _delete_operands(client: Client, name: str, layout: Layout, timeout_s: float) -> None:
    volumes = [
        volume.metadata.name
        for volume in client.list(PersistentVolume)
        if volume.metadata
        and volume.metadata.name
        and volume.spec
        and volume.spec.claimRef
        and volume.spec.claimRef.namespace == name
    ]
    # What has finalizers goes first: the namespace controller looks again only after seconds at what it finds undeleted.
    for kind in (Pod, PersistentVolumeClaim):
        client.deletecollection(kind, namespace=name)
    with contextlib.suppress(NotReadyError):  # then the namespace's own deadline applies
        wait_until(
            f"The end of {name}'s claims",
            lambda: not any(client.list(PersistentVolumeClaim, namespace=name)),
            timeout_s=timeout_s / 3,
        )
    try:
        client.delete(Namespace, name)
    except ApiError as error:
        if error.response.status_code not in {HTTP_NOT_FOUND, HTTP_CONFLICT}:
            raise
    deadline = time.monotonic() + timeout_s
    wait_until(
        f"The end of namespace {name}",
        lambda: not _exists(client, Namespace, name),
        timeout_s=timeout_s,
        advice=f"kubectl get namespace {name} -o yaml says what it waits for.",
    )
    wait_until(
        f"The end of {name}'s volumes",
        lambda: (
            not any(_exists(client, PersistentVolume, volume) for volume in volumes)
            and not any((layout.volumes / volume).exists() for volume in volumes)
        ),
        timeout_s=max(0.0, deadline - time.monotonic()),
        advice="Volumes with reclaim policy Retain stay; others are the provisioner's: see its log.",
    )


def namespace(name: str) -> Namespace:
    """An operands namespace as OpenShift would have annotated it."""
    return Namespace(
        metadata=ObjectMeta(
            name=name,
            labels={
                "pod-security.kubernetes.io/enforce": "restricted",
                "app.kubernetes.io/part-of": "weighbridge-sandbox",
            },
            annotations={"openshift.io/sa.scc.uid-range": UID_RANGE},
        )
    )


def foreign_claims(name: str) -> list[PersistentVolumeClaim]:
    """The two teams' claims."""
    return [
        PersistentVolumeClaim(
            metadata=ObjectMeta(name=model["location"]["pvc_name"], namespace=name),
            spec=PersistentVolumeClaimSpec(
                accessModes=["ReadWriteMany"],
                storageClassName=FOREIGN_CLASS,
                resources=VolumeResourceRequirements(requests={"storage": FOREIGN_SIZE}),
            ),
        )
        for model in FOREIGN_MODELS
    ]


def custom_resource(name: str) -> Any:
    """The CR as IBM's operator leaves it, with the two teams' entries; typed Any since lightkube's generics are."""
    return Watsonxaiifm(
        apiVersion="watsonxaiifm.cpd.ibm.com/v1beta1",
        kind="Watsonxaiifm",
        metadata=ObjectMeta(
            name=CR_NAME,
            namespace=name,
            labels={"app.kubernetes.io/managed-by": CR_CREATOR},
        ),
        spec={
            "license": {"accept": True},
            "version": IFM_VERSION,
            "scaleConfig": "small",
            "fileStorageClass": "sandbox-rwx",
            "blockStorageClass": "sandbox-rwx",
            "install_model_list": ["ibm-granite-13b-chat-v2"],
            "custom_foundation_models": [dict(model) for model in FOREIGN_MODELS],
        },
    )


def _create(client: Client, wanted: Any, field_manager: str | None = None) -> None:
    try:
        client.create(wanted, field_manager=field_manager)
    except ApiError as error:
        if error.response.status_code != HTTP_CONFLICT:
            raise


def _exists(client: Client, kind: Any, name: str, where: str | None = None) -> bool:
    try:
        client.get(kind, name, namespace=where)
    except ApiError as error:
        if error.response.status_code == HTTP_NOT_FOUND:
            return False
        raise
    return True


def _folder(client: Client, where: str, claim_name: str) -> Path | None:
    """The folder on this machine behind a bound claim."""
    claim = client.get(PersistentVolumeClaim, claim_name, namespace=where)
    if (
        claim.status is None
        or claim.status.phase != "Bound"
        or claim.spec is None
        or not claim.spec.volumeName
    ):
        return None
    volume = client.get(PersistentVolume, claim.spec.volumeName)
    source = (volume.spec.local or volume.spec.hostPath) if volume.spec else None
    return Path(source.path) if source else None


def _fill(folder: Path, seed: int) -> None:
    """Write a team's model once; what is there may have been changed on purpose."""
    if not (folder / "config.json").exists():
        log.info("writing a small model to %s", folder)
        write_small_llama(folder, seed=seed, shape=TINY)


def _state(client: Client, where: str) -> str | None:
    """watsonxaiifmStatus, or None while there is none."""
    status = client.get(Watsonxaiifm, CR_NAME, namespace=where).get("status")
    state = status.get("watsonxaiifmStatus") if isinstance(status, dict) else None
    return state if isinstance(state, str) else None
