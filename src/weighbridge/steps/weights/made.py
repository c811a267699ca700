"""The ports of the weights step, and how the real ones are made."""

from contextlib import closing
from dataclasses import dataclass
from typing import Final

from weighbridge.core.port import Port
from weighbridge.domain.weights import SourceListing
from weighbridge.environment.types import Model
from weighbridge.opening import opened_source
from weighbridge.sources.interface import Shared
from weighbridge.sources.looking import listed, looked_at, looked_at_in_place
from weighbridge.steps.weights.ports import Playbooks, Weights
from weighbridge.workshop import Workshop


@dataclass(frozen=True)
class _Sources:
    """The sources of all models, with the environment's trust, proxy and keys. Several threads may use it."""

    shop: Workshop
    shared: Shared

    def list(self, model: Model) -> SourceListing:
        """See ``ports.Weights.list``."""
        with opened_source(self.shop, model, self.shared) as place:
            return listed(place, model.exclude)

    def look(self, model: Model, listing: SourceListing, *, in_place: bool) -> SourceListing:
        """See ``ports.Weights.look``."""
        with opened_source(self.shop, model, self.shared) as place:
            if in_place:
                return looked_at_in_place(place, listing, parameters=model.parameters)
            return looked_at(place, listing, parameters=model.parameters)


def made_weights(shop: Workshop) -> Weights:
    """The port ``Weights``."""
    return _Sources(shop, shop.closes.enter_context(closing(Shared())))


def _playbooks(shop: Workshop) -> Playbooks:
    from weighbridge.kubernetes.kubeconfig_given import playbook_surroundings  # noqa: PLC0415
    from weighbridge.steps.weights.playbooks import AnsiblePlaybooks  # noqa: PLC0415  ansible-runner

    context, in_cluster = shop.environment.cluster.reach("storage")

    return AnsiblePlaybooks(
        environment=shop.environment,
        around=shop.surroundings(shop.cluster.uid()),
        secrets=lambda model_id: shop.secrets.collect_model(shop.environment, model_id),
        spool=shop.var / "spool",
        notes=shop.lock,
        reach=lambda folder: playbook_surroundings(context, shop.outside, folder, in_cluster=in_cluster),
    )


WEIGHTS: Final[Port[Weights]] = Port("weights", made_weights)
PLAYBOOKS: Final[Port[Playbooks]] = Port("playbooks", _playbooks)
