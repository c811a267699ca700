"""From an order to connections: keys, trust and proxies put together."""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit

from .credentials import MountedKeys
from .errors import RefusedError
from .proxies import proxy_for
from .run import Run
from .s3 import S3Source
from .transport import Lane


def connect(run: Run) -> tuple[S3Source, list[Lane]]:
    """The order's source, and as many lanes to it as the order allows workers; nothing is sent yet."""
    location, limits = run.order.source, run.order.limits
    if location is None:
        raise RefusedError("order-refused", "order: source is missing, there is nothing to fetch from")
    keys = MountedKeys(run.credentials)
    keys.read()  # absent credentials are found before any connection
    source = S3Source(location, keys, run.control, run.reporter.note, limits.rotation_seconds)
    parts = urlsplit(location.endpoint)
    proxy = proxy_for(parts.scheme, parts.hostname or "", run.order.proxy, run.environment)
    tls = _tls(run.ca_file)
    return source, [Lane(location.endpoint, tls, proxy, limits.stall_seconds) for _ in range(limits.workers)]


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
