"""How hard the mover tries."""

from __future__ import annotations

from dataclasses import dataclass

_MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Sizes in bytes, times in seconds."""

    chunk_bytes: int = 64 * _MIB
    """Largest range of one request, and the most that one worker loses if the process is killed."""
    workers: int = 8
    """Number of connections at one time; each costs about 1 MiB of memory."""
    stall_seconds: float = 30
    """If a connection delivers less than 512 KiB in this time, it is dropped and its range requested again."""
    patience_seconds: float = 300
    """How long a range may go without a new byte before the run fails (a tenth of it before the first answer)."""
    deadline_seconds: float = 24 * 3600
    """For the whole run."""
    lock_wait_seconds: float = 60
    """How long to wait for another mover that works on the same set."""
    rotation_seconds: float = 120
    """How long to wait for new credentials in the mounted Secret after the source calls the present ones expired."""
    check_etag: str = "auto"
    """``auto`` | ``single`` | ``all`` | ``none``: see ``sources/s3/checksums.py``."""
