"""One run of the mover: its order, where it works, and whom it tells."""

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
    """Passed to whatever does a part of the work."""

    order: Order
    volume: Volume
    control: Control
    reporter: Reporter
    result: Result
    """Filled in as the work proceeds, so that a failed run can tell how far it came."""
    credentials: str | None = None
    """Directory of the mounted credentials Secret; without it the source is read anonymously."""
    ca_file: str | None = None
    """PEM file of further authorities; those of the image count too."""
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @property
    def reach(self) -> Reach:
        """What the source is given."""
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
