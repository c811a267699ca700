"""What the mover needs from a kind of source. Each kind is a package beside this file, and one line in the registry."""

from __future__ import annotations

import http.client
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Callable, Protocol

from ..connect import Reach
from ..document import Document, OrderFile
from ..endpoint import Endpoint, Finding
from ..readback import MakeCheck
from ..transport import Lane


class Origin(Protocol):
    """A source being read. Several threads may use it; each thread brings its own ``Lane``.

    Every request may raise ``TryAgain`` if it failed in a way that is often temporary.
    """

    @property
    def answered(self) -> bool:
        """Whether the source has given a good answer in this run."""
        ...

    def list(self, lane: Lane, exclude: Sequence[str]) -> list[OrderFile]:
        """Return every file of the set (``paths.of_set``) that the source has now, in any order."""
        ...

    def check(self, lane: Lane, file: OrderFile, *, proof: bool) -> MakeCheck | None:
        """Return a maker of the best check of the content that the source attests, or ``None``. ``proof``: only
        accept a ``strong`` check.

        Raise ``RefusedError`` if the file is not the one that the plan saw.
        """
        ...

    def range(
        self, lane: Lane, file: OrderFile, start: int, end: int
    ) -> AbstractContextManager[http.client.HTTPResponse]:
        """Return a response from which the bytes ``[start, end)`` of the file can be ``read``."""
        ...

    def read(self, lane: Lane, response: http.client.HTTPResponse, view: memoryview) -> int:
        """Return the number of bytes put into ``view``, at least one."""
        ...


class OrderedSource(Protocol):
    """A place that an order names."""

    @property
    def endpoint(self) -> str:
        """The URL of its server, without a path."""
        ...

    def connect(self, reach: Reach) -> tuple[Origin, list[Lane]]:
        """Return the source, and as many lanes to it as the order allows workers. Nothing is sent yet."""
        ...

    def login(self, endpoint: Endpoint, credentials: str | None) -> Finding:
        """Run the stage ``login`` of a probe, with the Secret mounted at ``credentials``."""
        ...


Parse = Callable[[Document], OrderedSource]
"""Parses the order's ``source`` without its kind; raises ``OrderError`` if it is invalid."""
