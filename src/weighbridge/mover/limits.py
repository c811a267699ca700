"""How hard the mover tries."""

from __future__ import annotations

from dataclasses import dataclass

_MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """How hard to try. Sizes in bytes, times in seconds."""

    chunk_bytes: int = 64 * _MIB
    """Largest range of one request, and the most one worker loses when the process is killed."""
    workers: int = 8
    """Connections at a time; each costs about 1 MiB of memory."""
    stall_seconds: float = 30
    """A connection that delivers less than 512 KiB in this time is dropped and its range asked for again."""
    patience_seconds: float = 300
    """How long a range may go without one new byte before the run fails (a tenth of it before the first answer)."""
    deadline_seconds: float = 24 * 3600
    """The whole run."""
    lock_wait_seconds: float = 60
    """How long to wait for another mover that works on the same set."""
    rotation_seconds: float = 120
    """How long to wait for fresh credentials in the mounted Secret once the source calls the present ones expired."""
    check_etag: str = "auto"
    """``auto`` | ``single`` | ``all`` | ``none``: see ``sources/s3/checksums.py``."""
