"""How many models' weights are moved or verified at once: what the file says, else what the namespace's quotas have room for."""

from collections.abc import Sequence
from typing import Annotated, Final, Protocol

from pydantic import Field

from weighbridge.core.port import Port
from weighbridge.domain.quotas import Object, PodNeed, room
from weighbridge.environment.base import Route, Strict
from weighbridge.environment.sections import Section
from weighbridge.environment.types import Environment
from weighbridge.errors import WeighbridgeError

MOST_BY_DEFAULT: Final = 4
"""The largest number that we choose: each model has a pod, reads the source at full speed, and runs Ansible on this machine."""


class Transfers(Strict):
    """How many models' weights move, or are verified, side by side."""

    models: Annotated[int, Field(ge=1, le=16, examples=[4])]
    """Models at a time, each with a pod of its own."""


TRANSFERS: Final = Section[Transfers | None](
    key="transfers",
    annotation=Transfers | None,
    default=None,
    description="How many models' weights move, or are verified, side by side. Left out: as many as the namespace's ResourceQuotas leave room"
    " for, 4 at most; 1 where these may not be read. A model that finds no room beside another is tried once more, alone.",
    examples=({"models": 4},),
)


class Quotas(Protocol):
    """Reads of the operands namespace."""

    def quotas(self) -> Sequence[Object]:
        """Return its ResourceQuotas. Raise ``ForbiddenError`` if they may not be read; nothing else needs that permission."""
        ...


QUOTAS: Final[Port[Quotas]] = Port("quotas", lambda shop: shop.cluster)


def models_at_once(environment: Environment, seen: Quotas) -> int:
    """Return the number of models at once, at least one."""
    wanted = TRANSFERS.read(environment)
    if wanted is not None:
        return wanted.models
    try:
        quotas = seen.quotas()
    except WeighbridgeError:  # whatever the reason: do not use what is not known
        return 1
    left = room(quotas, pod_need(environment))
    return MOST_BY_DEFAULT if left is None else max(1, min(left, MOST_BY_DEFAULT))


def pod_need(environment: Environment) -> PodNeed:
    """Return what each pod of the environment takes."""
    from weighbridge.manifests.pods import pod_settings  # noqa: PLC0415 - reading a file needs none of it

    settings = pod_settings(environment)
    routes = {route for model in environment.models for route in model.routes}
    return PodNeed(
        settings.requests, settings.limits, frozenset({False, *([True] if Route.PUSH in routes else [])})
    )
