"""The objects with which an apply would bring weights in, for dry runs, and the labels of its pods."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from weighbridge.domain import naming
from weighbridge.domain.weights import SourceListing
from weighbridge.environment.types import Environment, Model, Route
from weighbridge.manifests.render import Object, render_claim
from weighbridge.manifests.surroundings import Surroundings
from weighbridge.probing.probes import Document
from weighbridge.steps.weights.bundle import render_weights, require_a_route

_NO_MOVER = b"rehearsal"
"""Admission does not look into the archive, and rendering the real one takes half a second for each ConfigMap."""


def documents(
    environment: Environment, model: Model, listing: SourceListing, around: Surroundings
) -> list[Document]:
    """Return everything that an apply creates for a model, except Secrets. For each fetching Job also return its pod,
    under the Job's name, because the API server judges a Job's pods only when they are created.

    Raise ``PreconditionError`` if ``storage.size`` is too small, ``InputError`` if there are too many files.
    """
    require_a_route(environment, model, listing, around)
    found: list[Document] = []
    claim = render_claim(environment, model, listing)
    if claim is not None:
        found.append(Document(claim))
    bundle = render_weights(environment, model, listing, replace(around, mover=_NO_MOVER))
    if Route.FETCH in model.routes:
        found += [Document(body) for body in bundle.files["fetch.yaml"]]
        found += [
            Document(_pod_of(body), optional=True)
            for body in bundle.files["fetch.yaml"]
            if body["kind"] == "Job"
        ]
    if Route.PUSH in model.routes and "push.yaml" in bundle.files:
        found += [Document(body) for body in (*bundle.files["push.yaml"], bundle.files["publish.yaml"][-1])]
    return found


def _pod_of(job: Object) -> Object:
    plain: Mapping[str, Any] = job
    template, metadata = plain["spec"]["template"], plain["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template["metadata"], "name": metadata["name"], "namespace": metadata["namespace"]},
        "spec": template["spec"],
    }


def pod_labels(environment: Environment, model: Model) -> dict[str, str]:
    """Return the labels of the pod that fetches a model, including those that Kubernetes gives to a Job's pods."""
    job = naming.job_name(environment.name, model.id, "fetch")
    ours = naming.object_labels(environment.name, model.id)
    return {**environment.pods.labels, **ours, "job-name": job, "batch.kubernetes.io/job-name": job}
