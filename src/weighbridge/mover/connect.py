"""From an order to connections: trust and proxies put together."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .errors import RefusedError
from .proxies import proxy_for
from .transport import Lane

if TYPE_CHECKING:  # a run holds an order, which holds a source, which calls this
    from .run import Run


def lanes_to(endpoint: str, run: Run) -> list[Lane]:
    """As many lanes to a server as the order allows workers; nothing is sent yet."""
    limits, parts = run.order.limits, urlsplit(endpoint)
    proxy = proxy_for(parts.scheme, parts.hostname or "", run.order.proxy, run.environment)
    tls = _tls(run.ca_file)
    return [Lane(endpoint, tls, proxy, limits.stall_seconds) for _ in range(limits.workers)]


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
