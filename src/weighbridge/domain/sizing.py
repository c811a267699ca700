"""How large the volume of a model must be. Pure; nothing here looks at a cluster."""

from weighbridge.domain.quantity import MIB, format_bytes, parse_bytes
from weighbridge.errors import PreconditionError

MINIMUM_BYTES = 64 * MIB
"""Below this a file system's own structures (journal, inode tables) are no longer small beside the files."""

_OVERHEAD_PERCENT = 5
_LEAST_SETS = 2
"""IBM's rule for a model's volume: about twice the files' size, so that a set fits beside the one it replaces."""


def needed_bytes(total_bytes: int, keep: int) -> int:
    """Bytes a volume must have for sets of ``total_bytes`` with ``keep`` older ones beside the current one.

    (1 + keep) sets and 5 %, at least two sets, rounded up to whole MiB, at least 64 MiB.
    """
    with_overhead = (1 + keep) * total_bytes * (100 + _OVERHEAD_PERCENT)
    needed = max(-(-with_overhead // 100), _LEAST_SETS * total_bytes, MINIMUM_BYTES)
    return -(-needed // MIB) * MIB


def claim_size(
    total_bytes: int, keep: int, *, explicit: str | None = None, current_bytes: int | None = None
) -> str:
    """The storage request of a claim, as a quantity.

    ``explicit`` is the user's own quantity, ``None`` where the size is ours to choose; ``current_bytes`` is what the
    claim requests now. Volumes do not shrink, so the answer is never below it. Raises ``PreconditionError`` where
    the user's size does not hold what is asked of it, with the size that does.
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
    """What a user's own size must hold: the sets and 5 %. That two sets fit is our habit, not a necessity."""
    return -(-(1 + keep) * total_bytes * (100 + _OVERHEAD_PERCENT) // 100)
