"""Names of our objects in the cluster, derived only from the environment's name and the model's id.

Every name is a DNS-1123 label of at most 63 characters (Kubernetes, "Object Names and IDs"), so that it can also be a
label value. If two ids of one environment give one name, the file's check refuses them.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
ENVIRONMENT_LABEL = "weighbridge.dev/environment"
MODEL_LABEL = "weighbridge.dev/model"
NAMESPACE_LABEL = "weighbridge.dev/namespace"
"""On objects without a namespace: the namespace that they are for."""
MANAGER = "weighbridge"
"""Value of ``MANAGED_BY_LABEL``, and the name of our field manager."""

MAX_NAME = 63
_MAX_SLUG_STEM = 40
_TAG_LENGTH = 6
_IDENTITY_LENGTH = 10
"""Hex digits. 40 bits: two names never become equal by chance, and it is hard work to make them equal."""


def slug(model_id: str) -> str:
    """Return the id as a lower-case DNS-1123 label of at most 47 characters.

    An id that already is a label (of at most 40 characters) stays unchanged. Any other gets the first six hex digits
    of its sha256 appended, so that ``Llama`` and ``llama`` stay different.
    """
    plain = re.sub(r"[^a-z0-9-]", "-", model_id.lower()).strip("-")
    stem = plain[:_MAX_SLUG_STEM].strip("-")
    if stem == model_id:
        return stem
    return f"{stem or 'model'}-{_tag(model_id)}"


def claim_name(environment: str, model_id: str) -> str:
    """Return the name of the model's PersistentVolumeClaim: ``<env>-<slug>-weights``."""
    return _joined("", environment, model_id, "weights")


def job_name(environment: str, model_id: str, kind: str) -> str:
    """Return the name of a short-lived object of the model: ``wb-<env>-<slug>-<tag>-<kind>``.

    ``kind`` is ``fetch``, ``publish``, ``verify``, ``rsync`` or ``credentials``. The tag is made from environment and
    model separately, so that model ``prod-llama`` of ``team-a`` and ``llama`` of ``team-a-prod`` differ within one
    namespace. The part before it is for people, and is shortened if the name would exceed 63 characters.
    """
    tag = hashlib.sha256(f"{environment}\n{model_id}".encode()).hexdigest()[:_IDENTITY_LENGTH]
    room = MAX_NAME - len("wb-") - len(tag) - len("credentials") - 2  # so all names of one model begin alike
    return f"wb-{f'{environment}-{slug(model_id)}'[:room].rstrip('-')}-{tag}-{kind}"


def former_job_name(environment: str, model_id: str, kind: str) -> str:
    """Return the name that earlier versions gave to such an object. It is looked for, but never given to a new
    object.

    Two environments can share one such name, so only an object with this environment's label is removed under it.
    """
    return _joined("wb-", environment, model_id, kind)


def receipts_name(environment: str) -> str:
    """Return the name of the ConfigMap that mirrors the receipts of the environment's models."""
    return f"weighbridge-{environment}-receipts"


def intents_name(environment: str) -> str:
    """Return the name of the ConfigMap that holds what we registered."""
    return f"weighbridge-{environment}-intents"


def account_name(environment: str) -> str:
    """Return the name of the service account that runs weighbridge for the environment, and the stem of its Roles' names."""
    return f"weighbridge-{environment}"


def lease_name(environment: str) -> str:
    """Return the name of the Lease that one run at a time holds."""
    return f"weighbridge-{environment}"


def receipt_key(model_id: str) -> str:
    """Return the model's key in the ConfigMaps of receipts and intents: the id, with ``_`` for characters not allowed
    in a key.
    """
    return re.sub(r"[^-._a-zA-Z0-9]", "_", model_id)


def object_labels(environment: str, model_id: str | None = None) -> dict[str, str]:
    """Return the labels of every object of ours; with a model id, those of one of the model's objects."""
    labels = {MANAGED_BY_LABEL: MANAGER, ENVIRONMENT_LABEL: environment}
    return labels if model_id is None else labels | {MODEL_LABEL: slug(model_id)}


def is_ours(found: Mapping[str, Any], environment: str) -> bool:
    """Return whether an object of the cluster has our labels and this environment's. No other object is ever removed."""
    labels = (found.get("metadata") or {}).get("labels") or {}
    return object_labels(environment).items() <= labels.items()


def _joined(prefix: str, environment: str, model_id: str, suffix: str) -> str:
    middle = f"{environment}-{slug(model_id)}"
    room = MAX_NAME - len(prefix) - len(suffix) - 1
    if len(middle) > room:
        tag = _tag(f"{environment}\n{model_id}")
        middle = f"{middle[: room - _TAG_LENGTH - 1].rstrip('-')}-{tag}"
    return f"{prefix}{middle}-{suffix}"


def _tag(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_TAG_LENGTH]
