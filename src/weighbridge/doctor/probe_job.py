"""The Job that only checks, from where the movers work: for ``weighbridge doctor --pods``.

It uses the name of the verifying Job, so that everybody who may verify may also probe, and no further name has to be
allowed. Both run under the environment's Lease, so they never run at the same time.
"""

import base64
from dataclasses import replace

from weighbridge.domain import naming
from weighbridge.domain.claims import claim_of
from weighbridge.domain.digest import Json, canonical_json, digest
from weighbridge.environment.types import Environment, Model, Route
from weighbridge.manifests.contexts import MoverJobContext, OrderContext
from weighbridge.manifests.mover_archive import mover_archive
from weighbridge.manifests.pods import pod_settings
from weighbridge.manifests.render import Object, render
from weighbridge.manifests.surroundings import Surroundings
from weighbridge.steps.weights.bundle import ORDER_ANNOTATION, credentials_secret

RUN_SECONDS = 120
"""For the probe itself: each of its stages has ten seconds."""
KEEP_SECONDS = 60
_STAGE_SECONDS = 10


def render_probe(
    environment: Environment, model: Model, around: Surroundings, *, volume: bool
) -> tuple[Object, Object]:
    """Return the order's ConfigMap, and the Job. ``volume``: mount the model's claim, which must then exist."""
    name = naming.job_name(environment.name, model.id, "verify")
    namespace, labels = environment.cluster.namespace, naming.object_labels(environment.name, model.id)
    fetched = Route.FETCH in model.routes
    settings = pod_settings(environment)
    order: Json = {
        "schema": 1,
        "seconds": _STAGE_SECONDS,
        "volume": volume,
        "rsync": Route.PUSH in model.routes,
        "source": model.source.chosen.order if fetched else None,
    }
    texts = {"order.json": canonical_json(order).decode() + "\n"}
    if around.ca_pem is not None:
        texts["ca.pem"] = around.ca_pem
    archive = base64.b64encode(around.mover or mover_archive()).decode()
    config = render(OrderContext(name=name, namespace=namespace, labels=labels, texts=texts, archive=archive))
    job = render(
        MoverJobContext(
            name=name,
            namespace=namespace,
            labels=labels,
            annotations={ORDER_ANNOTATION: digest(order)},
            verb="probe",
            pod=replace(settings, labels={**settings.labels, **labels}),
            claim=claim_of(environment, model) if volume else None,
            order=name,
            credentials=credentials_secret(environment, model) if fetched else None,
            trust=around.ca_pem is not None,
            deadline_seconds=environment.pods.start_seconds + RUN_SECONDS,
            retries=0,
            keep_seconds=KEEP_SECONDS,
        )
    )
    return config, job
