"""Filters of the weights role: a mover's result as the receipt to be recorded (JSON), and names as objects."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from ansible.errors import AnsibleFilterError

from weighbridge.domain import receipts


def published_receipt(message: dict[str, Any], **facts: str) -> str:
    """``published_receipt``: the receipt of a set that has just been published; see ``domain/receipts.py``."""
    try:
        return receipts.to_json(receipts.published(message, now=datetime.now(UTC), **facts))
    except (TypeError, ValueError) as error:
        raise AnsibleFilterError(str(error)) from error


def verified_receipt(previous: str, message: dict[str, Any]) -> str:
    """``verified_receipt``: the earlier receipt with the verdict of a verification."""
    try:
        return receipts.to_json(receipts.verified(receipts.from_json(previous), message, datetime.now(UTC)))
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


def named_objects(items: list[dict[str, Any]], namespace: str) -> list[dict[str, Any]]:
    """``named_objects``: ``{apiVersion, kind, name}`` as what the Kubernetes modules take to find an object."""
    return [
        {"apiVersion": item["apiVersion"], "kind": item["kind"], "metadata": {"name": item["name"], "namespace": namespace}}
        for item in items
    ]


class FilterModule:
    """Found as ``weighbridge.byom.published_receipt`` and so on."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "named_objects": named_objects,
            "published_receipt": published_receipt,
            "verified_receipt": verified_receipt,
        }
