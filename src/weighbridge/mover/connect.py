"""Connect to a source, with trust and proxies."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Callable
from urllib.parse import urlsplit

from .control import Control
from .errors import RefusedError
from .limits import Limits
from .proxies import ProxySettings, proxy_for
from .transport import Lane


@dataclass(frozen=True)
class Reach:
    """What a run passes to its source."""

    limits: Limits
    proxy: ProxySettings
    control: Control
    note: Callable[[str], None]
    """Receives reports of slow work, in words."""
    credentials: str | None
    """Directory of the mounted credentials Secret. Without it, the source is read anonymously."""
    ca_file: str | None
    """PEM file of further authorities. Those of the image are trusted too."""
    environment: Mapping[str, str]


def lanes_to(endpoint: str, reach: Reach) -> list[Lane]:
    """Return as many lanes to a server as the order allows workers. Nothing is sent yet."""
    parts = urlsplit(endpoint)
    proxy = proxy_for(parts.scheme, parts.hostname or "", reach.proxy, reach.environment, parts.port)
    tls = _tls(reach.ca_file)
    return [Lane(endpoint, tls, proxy, reach.limits.stall_seconds) for _ in range(reach.limits.workers)]


def _tls(ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:  # ssl.SSLError is one
            raise RefusedError(
                "trust-unusable",
                f"the CA bundle {ca_file} cannot be used: {error}",
                remedy="trust.ca_bundle is a file of PEM certificates",
            ) from error
    return context
