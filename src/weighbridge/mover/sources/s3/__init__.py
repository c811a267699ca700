"""S3, with the standard library only."""

from __future__ import annotations

from dataclasses import dataclass

from ...connect import Reach, lanes_to
from ...document import Document
from ...endpoint import Endpoint, Finding
from ...transport import Lane
from .credentials import MountedKeys
from .location import Location, parse_location
from .login import log_in
from .origin import S3Origin


@dataclass(frozen=True)
class S3Place:
    """Implement ``interface.OrderedSource``."""

    location: Location

    @property
    def endpoint(self) -> str:
        return self.location.endpoint

    def connect(self, reach: Reach) -> tuple[S3Origin, list[Lane]]:
        keys = MountedKeys(reach.credentials)
        keys.read()  # find missing credentials before any connection
        origin = S3Origin(self.location, keys, reach.control, reach.note, reach.limits)
        return origin, lanes_to(self.endpoint, reach)

    def login(self, endpoint: Endpoint, credentials: str | None) -> Finding:
        return log_in(self.location, endpoint, MountedKeys(credentials).read)


def parse(body: Document) -> S3Place:
    """Parse the order's ``source`` without its kind."""
    return S3Place(parse_location(body))
