"""Where pods can fetch from. ``SOURCES`` is the only registry: kind, as orders name it → who reads what they say of it."""

from __future__ import annotations

from . import s3
from .interface import Parse

SOURCES: dict[str, Parse] = {
    "s3": s3.parse,
}
