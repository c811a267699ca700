"""The port of the registration step, and how the real one is made."""

from typing import Final

from weighbridge.core.port import Port
from weighbridge.steps.registration.ports import Registry
from weighbridge.steps.registration.stack import REGISTRATION
from weighbridge.workshop import Workshop


def _registry(shop: Workshop) -> Registry:
    from weighbridge.watsonx.reconciling import ReconcilingRegistry  # noqa: PLC0415  lightkube
    from weighbridge.watsonx.registry import Limits  # noqa: PLC0415  likewise

    environment = shop.environment
    return ReconcilingRegistry(
        shop.kube_for(REGISTRATION.name),
        environment.cluster.namespace,
        environment.cluster.custom_resource,
        environment.name,
        Limits(reconcile=environment.platform.reconcile_seconds),
    )


REGISTRY: Final[Port[Registry]] = Port("registry", _registry)
