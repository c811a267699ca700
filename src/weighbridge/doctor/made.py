"""The doctor of one environment, made from what the workshop has; and what it asks of the cluster's administrators."""

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
    """What an apply would need, looked at piece by piece; with ``pods`` also from pods, which are removed again."""

    def say(what: str) -> None:
        shop.observer(Note(f"looking at {what}"))

    return examine(shop.environment, ports, pods=pods, say=say)


def write_request(
    environment: Environment, diagnosis: Diagnosis, file: Path | None, var: Path
) -> Path | None:
    """Write what the cluster's administrators are asked for; to the usual place only where there is something."""
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
    """The doctor's view of the world."""
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
        holder=lambda: shop.lock.under_way(),  # noqa: PLW0108 - the kubeconfig is read when it is asked
    )
