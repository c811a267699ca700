"""What manifests and playbooks get to know about this machine, and about things that the environment file only refers to."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from weighbridge.core.port import Port


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the environment file refers to but does not hold."""

    folder: Path = Path()
    """Where relative ``file:`` references start: the environment file's folder."""
    cluster_uid: str | None = None
    """UID of ``kube-system``; playbooks refuse another cluster. ``None``: not looked up."""
    ca_pem: str | None = None
    """Text of ``trust.ca_bundle``."""
    mover: bytes | None = None
    """A ``mover.pyz`` to use instead of this installation's."""


SURROUNDINGS: Final[Port[Surroundings]] = Port("surroundings", lambda shop: shop.surroundings(None))
