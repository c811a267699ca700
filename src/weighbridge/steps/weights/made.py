"""The ports of the weights step, and how the real ones are made."""

from dataclasses import dataclass
from typing import Final

from weighbridge.core.port import Port
from weighbridge.domain.weights import SourceListing
from weighbridge.environment.types import Model
from weighbridge.steps.weights.ports import Playbooks, Weights
from weighbridge.workshop import Workshop


@dataclass(frozen=True)
class _Sources:
    """Every model's source, with the environment's trust, proxy and keys bound to it."""

    shop: Workshop

    def list(self, model: Model) -> SourceListing:
        """What the model's source holds now."""
        from weighbridge.sources.s3_listing import S3Weights  # noqa: PLC0415  boto3

        source = model.source.s3
        return S3Weights().list(
            source,
            keys=self.shop.secrets.s3_keys(source.credentials),
            exclude=model.exclude,
            ca_bundle=self.shop.ca_bundle,
            proxy=self.shop.environment.proxy,
        )


def made_weights(shop: Workshop) -> Weights:
    """The port ``Weights``."""
    return _Sources(shop)


def _playbooks(shop: Workshop) -> Playbooks:
    from weighbridge.steps.weights.playbooks import AnsiblePlaybooks  # noqa: PLC0415  ansible-runner

    return AnsiblePlaybooks(
        environment=shop.environment,
        around=shop.surroundings(shop.cluster.uid()),
        secrets=lambda model_id: shop.secrets.collect_model(shop.environment, model_id),
        spool=shop.var / "spool",
        notes=shop.lock,
    )


WEIGHTS: Final[Port[Weights]] = Port("weights", made_weights)
PLAYBOOKS: Final[Port[Playbooks]] = Port("playbooks", _playbooks)
