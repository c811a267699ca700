"""Complete orders with what is known only when they are carried out. Never read this from the volume, where others
write.

A publishing Job is told what was sent, from its sender's memory. Every mover is told which set the cluster has on
record: a receipt on the volume counts only if it describes the same set.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

from weighbridge.domain.digest import Json, canonical_json, digest
from weighbridge.errors import DefectError
from weighbridge.manifests.render import Object
from weighbridge.steps.weights.bundle import ORDER_ANNOTATION

RECORD: Final = {"fetch": "recorded_set_digest", "verify": "expect_set_digest"}
"""Verb → the key in its order for the record: what a fetch may rely on, and what a verification must find."""


def on_record(
    documents: Sequence[Mapping[str, Any]], verb: Literal["fetch", "verify"], set_digest: str | None
) -> list[Object]:
    """Return the rendered documents of ``VERB.yaml`` with the set on record in the order (``None``: no record). The
    Job is annotated with the digest of that order.
    """
    if set_digest is None:
        return [dict(document) for document in documents]
    return _told_more(documents, lambda order: {**order, RECORD[verb]: set_digest})


def completed(
    documents: Sequence[Mapping[str, Any]], set_digest: str, sha256: Mapping[str, str]
) -> list[Object]:
    """Return the rendered documents of ``publish.yaml`` with the digests of what was sent (path to sha256) in the
    order. The Job is annotated with the digest of that order. Raise ``DefectError`` if ``sha256`` lacks a file of the
    order.
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
    """Return whether a fetching or verifying Job works by this ``order`` of the cluster, and whether that is the
    order with digest ``rendered``, completed with the present record.
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
    """Return whether a publishing Job (its ``annotation``) works by this ``order`` of the cluster, completed by its
    sender, and whether that is the order with digest ``rendered``, apart from what was sent.

    Return false for a Job whose order was exchanged or does not say what was sent: nobody could tell what it
    publishes.
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
