"""Filters of the weights role: a mover's result as the receipt to be written (JSON), and names as objects."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from ansible.errors import AnsibleFilterError

from weighbridge.domain import receipts
from weighbridge.errors import DefectError
from weighbridge.steps.weights.publication import completed, on_record


def published_receipt(message: dict[str, Any], **facts: str) -> str:
    """``published_receipt``: return the receipt of a set that was just published; see ``domain/receipts.py``."""
    try:
        return receipts.to_json(receipts.published(message, now=datetime.now(UTC), **facts))
    except (TypeError, ValueError) as error:
        raise AnsibleFilterError(str(error)) from error


def verified_receipt(previous: str, message: dict[str, Any]) -> str:
    """``verified_receipt``: return the earlier receipt with the verdict of a verification."""
    try:
        return receipts.to_json(receipts.verified(receipts.from_json(previous), message, datetime.now(UTC)))
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


def publication(documents: list[dict[str, Any]], pushed: dict[str, Any]) -> list[dict[str, Any]]:
    """``publication``: return the documents of ``publish.yaml``, with what ``weights_push`` sent in their order."""
    try:
        sent = {file["path"]: file["sha256"] for file in pushed["files"]}
        # Ansible marks its strings with a subclass; canonical JSON needs plain ones.
        plain = json.loads(json.dumps([documents, pushed["set_digest"], sent]))
        return completed(*plain)
    except (DefectError, KeyError, TypeError, ValueError) as error:
        raise AnsibleFilterError(f"what was sent cannot be ordered to be published: {error}") from error


def recorded(documents: list[dict[str, Any]], verb: str, set_digest: str | None) -> list[dict[str, Any]]:
    """``recorded``: return the documents of ``fetch.yaml`` or ``verify.yaml``, with the digest of the set on the
    cluster's record (or ``None``) in their order.
    """
    try:
        # Ansible marks its strings with a subclass; canonical JSON needs plain ones.
        plain = json.loads(json.dumps([documents, verb, set_digest or None]))
        return on_record(*plain)
    except (DefectError, KeyError, TypeError, ValueError) as error:
        raise AnsibleFilterError(f"the order cannot be completed: {error}") from error


def short_lived(
    jobs: dict[str, dict[str, str]], verbs: list[str], *, namespace: str, rsync_pod: str, secret: str | None
) -> list[dict[str, Any]]:
    """``short_lived``: return the arguments with which the Kubernetes modules find every object that runs of these
    verbs leave. Jobs come first, so that a running pod loses nothing. The rsync pod's Secret has the pod's name;
    ``secret`` is that of the source's keys, if it is one of ours.
    """
    names = [jobs[verb]["name"] for verb in verbs if verb in jobs]
    found = [("batch/v1", "Job", name) for name in names]
    found += [("v1", "Pod", rsync_pod)] if "publish" in verbs else []
    found += [("v1", "ConfigMap", name) for name in names]
    found += [("v1", "Secret", rsync_pod)] if "publish" in verbs else []
    found += [("v1", "Secret", secret)] if "fetch" in verbs and secret else []
    return [
        {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace}}
        for version, kind, name in found
    ]


class FilterModule:
    """The filters are found as ``weighbridge.byom.published_receipt`` and so on."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "publication": publication,
            "published_receipt": published_receipt,
            "recorded": recorded,
            "short_lived": short_lived,
            "verified_receipt": verified_receipt,
        }
