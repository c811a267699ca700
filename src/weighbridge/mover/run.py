"""One run of the mover: its order, its volume, and its reporter."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from .connect import Reach
from .control import Control
from .layout import Layout, layout_of
from .order import Order
from .report import Reporter, Result
from .volume import Volume


@dataclass(frozen=True)
class Run:
    """Passed to all functions that do a part of the work."""

    order: Order
    volume: Volume
    control: Control
    reporter: Reporter
    result: Result
    """Filled in during the work, so that a failed run can report how far it came."""
    credentials: str | None = None
    """Directory of the mounted credentials Secret. Without it, the source is read anonymously."""
    ca_file: str | None = None
    """PEM file of further authorities. Those of the image are trusted too."""
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @property
    def reach(self) -> Reach:
        """What the source gets."""
        return Reach(
            limits=self.order.limits,
            proxy=self.order.proxy,
            control=self.control,
            note=self.reporter.note,
            credentials=self.credentials,
            ca_file=self.ca_file,
            environment=self.environment,
        )

    @property
    def layout(self) -> Layout:
        return layout_of(self.order)
