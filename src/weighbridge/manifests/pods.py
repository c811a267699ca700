"""Settings of every pod of ours: those of the environment, with our defaults."""

from weighbridge.domain.quantity import parse_bytes
from weighbridge.environment.types import Environment
from weighbridge.manifests.contexts import PodSettings

_REQUESTS = {"cpu": "250m", "memory": "256Mi"}
_LIMITS = {"cpu": "2", "memory": "512Mi"}
"""The mover itself stays within 128 MiB. Pages that it has written count too until they reach the disk."""


def pod_settings(environment: Environment) -> PodSettings:
    """Return the environment's settings for pods, with our defaults. A limit below the default request lowers the request."""
    pods = environment.pods
    limits = {
        "cpu": pods.resources.cpu or _LIMITS["cpu"],
        "memory": pods.resources.memory or _LIMITS["memory"],
    }
    # Compare thousandths, so that fractions of a CPU stay different: parsing rounds up to whole units.
    requests = {name: min(_REQUESTS[name], limit, key=_thousandfold) for name, limit in limits.items()}
    return PodSettings(
        image=pods.image,
        pull_secret=pods.pull_secret,
        service_account=pods.service_account,
        labels=dict(pods.labels),
        node_selector=dict(pods.node_selector),
        tolerations=tuple(item.model_dump(exclude_none=True) for item in pods.tolerations),
        requests=requests,
        limits=limits,
        proxy=_proxy(environment),
    )


def _thousandfold(quantity: str) -> int:
    return parse_bytes(quantity.removesuffix("m")) if quantity.endswith("m") else 1000 * parse_bytes(quantity)


def _proxy(environment: Environment) -> tuple[tuple[str, str], ...]:
    proxy = environment.proxy
    if proxy is None:
        return ()
    values = {
        "HTTP_PROXY": proxy.http,
        "HTTPS_PROXY": proxy.https,
        "NO_PROXY": ",".join(proxy.no_proxy) or None,
    }
    return tuple((name, value) for name, value in values.items() if value is not None)
