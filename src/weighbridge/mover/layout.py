"""Where files lie on the volume. Without side effects.

``<model_id>/<fp12>/…`` is a published set: the source's files and nothing else. All other files of ours lie below
``.weighbridge`` on the same volume, so that publishing is a rename.
"""

from __future__ import annotations

from dataclasses import dataclass

from .order import Order
from .paths import OURS

STAGING = f"{OURS}/staging"
RECEIPTS = f"{OURS}/receipts"
LOCKS = f"{OURS}/locks"
SIDECARS = (".journal", ".manifest.json", ".verified.json")
"""Suffixes of the files beside a staging directory: see the fields of ``Layout``."""


@dataclass(frozen=True)
class Layout:
    published: str
    staging: str
    """Directory of the files in transfer."""
    journal: str
    """Which ranges have arrived (``chunks.py``)."""
    manifest: str
    """The sender's memory of ``staging``. It proves nothing."""
    verified: str
    """The pending receipt: written when every staged byte has been verified, moved to ``receipt`` as the very last step."""
    receipt: str
    lock: str


def layout_of(order: Order) -> Layout:
    staging = f"{STAGING}/{order.sub_path}"
    flat, short = order.model_id.replace("/", "__"), order.sub_path.rpartition("/")[2]
    return Layout(
        published=order.sub_path,
        staging=staging,
        journal=staging + ".journal",
        manifest=staging + ".manifest.json",
        verified=staging + ".verified.json",
        receipt=f"{RECEIPTS}/{flat}/{short}.json",
        lock=lock_of(order.model_id, short),
    )


def lock_of(model_id: str, short: str) -> str:
    """The lock file of one set."""
    return f"{LOCKS}/{model_id.replace('/', '__')}.{short}"
