"""What the mover asks of a kind of source. Each is a package beside this file, and one line in the registry."""

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
    """A source that is being read. Thread-safe; each thread brings its own ``Lane``.

    Every request may raise ``TryAgain`` where it failed in a way that often passes.
    """

    @property
    def answered(self) -> bool:
        """Whether the source has given one good answer in this run."""
        ...

    def list(self, lane: Lane, exclude: Sequence[str]) -> list[OrderFile]:
        """Every file of the set (``paths.of_set``) as the source has it now, in any order."""
        ...

    def check(self, lane: Lane, file: OrderFile, *, proof: bool) -> MakeCheck | None:
        """What makes the best check of the content that the source attests, or ``None``. ``proof``: only one that is
        ``strong`` will do.

        ``RefusedError`` where the file is not the one that the plan saw.
        """
        ...

    def range(
        self, lane: Lane, file: OrderFile, start: int, end: int
    ) -> AbstractContextManager[http.client.HTTPResponse]:
        """The bytes ``[start, end)`` of the file, as a response to ``read`` from."""
        ...

    def read(self, lane: Lane, response: http.client.HTTPResponse, view: memoryview) -> int:
        """Bytes put into ``view``, at least one."""
        ...


class OrderedSource(Protocol):
    """A place that an order names."""

    @property
    def endpoint(self) -> str:
        """URL of its server, without a path."""
        ...

    def connect(self, reach: Reach) -> tuple[Origin, list[Lane]]:
        """The source, and as many lanes to it as the order allows workers; nothing is sent yet."""
        ...

    def login(self, endpoint: Endpoint, credentials: str | None) -> Finding:
        """Stage ``login`` of a probe, with the Secret that is mounted at ``credentials``."""
        ...


Parse = Callable[[Document], OrderedSource]
"""From the order's ``source``, less its kind; ``OrderError`` if it is not that."""
