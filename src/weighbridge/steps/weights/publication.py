"""The publishing Job of a push, told what was sent: its order is rendered before anything is sent, so it lacks that.

The mover publishes only what has the digests of its order, so these must come from the sender's memory, not from the
volume, where others may have written in between.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from weighbridge.domain.digest import Json, canonical_json, digest
from weighbridge.errors import DefectError
from weighbridge.manifests.render import Object
from weighbridge.steps.weights.bundle import ORDER_ANNOTATION


def completed(
    documents: Sequence[Mapping[str, Any]], set_digest: str, sha256: Mapping[str, str]
) -> list[Object]:
    """The rendered documents of ``publish.yaml``, the order with the digests of what was sent (path to sha256), the
    Job named after that order. Raises ``DefectError`` where a file of the order is not among them.
    """
    told: dict[str, Json] | None = None
    done: list[Object] = []
    for document in documents:
        item = json.loads(json.dumps(document))
        if item["kind"] == "ConfigMap":
            told = _told(json.loads(item["data"]["order.json"]), set_digest, sha256)
            item["data"]["order.json"] = canonical_json(told).decode() + "\n"
        elif item["kind"] == "Job" and told is not None:
            item["metadata"]["annotations"][ORDER_ANNOTATION] = digest(told)
        done.append(item)
    if told is None:
        raise DefectError("the rendered publication has no order", remedy="Render the manifests again.")
    return done


def same_work(order: str | None, annotation: str | None, rendered: str) -> bool:
    """Whether a publishing Job (its ``annotation``) works by this ``order`` of the cluster, completed by its sender, and
    that is the one whose digest was ``rendered``, but for what was sent.

    A Job whose order was exchanged, or says nothing of what was sent, is not: nobody could tell what it publishes.
    """
    try:
        told = json.loads(order or "")
        if told.pop("expect_set_digest", None) is None or digest(json.loads(order or "")) != annotation:
            return False
        for file in told["files"]:
            del file["sha256"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    return digest(told) == rendered


def _told(order: dict[str, Any], set_digest: str, sha256: Mapping[str, str]) -> dict[str, Json]:
    try:
        files: list[Json] = [{**file, "sha256": sha256[file["path"]]} for file in order["files"]]
    except KeyError as error:
        raise DefectError(
            f"what was sent lacks {error}", remedy="Run again; report this if it stays."
        ) from error
    return {**order, "files": files, "expect_set_digest": set_digest}
