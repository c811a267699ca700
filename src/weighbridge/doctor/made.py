"""The doctor of one environment, made from the parts of the workshop, and its request to the cluster's administrators."""

from datetime import UTC, datetime
from pathlib import Path

from weighbridge.core.events import Note
from weighbridge.core.finding import Diagnosis
from weighbridge.core.session import Ports
from weighbridge.doctor.examine import examine
from weighbridge.doctor.probing_pod import ProbingPod
from weighbridge.doctor.request import request_text
from weighbridge.doctor.world import WorldProbes
from weighbridge.domain.lease import LockRequest
from weighbridge.environment.types import Environment
from weighbridge.errors import PreconditionError
from weighbridge.steps import STEPS
from weighbridge.steps.weights.made import made_weights
from weighbridge.workshop import Workshop


def diagnosed(shop: Workshop, ports: Ports, *, pods: bool) -> Diagnosis:
    """Check what an apply would need, one item after another; with ``pods`` also from pods, removed afterwards."""

    def say(what: str) -> None:
        shop.observer(Note(f"looking at {what}"))

    return examine(shop.environment, ports, pods=pods, say=say)


def write_request(
    environment: Environment, diagnosis: Diagnosis, file: Path | None, var: Path
) -> Path | None:
    """Write the request to the cluster's administrators. Write the default file only if there is something to ask for."""
    if file is None and not diagnosis.asked:
        return None
    path = file or var / "doctor" / f"{environment.name}-request.md"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(request_text(environment, diagnosis, datetime.now(UTC)), encoding="utf-8")
    except OSError as error:
        raise PreconditionError(
            f"{path} cannot be written: {error.strerror}",
            remedy="name another file with --request",
            code="request-unwritable",
        ) from error
    return path


def made_probes(shop: Workshop) -> WorldProbes:
    """Return the doctor's probes on the real world."""
    return WorldProbes(
        environment=shop.environment,
        connect=lambda: shop.kube,
        secrets=shop.secrets,
        weights=made_weights(shop),
        ca_bundle=shop.ca_bundle,
        outside=shop.outside,
        backend=lambda: (shop.state.backend, shop.state.objects.read),
        stacks=tuple(step.stack for step in STEPS if step.stack is not None),
        cache=shop.var / "cache",
        pod_run=lambda: ProbingPod(
            shop.kube,
            shop.environment,
            shop.surroundings(None),
            lambda model: shop.secrets.of_source(model.source.chosen.secrets),
        ),
        lease=lambda: shop.lock.hold("doctor", LockRequest(), shop.observer, lambda: None),
        holder=lambda: shop.lock.under_way(),  # noqa: PLW0108 - read the kubeconfig only when asked
    )
