"""The port of the registration step, and how the real one is made."""

from typing import Final

from weighbridge.core.step import Port
from weighbridge.steps.registration.ports import Registry
from weighbridge.steps.registration.stack import REGISTRATION
from weighbridge.workshop import Workshop


def _registry(shop: Workshop) -> Registry:
    from weighbridge.watsonx.registry import Limits, WatsonxRegistry  # noqa: PLC0415  lightkube

    environment = shop.environment
    return WatsonxRegistry(
        shop.kube_for(REGISTRATION.name),
        environment.cluster.namespace,
        environment.cluster.custom_resource,
        environment.name,
        Limits(reconcile=environment.platform.reconcile_seconds),
    )


REGISTRY: Final[Port[Registry]] = Port("registry", _registry)
