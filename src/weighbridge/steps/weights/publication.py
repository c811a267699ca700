"""Orders completed with what is known only when they are carried out, and never from the volume, where others write.

A publishing Job is told what was sent, as its sender remembers it. Every mover is told which set the cluster has on record:
what a receipt on the volume says counts only where it is the same.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

from weighbridge.domain.digest import Json, canonical_json, digest
from weighbridge.errors import DefectError
from weighbridge.manifests.render import Object
from weighbridge.steps.weights.bundle import ORDER_ANNOTATION

RECORD: Final = {"fetch": "recorded_set_digest", "verify": "expect_set_digest"}
"""Verb → the key of its order that holds the record: what fetching may go by, and what verifying must find."""


def on_record(
    documents: Sequence[Mapping[str, Any]], verb: Literal["fetch", "verify"], set_digest: str | None
) -> list[Object]:
    """The rendered documents of ``VERB.yaml``, told which set is on record (``None``: nothing is), the Job named after that
    order.
    """
    if set_digest is None:
        return [dict(document) for document in documents]
    return _told_more(documents, lambda order: {**order, RECORD[verb]: set_digest})


def completed(
    documents: Sequence[Mapping[str, Any]], set_digest: str, sha256: Mapping[str, str]
) -> list[Object]:
    """The rendered documents of ``publish.yaml``, the order with the digests of what was sent (path to sha256), the
    Job named after that order. Raises ``DefectError`` where a file of the order is not among them.
    """
    return _told_more(documents, lambda order: _told(order, set_digest, sha256))


def _told_more(
    documents: Sequence[Mapping[str, Any]], more: Callable[[dict[str, Any]], dict[str, Json]]
) -> list[Object]:
    told: dict[str, Json] | None = None
    done: list[Object] = []
    for document in documents:
        item = json.loads(json.dumps(document))
        if item["kind"] == "ConfigMap":
            told = more(json.loads(item["data"]["order.json"]))
            item["data"]["order.json"] = canonical_json(told).decode() + "\n"
        elif item["kind"] == "Job" and told is not None:
            item["metadata"]["annotations"][ORDER_ANNOTATION] = digest(told)
        done.append(item)
    if told is None:
        raise DefectError("the rendered publication has no order", remedy="Render the manifests again.")
    return done


def same_order(
    order: str | None, annotation: str | None, rendered: str, verb: str, set_digest: str | None
) -> bool:
    """Whether a Job that fetches or verifies works by this ``order`` of the cluster, and that is the one whose digest was
    ``rendered``, completed with the record as it is now.
    """
    key = RECORD.get(verb, "")
    try:
        told = json.loads(order or "")
        if digest(told) != annotation or (set_digest is not None and told.get(key) != set_digest):
            return False
        if annotation == rendered:
            return True
        told.pop(key, None)
    except (ValueError, TypeError, AttributeError):
        return False
    return digest(told) == rendered and set_digest is not None


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
