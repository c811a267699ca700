"""How large the volume of a model must be. Without side effects; nothing here asks a cluster."""

from weighbridge.domain.quantity import MIB, format_bytes, parse_bytes
from weighbridge.errors import PreconditionError

MINIMUM_BYTES = 64 * MIB
"""Below this size, a file system's own structures (journal, inode tables) need much room compared with the files."""

_OVERHEAD_PERCENT = 5
_LEAST_SETS = 2
"""IBM's rule for a model's volume: about twice the files' size, so that a set fits beside the one that it replaces."""


def needed_bytes(total_bytes: int, keep: int) -> int:
    """Return the bytes that a volume needs for sets of ``total_bytes`` with ``keep`` older ones beside the current
    one:

    (1 + keep) sets and 5 %, at least two sets, rounded up to whole MiB, at least 64 MiB.
    """
    with_overhead = (1 + keep) * total_bytes * (100 + _OVERHEAD_PERCENT)
    needed = max(-(-with_overhead // 100), _LEAST_SETS * total_bytes, MINIMUM_BYTES)
    return -(-needed // MIB) * MIB


def claim_size(
    total_bytes: int, keep: int, *, explicit: str | None = None, current_bytes: int | None = None
) -> str:
    """Return the storage request of a claim, as a quantity.

    ``explicit``: the user's own quantity; ``None`` if we choose the size. ``current_bytes``: what the claim requests
    now. Volumes do not shrink, so the result is never below it. Raise ``PreconditionError`` with the needed size if
    the user's size is too small.
    """
    needed = needed_bytes(total_bytes, keep)
    wanted = needed if explicit is None else parse_bytes(explicit)
    if wanted < (least := _least_explicit(total_bytes, keep)):
        raise PreconditionError(
            f"storage.size is {explicit}, but {1 + keep} weight sets of {total_bytes} bytes and {_OVERHEAD_PERCENT} % need {least} bytes",
            remedy=f"write at least {format_bytes(needed)}, or `auto`; fewer kept sets (storage.keep) need less",
            code="size-too-small",
        )
    if current_bytes is not None and current_bytes >= wanted:
        return explicit if explicit is not None and current_bytes == wanted else format_bytes(current_bytes)
    return format_bytes(wanted) if explicit is None else explicit


def _least_explicit(total_bytes: int, keep: int) -> int:
    """Return what a user's own size must hold: the sets and 5 %. Room for two sets is our habit, not a requirement."""
    return -(-(1 + keep) * total_bytes * (100 + _OVERHEAD_PERCENT) // 100)
