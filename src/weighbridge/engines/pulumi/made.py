"""Pulumi's stacks of one environment, made from what the workshop has."""

import os

from weighbridge.engines.pulumi.environment import StateSecrets
from weighbridge.engines.pulumi.lock import StackLocks
from weighbridge.engines.pulumi.stacks import PulumiSettings, PulumiStacks
from weighbridge.environment.secrets import references
from weighbridge.environment.types import EnvReference
from weighbridge.workshop import Workshop


def made_stacks(shop: Workshop) -> PulumiStacks:
    """The port ``Stacks``. The state's passphrase and keys are resolved here."""
    state, environment = shop.state, shop.environment
    settings = PulumiSettings(
        backend=state.backend,
        secrets=StateSecrets(passphrase=shop.secrets.resolve(environment.state.passphrase), keys=state.keys),
        cache=shop.var / "cache",
        kubeconfig=os.environ.get("KUBECONFIG"),
        withheld=frozenset(ref.env for ref in references(environment) if isinstance(ref, EnvReference)),
        extra=shop.network_variables(),
        locks=StackLocks(state.backend, state.objects, shop.lock),
    )
    return PulumiStacks(settings, read_object=state.objects.read)
