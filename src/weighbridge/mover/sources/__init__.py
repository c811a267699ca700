"""The sources for pods. ``SOURCES`` is the only registry: the kind's name in orders → the parser of its section."""

from __future__ import annotations

from . import s3
from .interface import Parse

SOURCES: dict[str, Parse] = {
    "s3": s3.parse,
}
