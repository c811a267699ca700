"""The meaning of an S3 server's answer, for people and for checks."""

from __future__ import annotations

import contextlib
import http.client
import re
from datetime import timedelta

from ...document import OrderFile
from ...errors import RefusedError
from ...transport import NETWORK_ERRORS, Lane, Stalled
from .checksums import ObjectFacts

CHANGED = "the source is being written to: wait until it is complete, then plan and apply again (the set gets a new fingerprint)"
_ERROR_BYTES = 1 << 16


def facts_of(response: http.client.HTTPResponse) -> ObjectFacts:
    prefix = "x-amz-checksum-"
    offered = {
        name.lower()[len(prefix) :]: value
        for name, value in response.getheaders()
        if name.lower().startswith(prefix)
    }
    kind = offered.pop("type", "").upper()
    customer = response.getheader("x-amz-server-side-encryption-customer-algorithm")
    return ObjectFacts(
        checksums=offered,
        composite=kind == "COMPOSITE" or any("-" in value for value in offered.values()),
        encryption="customer" if customer else response.getheader("x-amz-server-side-encryption") or "",
        server=response.getheader("Server") or "",
    )


def error_body(response: http.client.HTTPResponse, lane: Lane) -> tuple[str, str]:
    """Return code and message of S3's error document, as the server wrote them (show them through
    ``secret_text.told``). Empty if there is none, or if it comes too slowly: it is read like a file, and the watchdog
    cuts a stalled lane.
    """
    view = memoryview(bytearray(_ERROR_BYTES))
    got = 0
    with contextlib.suppress(*NETWORK_ERRORS, Stalled):
        got = lane.read_into(response, view)
    body = bytes(view[:got]).decode(errors="replace")
    lane.close()
    found = [re.search(f"<{tag}>([^<]*)</{tag}>", body) for tag in ("Code", "Message")]
    code, message = (match.group(1).strip() if match else "" for match in found)
    return code, message


def changed(file: OrderFile, how: str) -> RefusedError:
    return RefusedError(
        "source-changed",
        f"the source changed since the plan: {file.path}: {how}",
        remedy=CHANGED,
        files=[file.path],
    )


def skew_text(skew: timedelta) -> str:
    seconds = round(abs(skew).total_seconds())
    return f"this node's clock is {seconds} s {'behind' if skew > timedelta() else 'ahead of'} the source's"
